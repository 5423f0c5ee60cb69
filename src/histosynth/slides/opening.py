"""Which reader opens a file: by its first bytes, not by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UnreadableImage
from ..core.images import IMAGE_SUFFIXES
from ..core.plain_files import open_plain
from .dicom import is_dicom
from .slide import NotThisReader, Slide

_TIFF_SUFFIXES = (".tif", ".tiff")
_PICTURE_SUFFIXES = tuple(suffix for suffix in IMAGE_SUFFIXES if suffix not in _TIFF_SUFFIXES)
SLIDE_SUFFIXES = (
    ".svs",
    ".tif",
    ".tiff",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".vms",
    ".vmu",
    ".bif",
    ".svslide",
    ".czi",
    ".dcm",
    *_PICTURE_SUFFIXES,
)
_START_BYTES = 132
"""As many as any reader needs to recognise its files."""
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OF_SEVERAL_READERS = ("", "generic-tiff", "dicom")
"""Formats of which OpenSlide reads a part, by its names; "": those that it does not know."""
_PICTURE_STARTS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"RIFF": "WebP",
}


@dataclass(frozen=True)
class SlideReader:
    """One way to read files.

    Attributes:
        name: of the reader.
        accepts: whether a file with these first bytes may be its own.
        open: opens a file with the scale that the user gives; raises `NotThisReader` where another
            reader may take it.
    """

    name: str
    accepts: Callable[[Path, bytes], bool]
    open: Callable[[Path, float | None], Slide]


def _accepts_picture(path: Path, start: bytes) -> bool:
    return bool(_picture_format(start))


def _open_picture(path: Path, mpp: float | None) -> Slide:
    from .picture import PictureSlide

    with open_plain(path) as file:
        picture_format = _picture_format(file.read(_START_BYTES))
    suffix = path.suffix.lower()
    # .vms and .mrxs keep their pixels in JPEGs next to them, but are no JPEGs themselves
    if suffix not in _PICTURE_SUFFIXES:
        raise UnreadableImage(
            path, f"it is a {picture_format} picture under the name of a slide ({suffix})"
        )
    return PictureSlide(path, mpp=mpp)


def _picture_format(start: bytes) -> str:
    """PNG, JPEG, ... of a file's first bytes; "" for other files."""
    for magic, name in _PICTURE_STARTS.items():
        if start.startswith(magic):
            return name
    return ""


def _accepts_tiff(path: Path, start: bytes) -> bool:
    return start.startswith(_TIFF_STARTS)


def _open_ome(path: Path, mpp: float | None) -> Slide:
    from .ome import OmeSlide

    return OmeSlide(path, mpp=mpp)


def _open_tiff(path: Path, mpp: float | None) -> Slide:
    from .tiff import TiffSlide

    return TiffSlide(path, mpp=mpp)


def _accepts_any(path: Path, start: bytes) -> bool:
    return True


def _open_openslide(path: Path, mpp: float | None) -> Slide:
    from .openslide import OpenSlideSlide, format_of

    try:
        slide = OpenSlideSlide(path, mpp=mpp)
    except UnreadableImage as error:
        if format_of(path) in _OF_SEVERAL_READERS:
            raise NotThisReader(error) from error
        raise  # of a vendor's format another reader could show a macro picture
    slide.check_colours()
    return slide


def _accepts_dicom(path: Path, start: bytes) -> bool:
    return is_dicom(start)


def _open_dicom(path: Path, mpp: float | None) -> Slide:
    from .dicom import DicomSlide

    return DicomSlide(path, mpp=mpp)


def _accepts_flat_tiff(path: Path, start: bytes) -> bool:
    return _accepts_tiff(path, start) and path.suffix.lower() in IMAGE_SUFFIXES


def _open_flat_tiff(path: Path, mpp: float | None) -> Slide:
    from .flat_tiff import FlatTiffSlide

    return FlatTiffSlide(path, mpp=mpp)


SLIDE_READERS = (
    SlideReader("picture", _accepts_picture, _open_picture),
    SlideReader("OME-TIFF", _accepts_tiff, _open_ome),
    SlideReader("tifffile", _accepts_tiff, _open_tiff),
    SlideReader("openslide", _accepts_any, _open_openslide),
    SlideReader("wsidicom", _accepts_dicom, _open_dicom),
    SlideReader(
        "flat TIFF",
        _accepts_flat_tiff,
        _open_flat_tiff,
    ),
)
"""All readers, in the order in which they are tried. A new one is a file and a line."""


def open_slide(path: Path, *, mpp: float | None = None) -> Slide:
    """Open a slide or a plain picture.

    Args:
        path: the file. DICOM: any file of the series.
        mpp: micrometres per pixel of level 0, where the file does not state it or states it wrong.

    Raises:
        UnreadableImage: no reader takes it; cut off; an impossible size; a picture under a slide's
            name.
        NotRGB: a slide or picture that is not 8-bit RGB.
        MissingScale: it states no plausible scale, and none is given.
        ConflictingScales: it states two scales that differ by more than 1 %, and none is given.
    """
    try:
        with open_plain(path) as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableImage(path, reason, "Check the path.") from error
    refusal = UnreadableImage(path, "no reader takes it")
    for reader in SLIDE_READERS:
        if not reader.accepts(path, start):
            continue
        try:
            return reader.open(path, mpp)
        except NotThisReader as error:
            refusal = error.refusal or refusal
    raise refusal
