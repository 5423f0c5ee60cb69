"""DICOM slides are series of files: one for each level, and more for label and overview."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import openslide

from ..core.plain_files import open_plain
from .dicom import is_dicom, series_in_header

_MARK_BYTES = 132
_SERIES = "dicom.SeriesInstanceUID"


def one_file_a_slide(paths: Iterable[Path]) -> list[Path]:
    """The paths, and of a DICOM series in one folder only the first by name.

    Each file of a series opens the whole slide, so that all of them would be the same slide again.
    """
    kept: list[Path] = []
    known: set[tuple[Path, str]] = set()
    for path in sorted(paths):
        series = series_of(path)
        key = (path.parent, series)
        if series and key in known:
            continue
        known.add(key)
        kept.append(path)
    return kept


def series_of(path: Path) -> str:
    """The series that a DICOM file belongs to; "" for other files, and where none is found."""
    try:
        with open_plain(path) as file:
            if not is_dicom(file.read(_MARK_BYTES)):
                return ""
    except OSError:
        return ""
    try:
        with openslide.OpenSlide(path) as slide:
            return str(slide.properties[_SERIES])
    except (openslide.OpenSlideError, OSError, KeyError):
        return series_in_header(path) or ""
