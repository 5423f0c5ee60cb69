"""The formats of written slides: an OME-TIFF file, or a folder of DICOM files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import BadOption
from .aperio_form import read_aperio_recipe
from .description import SlideDescription, read_ome_recipe
from .dicom_files import (
    DICOM_SUFFIX,
    first_level,
    is_dicom_name,
    read_dicom_recipe,
    write_dicom_folder,
)
from .dicom_header import DicomLevel, check_dicom
from .encoding import CODECS, Encoding
from .ome_tiff import write_ome_tiff
from .parts import SlideParts

OME_SUFFIXES = (".ome.tiff", ".ome.tif")
WRITTEN_SUFFIXES = (*OME_SUFFIXES, DICOM_SUFFIX)


def check_slide_format(out: Path, encoding: Encoding) -> None:
    """Refuse a name or codec that no format has, before any work.

    Args:
        out: the slide: `NAME.ome.tiff`, or `NAME.dicom` for a folder of DICOM files.
        encoding: of its tiles.

    Raises:
        BadOption: it has another ending, or the format does not have the codec.
        NeedsExtra: DICOM is wanted, and pydicom is not installed.
    """
    if not out.name.lower().endswith(WRITTEN_SUFFIXES):
        wanted = "a name that ends in .ome.tiff, or in .dicom for a folder of DICOM files"
        raise BadOption("--out", out.name, wanted)
    check_codec(out, encoding)


def check_codec(out: Path, encoding: Encoding) -> None:
    """Refuse a codec that the format of a slide of this name does not have.

    Raises:
        BadOption: naming those that it has.
        NeedsExtra: it is DICOM, and pydicom is not installed.
    """
    is_dicom = is_dicom_name(out)
    if is_dicom:
        check_dicom()
    if _fits(encoding, is_dicom):
        return
    names = [name for name in CODECS if _fits(Encoding(name), is_dicom)]
    form = "DICOM" if is_dicom else "OME-TIFF"
    raise BadOption(f"the codec of {form}", encoding.codec, f"one of {', '.join(names)}")


def _fits(encoding: Encoding, is_dicom: bool) -> bool:
    return encoding.dicom is not None if is_dicom else encoding.is_for_tiff


def write_slide(
    out: Path,
    parts: SlideParts,
    description: SlideDescription,
    tiles: Sequence[Iterable[bytes]],
    sizes: Sequence[int],
) -> None:
    """Write a slide from its encoded tiles, whole or not at all.

    Args:
        out: the slide; its ending decides the format.
        parts: what is written.
        description: what it states of itself.
        tiles: of each level, the encoded tiles row by row; they are read once.
        sizes: bytes of all tiles of each level.

    Raises:
        NotWritable: it cannot be written, or a folder of DICOM is there.
    """
    if not is_dicom_name(out):
        write_ome_tiff(
            out,
            parts.pyramid,
            parts.encoding,
            description,
            tiles,
        )
        return
    levels = [
        DicomLevel(
            parts.pyramid,
            parts.encoding,
            description,
            parts.identity.hex(),
            level,
            size,
        )
        for level, size in enumerate(sizes)
    ]
    write_dicom_folder(out, levels, tiles)


def first_file(slide: Path) -> Path:
    """What readers open of a slide: the OME-TIFF itself, or the DICOM file of level 0.

    Raises:
        UnreadableImage: a folder without it.
    """
    return first_level(slide) if slide.is_dir() else slide


def read_slide_recipe(path: Path) -> dict[str, Any] | None:
    """The recipe in a whole slide that histosynth wrote, or None.

    Args:
        path: an OME-TIFF, an SVS, or a folder of DICOM files.

    Raises:
        NotThisReader: a file that is no TIFF.
    """
    if path.is_dir():
        return read_dicom_recipe(path)
    return read_ome_recipe(path) or read_aperio_recipe(path)
