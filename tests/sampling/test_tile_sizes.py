"""--size and --crop: which part of a layout becomes a tile."""

import pytest

from histosynth.core.errors import BadOption
from histosynth.core.geometry import Box, Size
from histosynth.sampling.tile_sizes import TileSize
from histosynth.testing import tiny_bundle


@pytest.fixture(scope="module")
def info():
    return tiny_bundle().info


@pytest.mark.parametrize(
    ("size", "crop", "own", "boxes"),
    [
        ("512x384", None, None, [Box(0, 0, 512, 384)]),
        ("auto", None, (491, 488), [Box(0, 0, 491, 488)]),
        ("AUTO", "centre", (491, 488), [Box(1, 0, 488, 488)]),
        ("auto", "center", (5000, 2000), [Box(1988, 488, 1024, 1024)]),
        ("auto", "11,7", (300, 300), [Box(11, 7, 288, 288)]),
        ("256", "40, 8", None, [Box(40, 8, 256, 256)]),
        ("256", "centre", (300, 256), [Box(22, 0, 256, 256)]),
        ("128", "grid", (300, 200), [Box(0, 0, 128, 128), Box(128, 0, 128, 128)]),
    ],
)
def test_boxes(info, size, crop, own, boxes):
    tile_size = TileSize.of(size, crop)
    assert tile_size.needs_own_size == (own is not None)
    assert tile_size.boxes(own and Size(*own), info) == boxes


@pytest.mark.parametrize(
    ("size", "crop", "sentence"),
    [
        ("autos", None, "--size is autos, but must be W or WxH in whole pixels, e.g. 512 or"),
        ("256", "", "--crop is empty, but must be centre, grid, or X,Y in whole pixels."),
        ("256", "1;2", "--crop is 1;2, but must be centre, grid, or X,Y in whole pixels."),
        ("256", "-1,2", "--crop is -1,2, but must be centre, grid, or X,Y in whole pixels."),
        ("auto", "grid", "--crop is grid, but must be given together with --size in pixels."),
    ],
)
def test_what_is_refused_before_any_file_is_read(size, crop, sentence):
    with pytest.raises(BadOption) as refusal:
        TileSize.of(size, crop)
    assert str(refusal.value).startswith(sentence)


def test_a_tile_behind_its_picture_is_refused(info):
    with pytest.raises(BadOption) as refusal:
        TileSize.of("auto", "300,8").boxes(Size(300, 300), info)
    assert str(refusal.value).startswith(
        "--crop is 300,8, but must be inside of the picture of 300x300 px."
    )


@pytest.mark.parametrize(
    ("crop", "own", "sentence"),
    [
        (
            "centre",
            (300, 100),
            "--size is 128x128, but must be at most 300x100 px, the size of its",
        ),
        ("grid", (100, 300), "--size is 128x128, but must be at most 100x300 px, the size of its"),
        ("grid", (128 * 101, 128 * 100), "--crop is a grid of 10,100 tiles, but must be one of at"),
    ],
)
def test_layouts_that_are_too_small_or_too_large(info, crop, own, sentence):
    with pytest.raises(BadOption) as refusal:
        TileSize.of("128", crop).boxes(Size(*own), info)
    assert str(refusal.value).startswith(sentence)
