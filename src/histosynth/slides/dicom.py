"""DICOM whole slides that OpenSlide refuses, by wsidicom; extra `histosynth[dicom]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import NeedsExtra, UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .slide import check_levels, level_0_mpp, on_glass

MAX_FILES = 10_000


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does: 128 bytes of anything, then a mark."""
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


class DicomSlide:
    """The series that a file belongs to, with the files of its folder.

    Raises:
        NeedsExtra: wsidicom is not installed.
        UnreadableImage: it holds no whole slide, or one that wsidicom does not read.
        MissingScale: it states no scale, and none is given.
    """

    def __init__(self, path: Path, *, mpp: float | None = None) -> None:
        try:
            import pydicom
            import wsidicom
        except ImportError as error:
            raise NeedsExtra(
                "wsidicom, which reads DICOM that OpenSlide does not,", "dicom"
            ) from error
        self.path = path
        self.reader = "wsidicom"
        try:
            series = pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID
            files = [
                each
                for each in sorted(path.parent.glob("*"))[:MAX_FILES]
                if _series(each) == series
            ]
            self._slide: Any = wsidicom.WsiDicom.open(files)
        except Exception as error:
            raise UnreadableImage(path, f"wsidicom: {error}") from error
        try:
            parts = list(self._slide.pyramids[0])
            self._numbers = [part.level for part in parts]
            self.levels = check_levels(
                path, [(part.size.width, part.size.height) for part in parts]
            )
            stated = parts[0].mpp
            stated_mpp = (stated.width + stated.height) / 2 if stated else None
            self.mpp = level_0_mpp(path, stated_mpp, mpp)
        except Exception:
            self._slide.close()
            raise

    def read(self, level: int, box: Box) -> Pixels:
        """Whole pixels of a level; see `Slide.read`."""
        size = self.levels[level]
        out, inside = on_glass(box, size)
        if inside is None:
            return out
        try:
            region = self._slide.read_region(
                (inside.x, inside.y),
                self._numbers[level],
                (inside.width, inside.height),
            )
            pixels = np.asarray(region.convert("RGB"))
        except Exception as error:
            raise UnreadableImage(self.path, f"wsidicom: {error}") from error
        out[inside.shift(-box.x, -box.y).slices] = pixels
        return out

    def close(self) -> None:
        """Let the files go."""
        self._slide.close()


def _series(path: Path) -> str | None:
    import pydicom

    try:
        if path.is_file() and is_dicom(path):
            return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
    except Exception:  # noqa: BLE001 - a damaged neighbour is no part of this slide
        return None
    return None
