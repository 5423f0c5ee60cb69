"""Slides of several files: DICOM series, and formats that keep their pixels next to the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import openslide

from ..core.plain_files import open_plain
from .dicom import files_of_series, is_dicom, series_in_header

_MARK_BYTES = 132
_SERIES = "dicom.SeriesInstanceUID"
_LISTING_SUFFIXES = (".vms", ".vmu")
"""Of texts that name the files of the pixels."""
_MAX_LISTING_BYTES = 1 << 20


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


def files_of_slide(path: Path) -> list[Path]:
    """All files that a slide is read from, its own first.

    Raises:
        OSError: its folder cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix == ".mrxs":
        folder = path.with_suffix("")
        parts = sorted(folder.rglob("*"))
    elif suffix in _LISTING_SUFFIXES:
        parts = _listed_files(path)
    elif series_in_header(path):
        parts = files_of_series(path)
    else:
        return [path]
    files = [part for part in parts if part.is_file()]
    return list(dict.fromkeys([path, *files]))


def _listed_files(path: Path) -> list[Path]:
    """Files of the same folder that a text names."""
    with open_plain(path) as file:
        listing = file.read(_MAX_LISTING_BYTES)
    named = []
    for each in sorted(path.parent.iterdir()):
        name = each.name.encode("utf-8", "surrogateescape")
        if name in listing:
            named.append(each)
    return named
