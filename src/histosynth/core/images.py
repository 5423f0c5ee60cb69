"""Image files: reading and writing pictures and masks."""

from __future__ import annotations

import re
import struct
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from .errors import ImageTooLarge, NotRGB, UnreadableImage, first_line
from .geometry import Size
from .plain_files import open_plain, refuse_special_file
from .store import atomic_write
from .tile import Mask, Pixels

MAX_PIXELS = 12_288 * 12_288
"""Below the size at which Pillow itself gives up."""
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp")
_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "BMP")
"""Formats that are read. Others of Pillow's readers start programs, or are rarely tested."""
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""Exceptions of Pillow for files that are cut off or damaged."""
_ORIENTATION_TAG = 0x0112
_WIDTH_TAG = 256
_HEIGHT_TAG = 257
_COMPRESSION_TAG = 259
_LOSSY_FORMATS = ("JPEG", "MPO")
_LOSSY_TIFF = {
    6: "TIFF packed as JPEG",
    7: "TIFF packed as JPEG",
    50001: "TIFF packed as WebP",
}


def read_rgb(path: Path | str) -> Pixels:
    """Read an 8-bit RGB picture as (H, W, 3) uint8, turned by its EXIF orientation.

    Raises:
        UnreadableImage: no picture, cut off, or over 12,288 x 12,288 px.
        NotRGB: grayscale, 16-bit, palette, or with an alpha channel.
    """
    path = Path(path)
    with _open(path) as image:
        return _as_rgb(path, image)


def decode_rgb(data: bytes, name: str) -> Pixels:
    """A picture held in memory, as `read_rgb` reads it from a file; `name` is for messages."""
    path = Path(name)
    with _open(path, BytesIO(data)) as image:
        return _as_rgb(path, image)


def read_picture_info(
    path: Path | str,
    data: bytes | None = None,
) -> tuple[Size, str]:
    """The size as it will be read, and the format, e.g. `PNG`, from the header alone.

    Args:
        path: of the file, or the name of what `data` holds.
        data: a picture held in memory; None: the file is read.

    Raises:
        UnreadableImage: no picture, or too large.
    """
    path = Path(path)
    stream = None if data is None else BytesIO(data)
    with _open(path, stream) as image:
        width, height = _stored_size(image)
        if _is_turned(path, image):
            width, height = height, width
        return Size(width, height), str(image.format)


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height before the EXIF orientation counts."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):  # newer versions of Pillow exchange them
        return image.tag_v2[_WIDTH_TAG], image.tag_v2[_HEIGHT_TAG]
    return image.size


def _is_turned(path: Path, image: Image.Image) -> bool:
    """Whether the EXIF orientation exchanges rows and columns."""
    # of a PNG without EXIF data in its header, Pillow would read all of the picture
    if image.format == "PNG" and "exif" not in image.info:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damage that matters is reported by reading
            orientation = image.getexif().get(_ORIENTATION_TAG)
    except (OSError, struct.error, *_DAMAGED) as error:
        raise UnreadableImage(path, first_line(error)) from error
    return orientation in (5, 6, 7, 8)


def encode_png(pixels: Pixels) -> bytes:
    """(H, W, 3) uint8 as PNG, packed fast rather than small: tissue hardly packs.

    One filter for all rows (left neighbour): twice as fast as trying them, and a little smaller.
    """
    import imagecodecs

    data = imagecodecs.png_encode(
        np.ascontiguousarray(pixels),
        level=1,
        filter=imagecodecs.PNG.FILTER.SUB,
    )
    return bytes(data)


def _as_rgb(path: Path, image: Image.Image) -> Pixels:
    if image.mode != "RGB":
        found, remedy = _other_mode(image)
        raise NotRGB(str(path), found, remedy)
    if _has_16_bits(image):  # Pillow would drop the lower eight
        raise NotRGB(
            str(path),
            "a picture with more than 8 bits per channel",
            "Convert it to 8-bit RGB.",
        )
    loaded = _load(path, image)
    return np.array(loaded)


def read_mask(path: Path | str) -> Mask:
    """Read a mask: any lossless picture, True where it shows anything but black. Shape (H, W).

    Like a picture it is turned by its EXIF orientation.

    Raises:
        UnreadableImage: no picture, cut off, too large, or packed with loss (JPEG, also inside a
            TIFF, and lossy WebP), which smears the edges of a mask.
    """
    path = Path(path)
    with _open(path) as image:
        lossy = _lossy(path, image)
        if lossy:
            raise UnreadableImage(path, f"it is a {lossy}, which smears the edges of a mask")
        loaded = _load(path, image)
        return _shown_pixels(loaded)


def mask_of_image(image: Image.Image, name: str) -> Mask:
    """The mask that an opened picture of Pillow shows, as `read_mask` reads it from a file.

    Raises:
        UnreadableImage: cut off, too large, turned by its EXIF orientation, or packed with loss.
    """
    path = Path(name)
    if image.format == "WEBP":
        reason = "whether its WebP is packed with loss is in its file alone"
        raise UnreadableImage(path, reason, "Hand in the path of the file.")
    lossy = _lossy(path, image)
    if lossy:
        raise UnreadableImage(path, f"it is a {lossy}, which smears the edges of a mask")
    return _shown_pixels(_loaded_upright(image, path))


def rgb_of_image(image: Image.Image, name: str) -> Pixels:
    """Pixels (H, W, 3) uint8 of an opened picture of Pillow, as `read_rgb` reads a file.

    Raises:
        UnreadableImage: cut off, too large, or turned by its EXIF orientation.
        NotRGB: grayscale, 16-bit, palette, or with an alpha channel.
    """
    path = Path(name)
    if image.mode == "RGB" and not _has_16_bits(image):
        image = _loaded_upright(image, path)
    return _as_rgb(path, image)


def _loaded_upright(image: Image.Image, path: Path) -> Image.Image:
    """An opened picture with its pixels; one that its EXIF orientation turns is refused.

    Pillow does not turn it and `read_rgb` does: which of both its owner counts in is not known.
    """
    _check_pixels(image, path)
    try:
        image.load()
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except (OSError, struct.error, *_DAMAGED) as error:
        raise UnreadableImage(path, first_line(error)) from error
    if orientation not in (0, 1):
        raise UnreadableImage(
            path,
            f"its EXIF orientation is {orientation}, so that files and arrays of it differ",
            "Hand in PIL.ImageOps.exif_transpose(image), or the path of the file.",
        )
    return image


def _shown_pixels(image: Image.Image) -> Mask:
    """Where a loaded picture shows anything but black."""
    if image.mode in ("P", "RGBA", "LA", "PA", "CMYK"):
        image = _on_black(image)
    values = np.asarray(image)
    if values.ndim == 3:
        return np.asarray(values.any(axis=2))
    return np.asarray(values != 0)


def _on_black(image: Image.Image) -> Image.Image:
    """The colours that are shown: not palette indices, nor what is transparent."""
    shown = image.convert("RGBA")
    black = Image.new("RGBA", shown.size, (0, 0, 0, 255))
    return Image.alpha_composite(black, shown).convert("RGB")


def write_mask(path: Path | str, mask: Mask) -> None:
    """Write a mask as an 8-bit picture, 255 where True."""
    with atomic_write(Path(path)) as temporary:
        save_mask(temporary, mask)


def save_mask(path: Path, mask: Mask) -> None:
    """The same to a path that nobody reads yet."""
    grey = mask.astype(np.uint8) * 255
    Image.fromarray(grey).save(path)


def _open(path: Path, data: BytesIO | None = None) -> Image.Image:
    try:
        if data is None:
            refuse_special_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit follows, and reading reports damage
            image = Image.open(data or path, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage(path, "no known picture format") from error
    except Image.DecompressionBombError as error:
        # Pillow's own limit; its message holds the pixels, not the sides
        numbers = re.findall(r"\d+", str(error))
        raise ImageTooLarge(path, f"{numbers[0]} px", MAX_PIXELS) from error
    except OSError as error:
        raise UnreadableImage(path, error.strerror or first_line(error)) from error
    except _DAMAGED as error:
        raise UnreadableImage(path, first_line(error)) from error
    try:
        _check_pixels(image, path)
    except ImageTooLarge:
        image.close()
        raise
    return image


def _check_pixels(image: Image.Image, path: Path) -> None:
    """Refuse a picture of too many pixels, by its header."""
    if image.width * image.height > MAX_PIXELS:
        raise ImageTooLarge(path, f"{image.width} x {image.height} px", MAX_PIXELS)


def _load(path: Path, image: Image.Image) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except (OSError, *_DAMAGED) as error:
        raise UnreadableImage(path, first_line(error)) from error
    return image


def _lossy(path: Path, image: Image.Image) -> str:
    """The compression of a picture if it loses detail; empty where nothing is lost."""
    if image.format in _LOSSY_FORMATS:
        return "JPEG"
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        compression = image.tag_v2.get(_COMPRESSION_TAG, 1)
        return _LOSSY_TIFF.get(compression, "")
    if image.format == "WEBP" and _is_lossy_webp(_bytes_of(path)):
        return "lossy WebP"
    return ""


def _bytes_of(path: Path) -> bytes:
    with open_plain(path) as file:
        return file.read()


def _is_lossy_webp(data: bytes) -> bool:
    """Whether any of a WebP's chunks holds lossy pixels (`VP8 `; lossless ones are `VP8L`)."""
    header_bytes = 8
    at = 12
    while at + header_bytes <= len(data):
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"VP8 ":
            return True
        # a frame holds chunks of its own, after 16 bytes
        content_bytes = 16 if name == b"ANMF" else size + size % 2
        at += header_bytes + content_bytes
    return False


def _has_16_bits(image: Image.Image) -> bool:
    """Whether the file holds more than 8 bits a channel, by the raw mode of Pillow's decoder."""
    for part in getattr(image, "tile", ()):
        arguments = part[3]
        raw_mode = arguments
        if isinstance(arguments, tuple) and arguments:
            raw_mode = arguments[0]  # e.g. `RGB;16B`; the others are offsets and compression
        if "16" in str(raw_mode):
            return True
    return False


def _other_mode(image: Image.Image) -> tuple[str, str]:
    if image.mode in ("RGBA", "LA", "PA"):
        return (
            "a picture with an alpha channel",
            "Flatten it onto white and save it as RGB.",
        )
    if image.mode.startswith(("I", "F")):
        return "a picture with more than 8 bits per channel", "Convert it to 8-bit RGB."
    if image.mode in ("L", "1"):
        return "a grayscale picture", "H&E needs colour: export the tile as RGB."
    return f"a {image.mode} picture", "Convert it to 8-bit RGB."
