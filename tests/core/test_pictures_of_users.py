"""What goes in as a picture or a mask: paths, PIL images, arrays and tensors; what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from histosynth.core.errors import BadMask, ImageTooLarge, NotRGB, UnreadableImage
from histosynth.core.geometry import Box
from histosynth.core.pictures import as_mask, as_rgb, batch_of
from histosynth.core.tile import Tile, TileRef

TAKEN = (
    "Hand in a path, a PIL image, or an array: (height, width, 3) or (3, height, width), uint8 or "
    "floats from 0 to 1, red first."
)
TAKEN_MASK = "Pass (height, width) of bool, or of whole numbers with 0 where tissue is known."


def pixels(height=20, width=30):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


class Foreign:
    """An array of another library: numpy knows it by `__array__` alone."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise TypeError("it lies on another machine")
        return self.array


PICTURES = {
    "numpy uint8": lambda found: found,
    "numpy uint8, channels first": lambda found: found.transpose(2, 0, 1),
    "numpy float32": lambda found: (found / 255).astype(np.float32),
    "numpy float64, channels first": lambda found: found.transpose(2, 0, 1) / 255,
    "numpy float16": lambda found: (found / 255).astype(np.float16),
    "read-only": lambda found: np.broadcast_to(found, found.shape),
    "torch uint8": torch.from_numpy,
    "torch float32, channels first": lambda found: (
        torch.from_numpy(found).permute(2, 0, 1).float() / 255
    ),
    "torch with a gradient": lambda found: (torch.from_numpy(found) / 255).requires_grad_(),
    "PIL": Image.fromarray,
    "a tile": lambda found: Tile(TileRef("s", "p", Box(0, 0, 30, 20), 0.5), found),
    "another library": Foreign,
}


@pytest.mark.parametrize("form", PICTURES)
def test_a_picture_in_any_form_is_the_same_pixels(form):
    found = as_rgb(PICTURES[form](pixels()))
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels())


def test_pixels_are_not_copied_and_floats_are_rounded_to_the_nearest_level():
    own = pixels()
    assert as_rgb(own) is own
    shades = np.full((2, 4, 3), [100.4, 100.6, 0.2], np.float64) / 255
    shades[0, 0] = 1 + 5e-6
    found = as_rgb(shades)
    assert found[1, 1].tolist() == [100, 101, 0]
    assert found[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_all_256_levels_survive_each_number_type(dtype):
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2)
    found = as_rgb((torch.from_numpy(levels) / 255).to(dtype))
    assert np.array_equal(found, levels)


