"""TIFF-family slides (Aperio SVS, OME-TIFF, generic pyramids) by tifffile: the fast path.

Segments are read where they lie in the file and decoded alone, with the same libjpeg that OpenSlide
uses, so the pixels are the same. What this reader does not take goes to OpenSlide.
"""

from __future__ import annotations

import logging
import math
import os
import re
import weakref
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tifffile

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .slide import NotThisReader, PyramidLevel, check_levels, level_0_mpp, on_glass

MAX_SEGMENT_PX = 1 << 24
CACHE_BYTES = 32 << 20
_UM_PER_UNIT = {
    "µm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
}


_BROKEN = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What tifffile and its decoders raise over a damaged file."""


class TiffSlide:
    """A tiled 8-bit RGB pyramid.

    Args:
        path: the file.
        mpp: micrometres per pixel, where the file states none or a wrong one.

    Raises:
        NotThisReader: another reader may take it.
        UnreadableImage: the file is cut off, or its header states an impossible size.
        MissingScale: it states no scale, and none is given.
    """

    reader = "tifffile"

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        self.path = path
        try:
            with _silent():
                tiff = tifffile.TiffFile(path)
        except _BROKEN as error:
            raise _not_this_reader(path, str(error)) from error
        with tiff:
            try:
                self._pages = self._find_pages(tiff)
                sizes = [(page.imagewidth, page.imagelength) for page in self._pages]
                self.levels: Sequence[PyramidLevel] = check_levels(path, sizes)
                stated = stated_mpp(tiff, self._pages[0])
                for page in self._pages:  # these read the file once, and keep the result
                    page.decode, page.jpegtables, page.dataoffsets, page.databytecounts  # noqa: B018
            except _BROKEN as error:
                raise _not_this_reader(path, str(error)) from error
        self.mpp = level_0_mpp(path, stated, mpp)
        self._file = os.open(path, os.O_RDONLY)
        self._closing = weakref.finalize(self, os.close, self._file)
        self._cache: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()

    def _find_pages(self, tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
        """The first page of each level."""
        pages: list[tifffile.TiffPage] = []
        for level in tiff.series[0].levels:
            page = level.pages[0]
            if not isinstance(page, tifffile.TiffPage) or not _is_tiled_rgb(page):
                raise _not_this_reader(self.path, "not a tiled 8-bit RGB pyramid")
            if page.tilewidth * page.tilelength > MAX_SEGMENT_PX:
                size = f"{page.tilewidth:,} x {page.tilelength:,} px"
                raise UnreadableImage(self.path, f"its header states segments of {size}")
            pages.append(page)
        return pages

    def read(
        self,
        level: int,
        box: Box,
    ) -> Pixels:
        """Whole pixels of a level; see `Slide.read`."""
        page = self._pages[level]
        size = self.levels[level]
        out, inside = on_glass(box, size)
        if inside is None:
            return out
        segments_across = math.ceil(size.width / page.tilewidth)
        first_row = inside.y // page.tilelength
        last_row = (inside.bottom - 1) // page.tilelength
        first_column = inside.x // page.tilewidth
        last_column = (inside.right - 1) // page.tilewidth
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                segment = self._segment(level, row * segments_across + column)
                corner = (column * page.tilewidth, row * page.tilelength)
                _copy_segment(segment, corner, out, box, inside)
        return out

    def _segment(
        self,
        level: int,
        index: int,
    ) -> Pixels:
        """A decoded segment, from the cache where it is there."""
        key = (level, index)
        with self._lock:
            if key in self._cache:
                self._cache.move_to_end(key)
                return self._cache[key]
        decoded = self._decode(self._pages[level], index)
        with self._lock:
            if key not in self._cache:
                self._cache[key] = decoded
                self._cached_bytes += decoded.nbytes
                self._shrink_cache()
        return decoded

    def _shrink_cache(self) -> None:
        while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
            _, oldest = self._cache.popitem(last=False)
            self._cached_bytes -= oldest.nbytes

    def _decode(
        self,
        page: tifffile.TiffPage,
        index: int,
    ) -> Pixels:
        try:
            offset = page.dataoffsets[index]
            count = page.databytecounts[index]
            if count == 0:  # a segment that was never scanned
                return np.full(
                    (page.tilelength, page.tilewidth, 3),
                    255,
                    np.uint8,
                )
            data = os.pread(self._file, count, offset)
            if len(data) < count:
                raise ValueError(
                    f"segment {index} is cut off after {len(data):,} of {count:,} bytes"
                )
            segment, *_ = page.decode(data, index, jpegtables=page.jpegtables)
            if segment is None:
                raise ValueError(f"segment {index} holds nothing")
            return np.ascontiguousarray(segment[0])
        except _BROKEN as error:
            raise UnreadableImage(self.path, str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._closing()


def _is_tiled_rgb(page: tifffile.TiffPage) -> bool:
    """Whether a page holds tiles of interleaved 8-bit RGB."""
    return (
        page.is_tiled
        and page.samplesperpixel == 3
        and page.bitspersample == 8
        and page.planarconfig == 1
        and page.imagedepth == 1
    )


def _copy_segment(
    segment: Pixels,
    corner: tuple[int, int],
    out: Pixels,
    box: Box,
    inside: Box,
) -> None:
    """Copy the part of a segment that lies in the box.

    Args:
        segment: (H, W, 3) uint8.
        corner: (x, y) of the segment in the level.
        out: (H, W, 3) uint8 of the whole box; written to.
        box: in the level.
        inside: the part of the box that lies on the slide.
    """
    height, width, _ = segment.shape
    cell = Box(*corner, width, height)
    shared = inside.intersect(cell)
    if shared is not None:
        rows, columns = shared.shift(-cell.x, -cell.y).slices
        out[shared.shift(-box.x, -box.y).slices] = segment[rows, columns]


def _not_this_reader(path: Path, reason: str) -> NotThisReader:
    return NotThisReader(UnreadableImage(path, reason))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep tifffile from logging every oddity of a damaged file; the refusal has what matters."""
    log = logging.getLogger("tifffile")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def stated_mpp(tiff: tifffile.TiffFile, page: Any) -> float | None:
    """Micrometres per pixel that a TIFF states, or None."""
    if tiff.is_svs:
        found = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", page.description)
        return _number(found.group(1)) if found else None
    if tiff.is_ome:
        return _ome_mpp(tiff.ome_metadata or "")
    return _resolution_mpp(page)


def _resolution_mpp(page: Any) -> float | None:
    """Micrometres per pixel of the tags of baseline TIFF: pixels per inch or centimetre."""
    unit = page.tags.valueof("ResolutionUnit")
    um_per_unit = {2: 25_400.0, 3: 10_000.0}.get(int(unit or 0))
    x = page.tags.valueof("XResolution")
    y = page.tags.valueof("YResolution")
    is_stated = um_per_unit is not None and x and y and x[0] and y[0]
    if um_per_unit is None or not is_stated:
        return None
    return float(um_per_unit * (x[1] / x[0] + y[1] / y[0]) / 2)


def _ome_mpp(text: str) -> float | None:
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", text)  # no XML parser: entities cannot expand
    if pixels is None:
        return None
    attributes = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', pixels.group(1)))
    size = _number(attributes.get("PhysicalSizeX", ""))
    unit = attributes.get("PhysicalSizeXUnit", "µm").replace("μ", "µ")
    um_per_unit = _UM_PER_UNIT.get(unit)
    return size * um_per_unit if size and um_per_unit else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
