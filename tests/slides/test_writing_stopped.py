"""A final write that is killed or finds no room: nothing appears that opens and lies."""

import os
import resource
import signal
import subprocess
import sys

import pytest
from slides_to_write import noisy, parts_of

from histosynth.core.errors import NotWritable
from histosynth.core.temporary import PREFIX, remove_abandoned
from histosynth.slides.writing import (
    SlideDescription,
    finish_slide,
    read_slide_recipe,
)

DESCRIPTION = SlideDescription(0.5, {"seed": 3})
NAMES = ["slide.ome.tiff", "slide.dicom"]
KILLED = """
import os, signal, sys
from pathlib import Path
from histosynth.core.geometry import Size
from histosynth.slides.writing import (
    Encoding, Pyramid, SlideDescription, SlideParts, finish_slide,
)

folder, out, calls = sys.argv[1:]
parts = SlideParts(Path(folder), Pyramid(Size(700, 500), 128), Encoding("jpeg"), "key")
description = SlideDescription(0.5, {"seed": 3})

def stop(done, total):
    if done == int(calls):
        os.kill(os.getpid(), signal.SIGKILL)

finish_slide(Path(out), parts, description, on_progress=stop)
"""


def bytes_of(path):
    if path.is_file():
        return path.read_bytes()
    return {each.name: each.read_bytes() for each in path.iterdir()}


def there(folder):
    """What users see of a folder, and whether temporary files lie there."""
    names = [path.name for path in folder.iterdir()]
    shown = sorted(name for name in names if not name.startswith(PREFIX))
    return shown, len(shown) < len(names)


@pytest.fixture
def parts(tmp_path):
    return parts_of(tmp_path / "parts", noisy(700, 500), "jpeg")  # 10 blocks, 20 calls


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("calls", [11, 20])
def test_a_killed_write_leaves_no_slide_and_is_done_again(tmp_path, parts, name, calls):
    pytest.importorskip("pydicom", reason="needs the extra histosynth[dicom]")
    (tmp_path / "whole").mkdir()
    finish_slide(tmp_path / "whole" / name, parts, DESCRIPTION)
    place = tmp_path / "killed"
    place.mkdir()
    words = [str(parts.folder), str(place / name), str(calls)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *words],
        check=False,
        capture_output=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert there(place) == ([], True)
    remove_abandoned(place)
    assert there(place) == ([], False)
    finish_slide(place / name, parts, DESCRIPTION)
    assert bytes_of(place / name) == bytes_of(tmp_path / "whole" / name)
    assert read_slide_recipe(place / name)["seed"] == 3


@pytest.mark.parametrize("name", NAMES)
def test_no_room_in_the_middle_of_the_write_is_refused_and_leaves_nothing(tmp_path, parts, name):
    pytest.importorskip("pydicom", reason="needs the extra histosynth[dicom]")
    place = tmp_path / "full"
    place.mkdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    earlier = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(done, total):
        if done == total // 2 + 1:  # the lower levels are written; the slide begins
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))

    try:
        with pytest.raises(NotWritable, match="File too large"):
            finish_slide(place / name, parts, DESCRIPTION, on_progress=limit)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, earlier)
    assert os.listdir(place) == []
    finish_slide(place / name, parts, DESCRIPTION)
    assert read_slide_recipe(place / name)["seed"] == 3
