"""Boxes and sizes: width before height, half-open edges, and sizes that users type in."""

import numpy as np
import pytest
from PIL import Image

from histosynth.core.condition import Condition, Context
from histosynth.core.errors import BadMask, BadOption, BadSize, NotRGB, SizeMismatch
from histosynth.core.geometry import Box, Size, check_size, parse_size
from histosynth.core.images import read_mask, read_picture_info, read_rgb, write_mask
from histosynth.core.nuclei import Nuclei
from histosynth.core.tile import Tile, TileRef, check_rgb, read_only, unknown_patient


def test_a_size_is_width_and_height_and_an_array_s_shape_the_other_way_round():
    size = Size(30, 20)
    assert size == (30, 20)
    assert (size.width, size.height) == (30, 20)
    assert size.shape == (20, 30)
    assert np.zeros(size.shape).shape == (20, 30)


def test_a_box_is_half_open():
    box = Box(3, 5, 10, 20)
    assert (box.right, box.bottom) == (13, 25)
    assert box.size == Size(10, 20)
    image = np.zeros((40, 40), bool)
    image[box.slices] = True
    rows, columns = np.nonzero(image)
    assert (rows.min(), rows.max()) == (5, 24)
    assert (columns.min(), columns.max()) == (3, 12)
    assert box.shift(2, -1) == Box(5, 4, 10, 20)


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (Box(5, 6, 10, 10), Box(5, 6, 5, 4)),
        (Box(-5, -6, 10, 10), Box(0, 0, 5, 4)),
        (Box(2, 3, 4, 5), Box(2, 3, 4, 5)),
        (Box(9, 9, 5, 5), Box(9, 9, 1, 1)),
        (Box(10, 0, 5, 5), None),
        (Box(0, 10, 5, 5), None),
        (Box(-5, 0, 5, 5), None),
        (Box(0, -5, 5, 5), None),
        (Box(50, 50, 5, 5), None),
    ],
)
def test_boxes_share_what_lies_in_both_and_nothing_where_they_only_touch(other, shared):
    box = Box(0, 0, 10, 10)
    assert box.intersect(other) == shared
    assert other.intersect(box) == shared


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5), (5, -1)])
def test_a_box_of_no_area_is_refused(width, height):
    with pytest.raises(ValueError, match=f"a positive size, not {width} x {height}"):
        Box(0, 0, width, height)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512", (512, 512)),
        ("512x384", (512, 384)),
        ("512X384", (512, 384)),
        (" 64 x 32 ", (64, 32)),
        ("1", (1, 1)),
        ("9999999", (9_999_999, 9_999_999)),
    ],
)
def test_sizes_are_typed_as_one_side_or_as_width_x_height(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "x", "512x", "x512", "1x2x3", "0", "5x0", "-5", "5.0", "²", "٣", "99999999", "a"],
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(BadOption, match="W or WxH in whole pixels"):
        parse_size(text)


def check(width, height):
    check_size(width, height, min_px=64, max_px=512, multiple=8)


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (64, 512), (72, 504)])
def test_sizes_up_to_both_limits_are_taken(size):
    check(*size)


@pytest.mark.parametrize(
    ("size", "nearest"),
    [
        ((56, 64), "64 x 64"),
        ((64, 520), "64 x 512"),
        ((65, 64), "64 x 64"),
        ((64, 71), "64 x 72"),
    ],
)
def test_other_sizes_are_refused_with_the_nearest_that_works(size, nearest):
    with pytest.raises(BadSize, match=f"from 64 to 512 px.*nearest size that works is {nearest}"):
        check(*size)


def wide_pixels():
    return np.full((20, 30, 3), 200, np.uint8)


