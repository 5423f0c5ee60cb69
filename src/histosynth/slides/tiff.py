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
from .slide import Level, check_levels, level_0_mpp, on_glass

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


class NotThisReader(Exception):
    """The file is no TIFF of the kind this reader takes; another may."""


class TiffSlide:
    """A tiled 8-bit RGB pyramid.

    Args:
        path: the file.
        mpp: micrometres per pixel, where the file's own statement is absent or wrong.

    Raises:
        NotThisReader: leave it to OpenSlide.
        UnreadableImage: the file is cut off, or its header says an impossible size.
        MissingScale: it states no scale, and none is given.
    """

    reader = "tifffile"

    def __init__(self, path: Path, *, mpp: float | None = None) -> None:
        self.path = path
        try:
            with _silent():
                tiff = tifffile.TiffFile(path)
        except _BROKEN as error:
            raise NotThisReader(str(error)) from error
        with tiff:
            try:
                self._pages = self._find_pages(tiff)
                sizes = [(page.imagewidth, page.imagelength) for page in self._pages]
                self.levels: Sequence[Level] = check_levels(path, sizes)
                stated = stated_mpp(tiff, self._pages[0])
                for page in self._pages:  # these look into the file once, and remember
                    page.decode, page.jpegtables, page.dataoffsets, page.databytecounts  # noqa: B018
            except _BROKEN as error:
                raise NotThisReader(str(error)) from error
        self.mpp = level_0_mpp(path, stated, mpp)
        self._file = os.open(path, os.O_RDONLY)
        self._closing = weakref.finalize(self, os.close, self._file)
        self._cache: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()

    def _find_pages(self, tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
        found = [level.pages[0] for level in tiff.series[0].levels]
        pages = [page for page in found if isinstance(page, tifffile.TiffPage)]
        for page in pages:
            fits = (
                len(pages) == len(found)
                and page.is_tiled
                and page.samplesperpixel == 3
                and page.bitspersample == 8
                and page.planarconfig == 1
                and page.imagedepth == 1
            )
            if not fits:
                raise NotThisReader("not a tiled 8-bit RGB pyramid")
            if page.tilewidth * page.tilelength > MAX_SEGMENT_PX:
                reason = f"its header says segments of {page.tilewidth:,} x {page.tilelength:,} px"
                raise UnreadableImage(self.path, reason)
        return pages

    def read(self, level: int, box: Box) -> Pixels:
        """Whole pixels of a level; see `Slide.read`."""
        page = self._pages[level]
        size = self.levels[level]
        out, inside = on_glass(box, size)
        if inside is None:
            return out
        wide = page.tilewidth
        high = page.tilelength
        across = math.ceil(size.width / wide)
        for row in range(inside.y // high, (inside.bottom - 1) // high + 1):
            for column in range(inside.x // wide, (inside.right - 1) // wide + 1):
                segment = self._segment(level, row * across + column)
                cell = Box(
                    column * wide,
                    row * high,
                    segment.shape[1],
                    segment.shape[0],
                )
                shared = inside.intersect(cell)
                if shared is not None:
                    rows, columns = shared.shift(-cell.x, -cell.y).slices
                    out[shared.shift(-box.x, -box.y).slices] = segment[rows, columns]
        return out

    def _segment(self, level: int, index: int) -> Pixels:
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
                while self._cached_bytes > CACHE_BYTES and len(self._cache) > 1:
                    self._cached_bytes -= self._cache.popitem(last=False)[1].nbytes
        return decoded

    def _decode(self, page: tifffile.TiffPage, index: int) -> Pixels:
        try:
            offset = page.dataoffsets[index]
            count = page.databytecounts[index]
            if count == 0:  # a segment that was never scanned
                return np.full((page.tilelength, page.tilewidth, 3), 255, np.uint8)
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
        """Let the file go."""
        self._closing()


@contextmanager
def _silent() -> Iterator[None]:
    """Keep tifffile from telling its log every oddity of a damaged file; the refusal says what
    matters.
    """
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
    unit = page.tags.valueof("ResolutionUnit")
    x, y = (page.tags.valueof(name) for name in ("XResolution", "YResolution"))
    um = {2: 25_400.0, 3: 10_000.0}.get(int(unit or 0))
    if um is None or not x or not y or not x[0] or not y[0]:
        return None
    return float(um * (x[1] / x[0] + y[1] / y[0]) / 2)


def _ome_mpp(text: str) -> float | None:
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", text)  # no XML parser: entities cannot expand
    if pixels is None:
        return None
    facts = dict(re.findall(r'(\w+)\s*=\s*"([^"]*)"', pixels.group(1)))
    size = _number(facts.get("PhysicalSizeX", ""))
    um = _UM_PER_UNIT.get(facts.get("PhysicalSizeXUnit", "µm").replace("μ", "µ"))
    return size * um if size and um else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
