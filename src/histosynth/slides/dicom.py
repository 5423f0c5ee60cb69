"""DICOM whole slides that OpenSlide refuses, by wsidicom; extra `histosynth[dicom]`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import NeedsExtra, NotRGB, UnreadableImage, first_line
from ..core.geometry import Box
from ..core.plain_files import open_plain
from ..core.tile import Pixels
from .dicom_objects import NOT_SLIDES, TRANSFER_SYNTAXES, WHOLE_SLIDE, object_of
from .scale import ScaleStatement, scale_of
from .slide import SlideFacts, check_levels, fitting_levels, on_glass

MAX_FILES = 10_000
HEADER_BYTES = 4096
_NEEDS_COLOUR = "H&E needs colour: export the brightfield slide as 8-bit RGB."


def is_dicom(start: bytes) -> bool:
    """Whether a file begins as DICOM does: 128 bytes of any value, then a mark."""
    return start[128:132] == b"DICM"


class DicomSlide:
    """The series that a file belongs to, with the files of its folder.

    Raises:
        NeedsExtra: wsidicom is not installed.
        UnreadableImage: it holds no whole slide, or one that wsidicom does not read.
        NotRGB: grayscale, or more than 8 bits.
        MissingScale, ConflictingScales: it states no scale, or two, and none is given.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        _check_object(path)
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
        header = _check_colour(path)
        try:
            files = files_of_series(path)
            with _quiet():
                self._slide: Any = wsidicom.WsiDicom.open(files)
        except Exception as error:
            raise UnreadableImage(path, f"wsidicom: {error}") from error
        try:
            syntax = str(header.file_meta.TransferSyntaxUID)
            self._read_header(mpp, TRANSFER_SYNTAXES.get(syntax, syntax))
        except Exception:
            self._slide.close()
            raise

    def _read_header(self, mpp: float | None, compression: str) -> None:
        levels = list(self._slide.pyramids[0])
        sizes = [(level.size.width, level.size.height) for level in levels]
        kept = fitting_levels(sizes)
        self._numbers = [levels[index].level for index in kept]
        self.levels = check_levels(self.path, [sizes[index] for index in kept])
        stated = levels[0].mpp
        scale = ScaleStatement(
            "its PixelSpacing",
            x=stated.width if stated else None,
            y=stated.height if stated else None,
        )
        self.facts = SlideFacts("dicom", compression, (scale,))
        self.mpp = scale_of(self.path, self.facts.scale, mpp)

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


def _check_object(path: Path) -> None:
    """Refuse objects of DICOM that are no slides by what they are."""
    with open_plain(path) as file:
        uid = object_of(file.read(HEADER_BYTES))
    if uid in NOT_SLIDES:
        raise UnreadableImage(
            path,
            f"it is a DICOM {NOT_SLIDES[uid]}, not a slide",
            "Give a file of the slide's own series (VL Whole Slide Microscopy Image).",
        )


def _check_colour(path: Path) -> Any:
    """The header of a file, if it states 8-bit colour."""
    try:
        header = _header_of(path)
        samples = int(header.get("SamplesPerPixel", 0))
        photometric = str(header.get("PhotometricInterpretation", ""))
        bits = int(header.get("BitsAllocated", 0))
        uid = str(header.get("SOPClassUID", ""))
        header.file_meta.TransferSyntaxUID  # noqa: B018 - a header without it is damaged
    except Exception as error:
        raise UnreadableImage(path, f"pydicom: {first_line(error)}") from error
    if uid != WHOLE_SLIDE:
        name = NOT_SLIDES.get(uid) or f"object of class {uid or 'unknown'}"
        raise UnreadableImage(
            path,
            f"it is a DICOM {name}, not a slide",
            "Give a file of the slide's own series (VL Whole Slide Microscopy Image).",
        )
    if samples != 3:
        is_grey = photometric.startswith("MONOCHROME")
        found = "a grayscale picture" if is_grey else f"a picture of {samples} channel(s)"
        raise NotRGB(str(path), found, _NEEDS_COLOUR)
    if bits != 8:
        raise NotRGB(str(path), "a picture with more than 8 bits per channel", _NEEDS_COLOUR)
    return header


def _header_of(path: Path) -> Any:
    """All of a DICOM file but its pixels."""
    import pydicom

    with _quiet(), open_plain(path) as file:
        return pydicom.dcmread(file, stop_before_pixels=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from warning of every oddity; the refusal has what matters."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def files_of_series(path: Path) -> list[Path]:
    """All files of the folder that belong to the series of this one."""
    series = _header_of(path).SeriesInstanceUID
    neighbours = sorted(path.parent.glob("*"))[:MAX_FILES]
    return [each for each in neighbours if series_in_header(each) == series]


def series_in_header(path: Path) -> str | None:
    """The series of a DICOM file; None for other files, and for damaged ones."""
    try:
        if not path.is_file():
            return None
        with open_plain(path) as file:
            if not is_dicom(file.read(132)):
                return None
        return str(_header_of(path).SeriesInstanceUID)
    except Exception:  # noqa: BLE001 - a damaged neighbour is no part of this slide
        return None