def test_sizes_of_tiles_that_are_not_square_are_width_and_height(tmp_path):
    pixels = wide_pixels()
    ref = TileRef("S1", "P1", Box(0, 0, 30, 20), 0.5)
    assert Tile(ref, pixels).size == Size(30, 20)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    size, _ = read_picture_info(tmp_path / "a.png")
    assert size == Size(30, 20)
    assert read_rgb(tmp_path / "a.png").shape == (20, 30, 3)
    write_mask(tmp_path / "m.png", np.ones((20, 30), bool))
    assert read_mask(tmp_path / "m.png").shape == (20, 30)


def test_plain_tuples_become_sizes():
    nuclei = Nuclei.none((30, 20), 0.5, ("tumour",))
    assert isinstance(nuclei.size, Size)
    condition = Condition(nuclei, (30, 20))
    assert isinstance(condition.size, Size)
    assert condition.mask.shape == (20, 30)
    assert condition.mask.all()
    direct = Nuclei(nuclei.xy, nuclei.class_ids, nuclei.classes, (30, 20), 0.5)
    assert isinstance(direct.size, Size)


def test_a_condition_s_parts_must_have_its_size():
    mask = np.zeros((20, 30), bool)
    mask[5:9, 5:9] = True
    context = Context(wide_pixels(), mask)
    assert (Condition(None, (30, 20), context=context).mask == mask).all()
    with pytest.raises(SizeMismatch, match="The context is 30 x 20 px, but its image is 20 x 30"):
        Condition(None, (20, 30), context=context)
    nuclei = Nuclei.none((30, 20), 0.5, ("tumour",))
    with pytest.raises(SizeMismatch, match="The nuclei's tile is 30 x 20 px"):
        Condition(nuclei, (20, 30))


