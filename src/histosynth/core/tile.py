"""Tiles: RGB pictures with an address and a scale, and how they come from and go to files."""

from __future__ import annotations

import struct
import warnings
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, TiffImagePlugin, UnidentifiedImageError

from .arrays import Scalar
from .errors import NotRGB, UnreadableImage
from .geometry import Box, Size

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

MAX_PIXELS = 12_288 * 12_288
"""Below the size at which Pillow itself gives up."""
UNKNOWN_PATIENT_PREFIX = "unknown of "
"""Begins the patient of tiles whose patient is unknown; `unknown_patient` completes it."""
IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".webp", ".bmp")


@dataclass(frozen=True, slots=True)
class TileRef:
    """Where a tile comes from: slide, patient, box (level-0 px) and scale (um/px)."""

    slide: str
    patient: str
    box: Box
    mpp: float

    def __post_init__(self) -> None:
        if not self.mpp > 0:
            raise ValueError(f"mpp must be positive, not {self.mpp}")

    @property
    def has_patient(self) -> bool:
        """Whether the patient is known; see `unknown_patient`."""
        return not self.patient.startswith(UNKNOWN_PATIENT_PREFIX)


def unknown_patient(source: str) -> str:
    """The patient of all tiles of a source that states none: they may all be of one person."""
    return f"{UNKNOWN_PATIENT_PREFIX}{source}"


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Tile:
    """A picture with an address. `pixels`: (H, W, 3) uint8 RGB, 0..255, made read-only."""

    ref: TileRef
    pixels: Pixels

    def __post_init__(self) -> None:
        check_rgb(self.pixels, "tile")
        object.__setattr__(self, "pixels", read_only(self.pixels))

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return Size(self.pixels.shape[1], self.pixels.shape[0])


