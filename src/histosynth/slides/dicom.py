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


def is_dicom(start: bytes) -> bool:
    """Whether a file begins as DICOM does: 128 bytes of any value, then a mark."""
    return start[128:132] == b"DICM"


class DicomSlide:
    """The series that a file belongs to, with the files of its folder.

    Raises:
        NeedsExtra: wsidicom is not installed.
        UnreadableImage: it holds no whole slide, or one that wsidicom does not read.
        MissingScale: it states no scale, and none is given.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        try:
            import pydicom  # noqa: F401
            import wsidicom
        except ImportError as error:
            raise NeedsExtra(
                "wsidicom, which reads DICOM that OpenSlide does not,",
                "dicom",
            ) from error
        self.path = path
        self.reader = "wsidicom"
        try:
            self._slide: Any = wsidicom.WsiDicom.open(_files_of_series(path))
        except Exception as error:
            raise UnreadableImage(path, f"wsidicom: {error}") from error
        try:
            self._read_header(mpp)
        except Exception:
            self._slide.close()
            raise

    def _read_header(self, mpp: float | None) -> None:
        levels = list(self._slide.pyramids[0])
        self._numbers = [level.level for level in levels]
        sizes = [(level.size.width, level.size.height) for level in levels]
        self.levels = check_levels(self.path, sizes)
        stated = levels[0].mpp
        stated_mpp = (stated.width + stated.height) / 2 if stated else None
        self.mpp = level_0_mpp(self.path, stated_mpp, mpp)

    def read(
        self,
        level: int,
        box: Box,
    ) -> Pixels:
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
        """Close the files."""
        self._slide.close()


def _files_of_series(path: Path) -> list[Path]:
    """All files of the folder that belong to the series of this one."""
    import pydicom

    series = pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID
    neighbours = sorted(path.parent.glob("*"))[:MAX_FILES]
    return [each for each in neighbours if _series_of(each) == series]


def _series_of(path: Path) -> str | None:
    """The series of a DICOM file; None for other files, and for damaged ones."""
    import pydicom

    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            if not is_dicom(file.read(132)):
                return None
        return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)
    except Exception:  # noqa: BLE001 - a damaged neighbour is no part of this slide
        return None