def test_known_pixels_and_masks_cannot_be_changed_through_a_context():
    mask = np.zeros((20, 30), bool)
    mask[5:9, 5:9] = True
    context = Context(wide_pixels(), mask)
    for array in (context.pixels, context.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 0
    mask[0, 0] = True  # the caller's own array stays writeable


@pytest.mark.parametrize("mpp", [0.0, -0.5, float("nan")])
def test_the_scale_of_a_tile_is_positive(mpp):
    with pytest.raises(ValueError, match="mpp must be positive"):
        TileRef("S1", "P1", Box(0, 0, 8, 8), mpp)


def test_the_patient_of_a_tile_may_be_unknown():
    box = Box(0, 0, 8, 8)
    assert TileRef("S1", "P1", box, 0.5).has_patient
    assert not TileRef("S1", unknown_patient("tiles"), box, 0.5).has_patient
    assert unknown_patient("tiles") == "unknown of tiles"


def test_the_known_pixels_of_a_context_are_8_bit_rgb():
    mask = np.zeros((20, 30), bool)
    mask[5:9, 5:9] = True
    for pixels in (wide_pixels()[..., 0], wide_pixels().astype(np.float32)):
        with pytest.raises(NotRGB, match="image is an array of shape"):
            Context(pixels, mask)


def context_of(mask):
    return Context(wide_pixels(), mask)


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: Box(1, 2, 0, -3), ValueError, "a box needs a positive size, not 0 x -3"),
        (
            lambda: parse_size("5.0"),
            BadOption,
            "--size is 5.0, but must be W or WxH in whole pixels, e.g. 512 or 512x384. "
            "Give another value.",
        ),
        (
            lambda: check(63, 520),
            BadSize,
            "A tile of 63 x 520 px cannot be painted: each side must be a multiple of 8 from 64 "
            "to 512 px. The nearest size that works is 64 x 512 px.",
        ),
        (
            lambda: check_size(513, 64, min_px=64, max_px=512, multiple=1),
            BadSize,
            "A tile of 513 x 64 px cannot be painted: each side must be from 64 to 512 px. "
            "The nearest size that works is 512 x 64 px.",
        ),
        (
            lambda: TileRef("S1", "P1", Box(0, 0, 8, 8), -0.5),
            ValueError,
            "mpp must be positive, not -0.5",
        ),
        (
            lambda: Tile(TileRef("S1", "P1", Box(0, 0, 8, 8), 0.5), [[1, 2]]),
            NotRGB,
            "tile is a list and no array, not 8-bit RGB. "
            "Hand in (height, width, 3) of type uint8, e.g. from read_rgb.",
        ),
        (
            lambda: check_rgb(np.zeros((2, 5, 4), np.uint8), "overview"),
            NotRGB,
            "overview is an array of shape (2, 5, 4) and type uint8, not 8-bit RGB. "
            "Hand in (height, width, 3) of type uint8.",
        ),
        (
            lambda: Context(wide_pixels() / 2, np.ones((20, 30), bool)),
            NotRGB,
            "image is an array of shape (20, 30, 3) and type float64 with values from 100 to 100, "
            "not 8-bit RGB. "
            "Floats are taken from 0 to 1: divide it by 255, or convert it to uint8.",
        ),
        (
            lambda: context_of(np.ones((30, 20), bool)),
            SizeMismatch,
            "The mask is 20 x 30 px, but its image is 30 x 20 px. "
            "Draw the mask on the same tile, at the same size.",
        ),
        (
            lambda: context_of(np.ones((20, 30, 2), bool)),
            BadMask,
            "The mask is an array of shape (20, 30, 2) and type bool. "
            "Pass (height, width) of bool, or of whole numbers with 0 where tissue is known.",
        ),
        (
            lambda: context_of(np.zeros((20, 30), bool)),
            BadMask,
            "The mask is empty: no pixel is marked as missing. "
            "Mark missing pixels with any value but 0.",
        ),
        (
            lambda: context_of(np.ones((20, 30), bool)),
            BadMask,
            "The mask covers the whole tile, so nothing is left to go by. "
            "Use `histosynth synthesize` to make a whole tile.",
        ),
        (
            lambda: Condition(Nuclei.none((30, 20), 0.5, ("tumour",)), (20, 30)),
            SizeMismatch,
            "The nuclei's tile is 30 x 20 px, but its image is 20 x 30 px. "
            "Draw the nuclei's tile on the same tile, at the same size.",
        ),
        (
            lambda: Condition(None, (20, 30), context=context_of(np.eye(20, 30, dtype=bool))),
            SizeMismatch,
            "The context is 30 x 20 px, but its image is 20 x 30 px. "
            "Draw the context on the same tile, at the same size.",
        ),
    ],
)
def test_sizes_tiles_and_conditions_are_refused_in_these_words(call, error, sentence):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0, 3), np.uint8),
        np.zeros((5, 5, 3), np.int8),
        np.zeros((5, 5, 3), np.uint16),
        np.zeros((5, 3), np.uint8),
        np.zeros((5, 5, 3, 1), np.uint8),
        np.zeros((5, 5, 2), np.uint8),
        np.zeros((3, 5, 4), np.uint8),
    ],
)
def test_pictures_are_arrays_of_height_width_and_3_bytes(pixels):
    check_rgb(np.zeros((1, 1, 3), np.uint8), "tile")
    with pytest.raises(NotRGB):
        check_rgb(pixels, "tile")


def test_an_array_that_cannot_be_written_shares_memory_with_one_that_can():
    array = np.zeros((2, 3))
    view = read_only(array)
    array[0, 0] = 5.0
    assert view[0, 0] == 5.0
    with pytest.raises(ValueError, match="read-only"):
        view[0, 0] = 1.0
    pixels = wide_pixels()
    tile = Tile(TileRef("S1", "P1", Box(0, 0, 30, 20), 0.5), pixels)
    with pytest.raises(ValueError, match="read-only"):
        tile.pixels[0, 0] = 0
    pixels[0, 0] = 7
    assert (tile.pixels[0, 0] == 7).all()


def test_a_condition_without_context_masks_the_whole_tile_as_booleans():
    condition = Condition(None, (30, 20))
    assert condition.label is None
    assert condition.context is None
    assert condition.nuclei is None
    assert condition.mask.dtype == np.bool_
    assert Condition(None, (30, 20), label="breast").label == "breast"