def read_only(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """A view of an array that cannot be written through; the caller's own array stays as it is."""
    view = array.view()
    view.flags.writeable = False
    return view


def check_rgb(pixels: Pixels, name: str) -> None:
    """Refuse arrays that are not (H, W, 3) uint8.

    Raises:
        NotRGB: naming the shape and type found.
    """
    if not isinstance(pixels, np.ndarray):
        found = f"a {type(pixels).__name__} and no array"
        raise NotRGB(
            name,
            found,
            "Hand in (height, width, 3) of type uint8, e.g. from read_rgb.",
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        found = f"an array of shape {pixels.shape} and type {pixels.dtype}"
        raise NotRGB(name, found, "Hand in (height, width, 3) of type uint8.")


def read_rgb(path: Path | str) -> Pixels:
    """Read an 8-bit RGB picture as (H, W, 3) uint8, turned as its EXIF orientation says.

    Raises:
        UnreadableImage: no picture, cut off, or over 12,288 x 12,288 px.
        NotRGB: grayscale, 16-bit, palette, or with an alpha channel.
    """
    path = Path(path)
    with _open(path) as image:
        return _as_rgb(path, image)


def decode_rgb(data: bytes, name: str) -> Pixels:
    """A picture held in memory, as `read_rgb` reads it from a file; `name` is for refusals."""
    with _open(Path(name), BytesIO(data)) as image:
        return _as_rgb(Path(name), image)


def read_picture_info(path: Path | str, data: bytes | None = None) -> tuple[Size, str]:
    """(width, height) as it will be read, and the format, e.g. `PNG`, from the header alone.

    Args:
        path: of the file, or the name of what `data` holds.
        data: a picture held in memory; None: the file is read.

    Raises:
        UnreadableImage: no picture, or too large.
    """
    with _open(Path(path), None if data is None else BytesIO(data)) as image:
        try:
            # asked of a PNG without it, Pillow would read all of the picture
            told = image.format != "PNG" or "exif" in image.info
            turned = told and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        except (OSError, struct.error, *_DAMAGED) as error:
            raise UnreadableImage(Path(path), str(error)) from error
        width, height = image.size
        if turned:
            width, height = height, width
        return Size(width, height), str(image.format)


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
        raise NotRGB(str(path), *_other_mode(image))
    # Pillow would drop the lower eight bits
    if any("16" in _raw_mode(part[3]) for part in getattr(image, "tile", ())):
        raise NotRGB(
            str(path),
            "a picture with more than 8 bits per channel",
            "Convert it to 8-bit RGB.",
        )
    return np.array(_load(path, image), dtype=np.uint8)


def read_mask(path: Path | str) -> Mask:
    """Read a mask: any lossless picture, True where something but black is seen. Shape (H, W).

    Like a picture it is turned as its EXIF orientation says.

    Raises:
        UnreadableImage: no picture, cut off, too large, or packed with loss (JPEG, also inside a
            TIFF, and lossy WebP), which smears the edges of a mask.
    """
    path = Path(path)
    with _open(path) as image:
        if lossy := _lossy(path, image):
            raise UnreadableImage(path, f"it is a {lossy}, which smears the edges of a mask")
        loaded = _load(path, image)
        if loaded.mode in ("P", "RGBA", "LA", "PA", "CMYK"):
            seen = loaded.convert(
                "RGBA"
            )  # what is seen counts: not indices, nor what is transparent
            loaded = Image.alpha_composite(
                Image.new("RGBA", seen.size, (0, 0, 0, 255)), seen
            ).convert("RGB")
        values = np.asarray(loaded)
    return np.asarray(values.any(axis=2) if values.ndim == 3 else values != 0)


def write_mask(path: Path | str, mask: Mask) -> None:
    """Write a mask as an 8-bit picture, 255 where True."""
    from .store import atomic_write

    with atomic_write(Path(path)) as temporary:
        Image.fromarray(mask.astype(np.uint8) * 255).save(temporary)


_FORMATS = ("PNG", "TIFF", "JPEG", "WEBP", "BMP")
"""What is taken. Others of Pillow's readers start programs, or are rarely tried."""
_DAMAGED = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What Pillow raises over files that are cut off or damaged."""


def _open(path: Path, data: BytesIO | None = None) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # our own limit follows, and damage shows in reading
            image = Image.open(data or path, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UnreadableImage(path, "no known picture format") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage(path, str(error)) from error
    except OSError as error:
        raise UnreadableImage(path, error.strerror or str(error)) from error
    except _DAMAGED as error:
        raise UnreadableImage(path, str(error)) from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnreadableImage(
            path,
            f"{image.width} x {image.height} px is over the limit of {MAX_PIXELS} px",
        )
    return image


def _load(path: Path, image: Image.Image) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image.load()
            ImageOps.exif_transpose(image, in_place=True)
    except (OSError, *_DAMAGED) as error:
        raise UnreadableImage(path, str(error)) from error
    return image


def _lossy(path: Path, image: Image.Image) -> str:
    """What a picture is packed with that loses something; empty where nothing is lost."""
    if image.format in ("JPEG", "MPO"):
        return "JPEG"
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return _LOSSY_TIFF.get(image.tag_v2.get(259, 1), "")
    if image.format == "WEBP" and _is_lossy_webp(path.read_bytes()):
        return "lossy WebP"
    return ""


_LOSSY_TIFF = {
    6: "TIFF packed as JPEG",
    7: "TIFF packed as JPEG",
    50001: "TIFF packed as WebP",
}


def _is_lossy_webp(data: bytes) -> bool:
    """Whether any of a WebP's chunks holds lossy pixels (`VP8 `; lossless ones are `VP8L`)."""
    at = 12
    while at + 8 <= len(data):
        name = data[at : at + 4]
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if name == b"VP8 ":
            return True
        at += 8 + (16 if name == b"ANMF" else size + size % 2)  # a frame holds chunks of its own
    return False


def _raw_mode(arguments: object) -> str:
    """How pixels lie in the file, e.g. `RGB;16B`, of all that Pillow tells its decoder."""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


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
