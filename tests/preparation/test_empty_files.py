"""`prepare regions`: masks of pictures that `synthesize --regions` takes."""

import numpy as np
import pytest
from PIL import Image

import histosynth as hs
from histosynth.annotation.empty_regions import read_empty_regions
from histosynth.core.errors import BadOption, NotWritable
from histosynth.core.geometry import Box
from histosynth.preparation.empty_files import find_empty_files


@pytest.fixture
def tiles(tmp_path, tile):
    folder = tmp_path / "tiles"
    folder.mkdir()
    white = tile.copy()
    white[30:90, 20:80] = 246
    Image.fromarray(tile).save(folder / "a.png")
    Image.fromarray(white).save(folder / "b.png")
    return folder


def test_masks_are_those_of_python_and_are_taken_as_regions(tiles, tmp_path):
    out = tmp_path / "out"
    outcome, shares = find_empty_files(tiles, out, mpp=0.5)
    assert not outcome.refused and list(shares) == ["a.png", "b.png"]
    assert {path.name for path in outcome.written} == {"a.png", "b.png", "contact.png"}
    expected = hs.find_empty(tiles / "b.png")
    assert shares["b.png"] == round(float(expected.mean()), 4) > shares["a.png"] + 0.1
    mask = read_empty_regions(out / "b.png").inside(Box(0, 0, 128, 136))
    np.testing.assert_array_equal(mask, expected)


def test_a_broken_picture_is_named_and_the_others_go_on(tiles, tmp_path):
    (tiles / "c.png").write_bytes(b"no picture")
    outcome, shares = find_empty_files(tiles, tmp_path / "out", mpp=0.5)
    assert list(outcome.refused) == ["c.png"] and len(shares) == 2


def test_pictures_and_files_of_others_are_not_replaced(tiles, tmp_path):
    with pytest.raises(BadOption, match="another folder"):
        find_empty_files(tiles, tiles, mpp=0.5)
    out = tmp_path / "out"
    out.mkdir()
    Image.new("RGB", (8, 8)).save(out / "a.png")
    before = (out / "a.png").read_bytes()
    with pytest.raises(NotWritable):
        find_empty_files(tiles, out, mpp=0.5)
    assert (out / "a.png").read_bytes() == before and not (out / "b.png").exists()
