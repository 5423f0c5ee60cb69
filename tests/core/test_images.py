"""Image files: pictures and masks that are read exactly, or refused."""

import cv2
import numpy as np
import pytest
from PIL import Image

from histosynth.core.errors import NotRGB, NotWritable, UnreadableImage
from histosynth.core.images import read_mask, read_rgb, write_mask


def patch():
    """A mask whose edges lie on no grid of a codec."""
    mask = np.zeros((61, 83), bool)
    mask[13:38, 21:46] = True
    return mask


@pytest.mark.parametrize(
    ("mode", "sentence"),
    [
        ("RGBA", "a picture with an alpha channel, not 8-bit RGB. Flatten it onto white"),
        ("L", "a grayscale picture, not 8-bit RGB. H&E needs colour"),
        ("I;16", "more than 8 bits per channel, not 8-bit RGB. Convert it"),
        ("P", "a P picture"),
    ],
)
def test_other_pixel_types_are_refused_with_the_remedy(tmp_path, mode, sentence):
    path = tmp_path / "x.png"
    Image.new(mode, (16, 16)).save(path)
    with pytest.raises(NotRGB) as caught:
        read_rgb(path)
    assert sentence in str(caught.value)


def test_a_truncated_png_is_refused(tmp_path, tile):
    path = tmp_path / "x.png"
    Image.fromarray(tile).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UnreadableImage, match="cannot be read as an image"):
        read_rgb(path)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage):
        read_rgb(path)
    with pytest.raises(UnreadableImage):
        read_rgb(tmp_path / "absent.png")


def test_a_mask_is_true_where_any_channel_is_not_zero(tmp_path):
    mask = np.zeros((12, 10), bool)
    mask[3:5, 2:9] = True
    write_mask(tmp_path / "m.png", mask)
    assert (read_mask(tmp_path / "m.png") == mask).all()
    coloured = np.zeros((12, 10, 3), np.uint8)
    coloured[mask] = (0, 0, 1)
    Image.fromarray(coloured).save(tmp_path / "c.png")
    assert (read_mask(tmp_path / "c.png") == mask).all()


def test_what_is_transparent_in_a_mask_is_not_masked(tmp_path):
    picture = np.zeros((12, 10, 4), np.uint8)
    picture[..., :3] = 255
    picture[3:5, 2:9, 3] = 255
    Image.fromarray(picture).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png") == (picture[..., 3] > 0)).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_a_channel_are_refused(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), np.full((16, 16, 3), 40_000, np.uint16))
    with pytest.raises(NotRGB, match="more than 8 bits"):
        read_rgb(tmp_path / name)


def test_offsets_in_a_file_are_not_taken_for_bits(tmp_path, tile):
    """Pillow gives raw mode, compression and offsets in one tuple; an offset may hold a 16."""
    path = tmp_path / "a.tif"
    unlucky = 0
    for height in range(40, len(tile)):
        Image.fromarray(tile[:height]).save(path, compression="tiff_adobe_deflate")
        with Image.open(path) as image:
            unlucky += "16" in str(image.tile)
        assert read_rgb(path).shape == (height, *tile.shape[1:])
    assert unlucky


def test_only_formats_that_start_no_program_are_opened(tmp_path):
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 16 16\n")
    with pytest.raises(UnreadableImage, match="no known picture format"):
        read_rgb(tmp_path / "a.png")


def test_a_path_that_is_a_folder_is_refused(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(NotWritable):
        write_mask(tmp_path / "a.png", np.ones((4, 4), bool))
    assert list(tmp_path.iterdir()) == [tmp_path / "a.png"], "nothing half-written is left"


def test_a_jpeg_is_no_mask(tmp_path):
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "m.jpg")
    with pytest.raises(UnreadableImage, match="smears the edges"):
        read_mask(tmp_path / "m.jpg")


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_and_masks_are_turned_by_their_exif_orientation(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    pixels = np.zeros((40, 56, 3), np.uint8)
    pixels[:20, :28] = (200, 30, 90)
    whole = {"quality": 95} if name == "a.jpg" else {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(pixels).save(tmp_path / name, exif=exif, **whole)
    found = read_rgb(tmp_path / name)
    assert found.shape == ((40, 56, 3) if orientation < 5 else (56, 40, 3))
    top = orientation in (1, 2, 5, 6)
    left = orientation in (1, 4, 5, 8)
    bright = [[found[y, x, 0] > 100 for x in (5, -5)] for y in (5, -5)]
    assert bright == [[top and left, top and not left], [not top and left, not top and not left]]
    if name != "a.jpg":
        assert (read_mask(tmp_path / name) == found.any(axis=2)).all()


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("m.tif", {"compression": "jpeg"}),
        ("m.webp", {"quality": 60}),
        ("m.jpg", {}),
        (
            "n.webp",
            {
                "quality": 60,
                "save_all": True,
                "append_images": 1,
            },
        ),
    ],
)
def test_masks_with_loss_are_refused_whatever_holds_them(tmp_path, name, how):
    picture = Image.fromarray(np.repeat(patch()[..., None] * np.uint8(255), 3, axis=2))
    if "append_images" in how:
        how = how | {"append_images": [Image.eval(picture, lambda value: 255 - value)]}
    picture.save(tmp_path / name, **how)
    with pytest.raises(UnreadableImage, match="smears the edges of a mask"):
        read_mask(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "how"),
    [("m.tif", {"compression": "tiff_lzw"}), ("m.tif", {}), ("m.webp", {"lossless": True})],
)
def test_masks_without_loss_are_taken(tmp_path, name, how):
    Image.fromarray(np.repeat(patch()[..., None] * np.uint8(255), 3, axis=2)).save(
        tmp_path / name, **how
    )
    assert (read_mask(tmp_path / name) == patch()).all()
