"""Which reader opens a file: by what is in it, not by its name."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import UnreadableImage
from ..core.tile import IMAGE_SUFFIXES
from .slide import Slide

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
    *(suffix for suffix in IMAGE_SUFFIXES if suffix not in (".tif", ".tiff")),
)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PICTURES = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"BM": "BMP",
    b"RIFF": "WebP",
}


def open_slide(path: Path, *, mpp: float | None = None) -> Slide:
    """Open a slide or a plain picture.

    Args:
        path: the file. DICOM: any file of the series.
        mpp: micrometres per pixel of level 0, where the file does not state it or states it wrong.

    Raises:
        UnreadableImage: no reader takes it; cut off; an impossible size; a picture under a slide's
            name.
        NotRGB: a picture that is not 8-bit RGB.
        MissingScale: it states no believable scale, and none is given.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise UnreadableImage(path, error.strerror or str(error)) from error
    picture = next((name for magic, name in _PICTURES.items() if start.startswith(magic)), None)
    if picture:
        suffix = path.suffix.lower()
        # .vms and .mrxs keep their pixels in JPEGs beside them, but are no JPEGs themselves
        if suffix not in IMAGE_SUFFIXES or suffix in (".tif", ".tiff"):
            raise UnreadableImage(
                path, f"it is a {picture} picture under the name of a slide ({suffix})"
            )
        from .picture import PictureSlide

        return PictureSlide(path, mpp=mpp)
    if start in _TIFF:
        return _open_tiff(path, mpp)
    from .dicom import DicomSlide, is_dicom
    from .openslide import OpenSlideSlide

    if not is_dicom(path):
        return OpenSlideSlide(path, mpp=mpp)
    try:
        return OpenSlideSlide(path, mpp=mpp)
    except UnreadableImage:
        return DicomSlide(path, mpp=mpp)


def _open_tiff(path: Path, mpp: float | None) -> Slide:
    from .tiff import NotThisReader, TiffSlide

    try:
        return TiffSlide(path, mpp=mpp)
    except NotThisReader:
        from .openslide import OpenSlideSlide

    try:
        return OpenSlideSlide(path, mpp=mpp)
    except UnreadableImage:
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise
    from .picture import PictureSlide  # a flat TIFF

    return PictureSlide(path, mpp=mpp)