def test_a_picture_of_a_file_is_read(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(pixels()).save(path)
    for given in (path, str(path)):
        assert np.array_equal(as_rgb(given), pixels())
    with Image.open(path) as opened:
        assert np.array_equal(as_rgb(opened), pixels())


def shaped(*shape):
    return np.zeros(shape, np.uint8)


RGB = "of shape (20, 30, 3) and type"


@pytest.mark.parametrize(
    ("picture", "found", "remedy"),
    [
        (shaped(20, 30), "an array of shape (20, 30) and type uint8", TAKEN),
        (shaped(1, 20, 30, 3), "an array of shape (1, 20, 30, 3) and type uint8", TAKEN),
        (shaped(20, 30, 4), "an array of shape (20, 30, 4) and type uint8", TAKEN),
        (shaped(0, 30, 3), "an array of shape (0, 30, 3) and type uint8", TAKEN),
        (
            shaped(3, 30, 3),
            "an array of shape (3, 30, 3) and type uint8",
            "Cut it to another height or width: which axis holds the colours is not known.",
        ),
        (
            pixels().astype(np.int64) + 300,
            f"an array {RGB} int64 with values from 300 to 555",
            "Convert values of 0 to 255 with .astype('uint8').",
        ),
        (
            pixels() > 9,
            f"an array {RGB} bool",
            "Convert values of 0 to 255 with .astype('uint8').",
        ),
        (
            pixels() / 127.5 - 1,
            f"an array {RGB} float64 with values from -1 to 1",
            "Floats are taken from 0 to 1: if it is scaled to [-1, 1], hand in (x + 1) / 2.",
        ),
        (
            pixels().astype(np.float32),
            f"an array {RGB} float32 with values from 0 to 255",
            "Floats are taken from 0 to 1: divide it by 255, or convert it to uint8.",
        ),
        (
            pixels() / 50 - 2.1,
            f"an array {RGB} float64 with values from -2.1 to 3",
            "Floats are taken from 0 to 1: undo the normalization, or clip what overshoots.",
        ),
        (
            pixels() / 255 / 255,
            f"an array {RGB} float64 with values from 0 to 0.00392157",
            "It is black from edge to edge: divide by 255 once only, or hand in uint8.",
        ),
        (
            np.where(pixels() > 250, np.nan, 0.5),
            f"an array {RGB} float64, {(pixels() > 250).sum()} of whose 1,800 values are not "
            "finite",
            "Find where they come from.",
        ),
        ([[1, 2]], "a list and no array", TAKEN),
        (
            Foreign(None),
            "a Foreign that numpy cannot read (it lies on another machine)",
            TAKEN,
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_another_layout_type_or_range_is_refused_with_its_numbers(picture, found, remedy):
    with pytest.raises(NotRGB) as caught:
        as_rgb(picture, "the image")
    assert str(caught.value) == f"the image is {found}, not 8-bit RGB. {remedy}"


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "I;16"])
def test_pil_images_of_other_modes_are_refused(mode):
    with pytest.raises(NotRGB):
        as_rgb(Image.new(mode, (8, 8)))


def turned_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "turned.png"
    Image.fromarray(pixels()).save(path, exif=exif)
    return Image.open(path)


def test_a_pil_image_that_its_file_turns_is_refused(tmp_path):
    for take in (as_rgb, as_mask):
        with turned_image(tmp_path) as image, pytest.raises(UnreadableImage) as caught:
            take(image, "the image")
        assert str(caught.value) == (
            "the image cannot be read as an image: its EXIF orientation is 6, so that files and "
            "arrays of it differ. "
            "Hand in PIL.ImageOps.exif_transpose(image), or the path of the file."
        )


def test_a_pil_image_of_too_many_pixels_is_refused_and_stays_open(monkeypatch):
    monkeypatch.setattr("histosynth.core.images.MAX_PIXELS", 500)
    image = Image.fromarray(pixels())
    with pytest.raises(ImageTooLarge, match="30 x 20 px is over the limit of 500 px"):
        as_rgb(image)
    assert image.getpixel((0, 0)) == tuple(pixels()[0, 0])


def marked():
    return pixels()[..., 0] > 99


MASKS = {
    "bool": lambda found: found,
    "0 and 255": lambda found: found.astype(np.uint8) * 255,
    "floats 0 and 1": lambda found: found.astype(np.float32),
    "torch, one channel": lambda found: torch.from_numpy(found)[None],
    "one channel last": lambda found: found[..., None],
    "PIL": Image.fromarray,
    "PIL, colours": lambda found: Image.fromarray(np.repeat(found[..., None] * np.uint8(9), 3, 2)),
    "another library": Foreign,
}


@pytest.mark.parametrize("form", MASKS)
def test_a_mask_in_any_form_is_the_same_mask(form, tmp_path):
    found = as_mask(MASKS[form](marked()))
    assert found.dtype == np.bool_
    assert np.array_equal(found, marked())


def test_a_mask_of_a_file_is_read_and_a_lossy_one_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    Image.fromarray(marked()).save(path)
    assert np.array_equal(as_mask(path), marked())
    smeared = tmp_path / "mask.jpg"
    Image.fromarray(pixels()).save(smeared)
    with Image.open(smeared) as image, pytest.raises(UnreadableImage, match="it is a JPEG"):
        as_mask(image)
    packed = tmp_path / "mask.webp"
    Image.fromarray(pixels()).save(packed, lossless=True)
    with Image.open(packed) as image, pytest.raises(UnreadableImage, match="the path of the file"):
        as_mask(image)
    assert as_mask(packed).all()


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (
            marked() * 0.5,
            f"The mask is an array of shape (20, 30) and type float64: {marked().sum()} of its "
            "600 values are neither 0 nor 1 (0 to 0.5). "
            "Choose what counts as missing, e.g. mask > 0.5.",
        ),
        (
            np.stack([marked(), marked()]),
            f"The mask is an array of shape (2, 20, 30) and type bool. {TAKEN_MASK}",
        ),
        (
            np.full((4, 4), "x"),
            f"The mask is an array of shape (4, 4) and type <U1. {TAKEN_MASK}",
        ),
        (None, f"The mask is a NoneType and no array. {TAKEN_MASK}"),
    ],
    ids=["soft", "two", "text", "none"],
)
def test_another_mask_is_refused_with_its_numbers(mask, sentence):
    with pytest.raises(BadMask) as caught:
        as_mask(mask)
    assert str(caught.value) == sentence


def test_lists_tuples_and_arrays_of_one_axis_more_are_batches():
    batch = np.stack([pixels(), pixels()])
    assert [len(batch_of(each, 3)) for each in (batch, [1, 2], (1,))] == [2, 2, 1]
    assert batch_of(torch.zeros(2, 3, 4, 5), 3)[1].shape == (3, 4, 5)
    for single in (pixels(), "a.png", Image.fromarray(pixels())):
        assert batch_of(single, 3) is None
