"""Links and pipes in folders of results; `make hostile` tries all paths of all verbs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from histosynth.core.errors import NotWritable
from histosynth.core.folder_lock import own_folder
from histosynth.core.links import held, held_folders, refuse_links, refuse_links_in, work_in_held
from histosynth.core.store import (
    atomic_write,
    ensure_folder,
    open_to_append,
    remove_file,
    remove_folder,
    replace_folder,
    write_text,
)
from histosynth.core.temporary import temporary_file, temporary_folder
from histosynth.engine import open_engine

TESTS = Path(__file__).parents[1]
MINE = "mine"
CODE = """
import json
from hostile import links
from hostile.verbs import VERBS
chosen = [verb for verb in VERBS if verb.name in ("prepare run", "train")]
print(json.dumps(links.run(14, chosen)))
"""


def test_files_elsewhere_stay_whatever_is_planted():
    """In a process of its own: forks of this one would inherit what other tests left in it."""
    paths = [str(TESTS), str(TESTS / "support"), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for row in json.loads(done.stdout.splitlines()[-1]):
        assert row["tried"] == 7
        assert not row["failures"]


def copy_folder(path):
    source = path.parent.parent / "new"
    source.mkdir()
    (source / "a").write_text("theirs")
    replace_folder(source, path)


def write_atomically(path):
    with atomic_write(path / "a"):
        pass


def enter_temporary(path):
    with temporary_file(path):
        pass


def enter_temporary_folder(path):
    with temporary_folder(path):
        pass


def own(path):
    with own_folder(path):
        pass


@pytest.fixture
def planted(tmp_path):
    """A folder of results, `named`, that is a link itself; below it `sub` leads elsewhere."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "named").symlink_to("disk")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a").write_text(MINE)
    (tmp_path / "named" / "sub").symlink_to(tmp_path / "theirs")
    return tmp_path / "named"


@pytest.mark.parametrize(
    "attempt",
    [
        write_atomically,
        enter_temporary,
        enter_temporary_folder,
        own,
        copy_folder,
        ensure_folder,
        remove_folder,
        refuse_links_in,
        lambda path: open_to_append(path / "a"),
        lambda path: remove_file(path / "a"),
        lambda path: ensure_folder(path / "deeper"),
    ],
)
@pytest.mark.parametrize("form", ["named", "real", "relative"])
def test_a_link_below_a_folder_of_results_is_refused(planted, attempt, form, monkeypatch):
    monkeypatch.chdir(planted.parent)
    out = {"named": planted, "real": planted.parent / "disk", "relative": Path("named")}[form]
    with own_folder(planted), pytest.raises(NotWritable) as refusal:
        attempt(out / "sub")
    assert str(refusal.value) == (
        f"{out.absolute() / 'sub'} cannot be written: it is a link, and no link inside a folder of "
        "results is followed. Remove it, or choose another --out."
    )
    theirs = planted.parent / "theirs"
    assert [path.name for path in theirs.iterdir()] == ["a"]
    assert (theirs / "a").read_text() == MINE
    assert (planted / "sub").is_symlink()


def test_the_folder_itself_may_be_a_link_and_so_may_what_no_run_holds(planted):
    with own_folder(planted):
        write_text(planted / "deep" / "b", "1")
    assert (planted.parent / "disk" / "deep" / "b").read_text() == "1"
    write_text(planted / "sub" / "b", "2")  # by a user of the library, whose link it is
    assert (planted.parent / "theirs" / "b").read_text() == "2"
    assert held_folders() == ()


def test_a_link_within_a_folder_may_stay(planted):
    folder = planted / "trackers"
    folder.mkdir()
    (folder / "run-1").mkdir()
    (folder / "latest").symlink_to("run-1")  # as one of the trackers makes them
    with own_folder(planted):
        refuse_links_in(folder)
    (folder / "latest").unlink()
    (folder / "latest").symlink_to("../sub")
    with own_folder(planted), pytest.raises(NotWritable):
        refuse_links_in(folder)


def test_workers_refuse_the_same_links(planted):
    engine = open_engine("pool", workers=1)
    with held([planted]), pytest.raises(NotWritable):
        list(engine.map(ensure_folder, [planted / "sub"]))
    with pytest.raises(NotWritable):
        work_in_held((planted,), refuse_links, planted / "sub")


def test_a_file_with_a_second_name_is_copied_before_it_is_changed(tmp_path):
    (tmp_path / "theirs").write_text(MINE)
    (tmp_path / "log").hardlink_to(tmp_path / "theirs")
    with open_to_append(tmp_path / "log") as file:
        file.write(b"+")
    assert (tmp_path / "theirs").read_text() == MINE
    assert (tmp_path / "log").read_text() == f"{MINE}+"


def test_a_pipe_is_no_file_to_write_behind(tmp_path):
    os.mkfifo(tmp_path / "log")
    with pytest.raises(OSError, match=r"^it is no plain file$"):
        open_to_append(tmp_path / "log")
