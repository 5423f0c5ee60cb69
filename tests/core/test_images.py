"""Image files: pictures and masks that are read exactly, or refused."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from histosynth.core.errors import NotRGB, NotWritable, UnreadableImage
from histosynth.core.geometry import Size
from histosynth.core.images import (
    decode_rgb,
    encode_png,
    read_mask,
    read_picture_info,
    read_rgb,
    write_mask,
)


def patch():
    """A mask whose edges lie on no grid of a codec."""
    mask = np.zeros((61, 83), bool)
    mask[13:38, 21:46] = True
    return mask


def png_header(width, height, *chunks):
    """An 8-bit RGB PNG that holds no pixels; other chunks are (name, content)."""

    def packed(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), *chunks, (b"IDAT", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed(*chunk) for chunk in chunks)


ALPHA = ("a picture with an alpha channel", "Flatten it onto white and save it as RGB.")
GREY = ("a grayscale picture", "H&E needs colour: export the tile as RGB.")
DEEP = ("a picture with more than 8 bits per channel", "Convert it to 8-bit RGB.")


@pytest.mark.parametrize(
    ("mode", "suffix", "found", "remedy"),
    [
        ("RGBA", ".png", *ALPHA),
        ("LA", ".png", *ALPHA),
        ("PA", ".tif", *ALPHA),
        ("L", ".png", *GREY),
        ("1", ".png", *GREY),
        ("I;16", ".png", *DEEP),
        ("F", ".tif", *DEEP),
        ("P", ".png", "a P picture", "Convert it to 8-bit RGB."),
        ("CMYK", ".tif", "a CMYK picture", "Convert it to 8-bit RGB."),
    ],
)
def test_other_pixel_types_are_refused_with_the_remedy(tmp_path, mode, suffix, found, remedy):
    path = tmp_path / f"x{suffix}"
    Image.new(mode, (16, 16)).save(path)
    with pytest.raises(NotRGB) as caught:
        read_rgb(path)
    assert str(caught.value) == f"{path} is {found}, not 8-bit RGB. {remedy}"


def test_a_truncated_png_is_refused(tmp_path, tile):
    path = tmp_path / "x.png"
    Image.fromarray(tile).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    for reader in (read_rgb, read_mask):
        with pytest.raises(UnreadableImage) as caught:
            reader(path)
        assert caught.value.problem == f"{path} cannot be read as an image: {caught.value.reason}."
        assert caught.value.reason.startswith("image file is truncated")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no known picture format"),
        (b"not a picture", "no known picture format"),
        (b"\x89PNG\r\n\x1a\n", "no known picture format"),
        (png_header(16, 16)[:20], "Truncated File Read"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, content, reason):
    path = tmp_path / "x.png"
    path.write_bytes(content)
    for read in (read_rgb, read_mask, read_picture_info, lambda path: decode_rgb(content, path)):
        with pytest.raises(UnreadableImage) as caught:
            read(str(path))
        assert (caught.value.path, caught.value.reason) == (path, reason)


def test_text_that_unpacks_to_more_than_a_mebibyte_is_refused():
    text = b"Comment\0\0" + zlib.compress(b" " * (2**20 + 1))
    with pytest.raises(UnreadableImage) as caught:
        read_picture_info("a.png", png_header(16, 16, (b"zTXt", text)))
    assert caught.value.problem == (
        "a.png cannot be read as an image: Decompressed data too large for "
        "PngImagePlugin.MAX_TEXT_CHUNK."
    )


def test_a_file_that_is_not_there_is_refused_in_the_words_of_the_system(tmp_path):
    path = tmp_path / "absent.png"
    with pytest.raises(UnreadableImage) as caught:
        read_rgb(path)
    assert caught.value.problem == f"{path} cannot be read as an image: No such file or directory."


def test_the_size_is_read_up_to_the_limit_itself():
    found = read_picture_info("a.png", png_header(12_288, 12_288))
    assert found == (Size(12_288, 12_288), "PNG")


@pytest.mark.parametrize(
    ("width", "reason"),
    [
        (12_289, "12289 x 12288 px is over the limit of 150994944 px"),
        (20_000, "245760000 px is over the limit of 150994944 px"),
    ],
)
def test_pictures_over_the_limit_are_refused_by_their_header(width, reason):
    for read in (read_picture_info, lambda name, data: decode_rgb(data, name)):
        with pytest.raises(UnreadableImage) as caught:
            read("a.png", png_header(width, 12_288))
        assert caught.value.problem == f"a.png cannot be read as an image: {reason}."


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_the_size_is_that_of_the_picture_as_it_is_read(tmp_path, suffix, orientation):
    path = tmp_path / f"a{suffix}"
    exif = Image.Exif()
    if orientation:
        exif[0x112] = orientation
    Image.fromarray(np.zeros((40, 56, 3), np.uint8)).save(path, exif=exif)
    size, image_format = read_picture_info(path)
    assert size.shape == read_rgb(path).shape[:2]
    assert image_format == {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
    assert read_picture_info("from memory", path.read_bytes()) == (size, image_format)


def test_an_orientation_that_cannot_be_read_is_refused(tmp_path, tile, monkeypatch):
    path = tmp_path / "a.jpg"
    Image.fromarray(tile).save(path)

    def fail(self):
        raise struct.error("unpack requires a buffer of 2 bytes.")

    monkeypatch.setattr("PIL.Image.Image.getexif", fail)
    with pytest.raises(UnreadableImage) as caught:
        read_picture_info(path)
    assert caught.value.path == path
    assert caught.value.reason == "unpack requires a buffer of 2 bytes"


def test_the_size_of_a_png_is_read_from_its_header_alone(tmp_path, tile):
    path = tmp_path / "a.png"
    Image.fromarray(tile).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    assert read_picture_info(path) == (Size(128, 136), "PNG")


def test_a_picture_in_memory_is_read_as_from_a_file(tmp_path, tile):
    Image.fromarray(tile).save(tmp_path / "a.png")
    pixels = decode_rgb((tmp_path / "a.png").read_bytes(), "a.png")
    assert pixels.dtype == np.uint8 and pixels.flags.writeable
    assert (pixels == tile).all()
    buffer = io.BytesIO()
    Image.fromarray(tile[..., 0]).save(buffer, "PNG")
    with pytest.raises(NotRGB, match=r"^b\.png is a grayscale picture"):
        decode_rgb(buffer.getvalue(), "b.png")


def test_an_encoded_png_holds_the_pixels_packed_fast_by_the_left_neighbour(tile):
    flipped = tile[:, ::-1]  # not contiguous
    data = encode_png(flipped)
    assert (decode_rgb(data, "a.png") == flipped).all()
    packed = b""
    at = 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(136, 1 + 128 * 3)
    assert (rows[:, 0] == 1).all()  # filter type 1 of the PNG specification: Sub
    assert packed[1] >> 6 == 0  # FLEVEL of RFC 1950: fastest


def test_a_mask_is_true_where_any_channel_is_not_zero(tmp_path):
    mask = np.zeros((12, 10), bool)
    mask[3:5, 2:9] = True
    write_mask(tmp_path / "m.png", mask)
    with Image.open(tmp_path / "m.png") as image:
        assert image.mode == "L"
        assert (np.asarray(image) == np.where(mask, 255, 0)).all()
    found = read_mask(tmp_path / "m.png")
    assert found.dtype == bool and (found == mask).all()
    coloured = np.zeros((12, 10, 3), np.uint8)
    coloured[mask] = (0, 0, 1)
    Image.fromarray(coloured).save(tmp_path / "c.png")
    assert (read_mask(tmp_path / "c.png") == mask).all()


def test_what_is_transparent_in_a_mask_is_not_masked(tmp_path):
    picture = np.zeros((12, 10, 4), np.uint8)
    picture[..., :3] = 255
    picture[3:5, 2:9, 3] = 255
    picture[8] = (100, 100, 100, 1)  # 0.4 of 255 on black: rounds to black
    Image.fromarray(picture).save(tmp_path / "m.png")
    assert (read_mask(tmp_path / "m.png") == (picture[..., 3] == 255)).all()


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("1", ".png"),
        ("I;16", ".png"),
        ("P", ".png"),
        ("LA", ".png"),
        ("PA", ".tif"),
        ("CMYK", ".tif"),
    ],
)
def test_a_mask_is_what_is_shown_not_what_is_stored(tmp_path, mode, suffix):
    mask = patch()
    path = tmp_path / f"m{suffix}"
    if mode == "P":
        image = Image.fromarray(np.where(mask, 0, 1).astype(np.uint8), "P")
        image.putpalette([0, 0, 1, 0, 0, 0])
    elif mode == "LA":
        alpha = Image.fromarray(np.where(mask, 1, 0).astype(np.uint8) * 255)
        image = Image.merge("LA", [Image.new("L", alpha.size, 255), alpha])
    elif mode == "PA":
        image = Image.fromarray(mask.astype(np.uint8), "P")
        image.putpalette([0, 0, 0, 1, 0, 0])
        image.putalpha(255)
    elif mode == "CMYK":
        key = Image.fromarray(np.where(mask, 0, 255).astype(np.uint8))
        image = Image.merge("CMYK", [Image.new("L", key.size, 0)] * 3 + [key])
    elif mode == "I;16":
        image = Image.fromarray(mask.astype(np.uint16))
    else:
        image = Image.fromarray(mask)
    image.save(path)
    with Image.open(path) as image:
        assert image.mode == mode
    found = read_mask(path)
    assert found.dtype == bool and found.shape == mask.shape and (found == mask).all()


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_a_channel_are_refused(tmp_path, name):
    cv2.imwrite(str(tmp_path / name), np.full((16, 16, 3), 40_000, np.uint16))
    with pytest.raises(NotRGB) as caught:
        read_rgb(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name} is {DEEP[0]}, not 8-bit RGB. {DEEP[1]}"


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
    ("name", "how", "lossy"),
    [
        ("m.tif", {"compression": "jpeg"}, "TIFF packed as JPEG"),
        ("m.webp", {"quality": 60}, "lossy WebP"),
        ("m.jpg", {}, "JPEG"),
        ("m.jpg", {"format": "MPO", "save_all": True, "append_images": 1}, "JPEG"),
        ("m.webp", {"quality": 60, "icc_profile": b"even"}, "lossy WebP"),
        ("m.webp", {"quality": 60, "icc_profile": b"odd"}, "lossy WebP"),
        ("n.webp", {"quality": 60, "save_all": True, "append_images": 1}, "lossy WebP"),
    ],
)
def test_masks_with_loss_are_refused_whatever_holds_them(tmp_path, name, how, lossy):
    picture = Image.fromarray(np.repeat(patch()[..., None] * np.uint8(255), 3, axis=2))
    if "append_images" in how:
        how = how | {"append_images": [Image.eval(picture, lambda value: 255 - value)]}
    path = tmp_path / name
    picture.save(path, **how)
    with pytest.raises(UnreadableImage) as caught:
        read_mask(path)
    assert caught.value.problem == (
        f"{path} cannot be read as an image: it is a {lossy}, which smears the edges of a mask."
    )


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("m.tif", {"compression": "tiff_lzw"}),
        ("m.tif", {}),
        ("m.webp", {"lossless": True}),
        ("m.webp", {"lossless": True, "icc_profile": b"VP8 "}),
    ],
)
def test_masks_without_loss_are_taken(tmp_path, name, how):
    Image.fromarray(np.repeat(patch()[..., None] * np.uint8(255), 3, axis=2)).save(
        tmp_path / name, **how
    )
    assert (read_mask(tmp_path / name) == patch()).all()
