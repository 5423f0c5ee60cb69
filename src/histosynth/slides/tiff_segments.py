"""Pixels of TIFF files, segment by segment (tiles or strips), by tifffile's decoders."""

from __future__ import annotations

import lzma
import math
import os
import struct
import weakref
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import numpy as np
import tifffile

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.images import MAX_PIXELS
from ..core.tile import Pixels
from .jpeg_size import JPEG, check_jpeg_size
from .remedies import pyramid_remedy
from .slide import PyramidLevel, SlideFacts, check_levels, on_glass

MAX_SEGMENT_PX = 1 << 24
CACHE_BYTES = 32 << 20
KEPT_TAGS = (530, 531, 532, 34675)
"""How YCbCr is meant, and the ICC profile: read while the file is open."""
BROKEN_TIFF = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zlib.error,
)
"""What tifffile and its decoders raise over a damaged file."""


@dataclass(frozen=True)
class PlanePart:
    """Where one or more samples of a level lie.

    Attributes:
        page: that holds them.
        first_segment: of these samples in the page.
    """

    page: tifffile.TiffPage
    first_segment: int = 0


@dataclass(frozen=True)
class TiffLevel:
    """One level: its samples R, G and B, in one part or in three."""

    parts: tuple[PlanePart, ...]

    @property
    def page(self) -> tifffile.TiffPage:
        """The page of the first part; the others have its layout."""
        return self.parts[0].page

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), px."""
        return self.page.imagewidth, self.page.imagelength

    @property
    def segment_size(self) -> tuple[int, int]:
        """(width, height) of a tile or strip, px."""
        page = self.page
        if page.is_tiled:
            return page.tilewidth, page.tilelength
        return page.imagewidth, min(page.rowsperstrip, page.imagelength)

    @property
    def segments_across(self) -> int:
        """Segments in a row."""
        return math.ceil(self.size[0] / self.segment_size[0])

    @property
    def segment_count(self) -> int:
        """Segments of one plane."""
        return self.segments_across * math.ceil(self.size[1] / self.segment_size[1])


class SegmentedSlide:
    """A slide of TIFF levels; what it shows, and at which scale, its caller has found out.

    Args:
        path: the file.
        levels: from the finest.
        facts: what the file is.
        mpp: um/px of level 0.

    Raises:
        UnreadableImage: a header that states an impossible size.
    """

    reader = "tifffile"

    def __init__(
        self,
        path: Path,
        levels: Sequence[TiffLevel],
        facts: SlideFacts,
        mpp: float,
    ) -> None:
        self.path = path
        self.facts = facts
        self.mpp = mpp
        self.levels: Sequence[PyramidLevel] = check_levels(path, [each.size for each in levels])
        self._tiff_levels = list(levels)
        for level in levels:
            _check_segments(path, level)
        self._file = os.open(path, os.O_RDONLY)
        self._closing = weakref.finalize(self, os.close, self._file)
        self._cache: OrderedDict[tuple[int, int], Pixels] = OrderedDict()
        self._cached_bytes = 0
        self._lock = Lock()

    @property
    def tiff_levels(self) -> Sequence[TiffLevel]:
        """Where the samples of each level lie."""
        return tuple(self._tiff_levels)

    def segment_bytes(self, level: int, index: int) -> bytes:
        """A segment of a level's first part as it lies in the file; empty: it was never scanned.

        Raises:
            UnreadableImage: it is cut off.
        """
        page = self._tiff_levels[level].page
        count = page.databytecounts[index]
        data = os.pread(self._file, count, page.dataoffsets[index])
        if len(data) < count:
            reason = f"segment {index} is cut off after {len(data):,} of {count:,} bytes"
            raise UnreadableImage(self.path, reason)
        return data

    def read(
        self,
        level: int,
        box: Box,
    ) -> Pixels:
        """Whole pixels of a level; see `Slide.read`."""
        source = self._tiff_levels[level]
        width, height = source.segment_size
        out, inside = on_glass(box, self.levels[level])
        if inside is None:
            return out
        first_row = inside.y // height
        last_row = (inside.bottom - 1) // height
        first_column = inside.x // width
        last_column = (inside.right - 1) // width
        for row in range(first_row, last_row + 1):
            for column in range(first_column, last_column + 1):
                segment = self._segment(level, row * source.segments_across + column)
                corner = (column * width, row * height)
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
        decoded = self._join_planes(self._tiff_levels[level], index)
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

    def _join_planes(
        self,
        level: TiffLevel,
        index: int,
    ) -> Pixels:
        """(H, W, 3) uint8 of a segment, its planes put together."""
        try:
            planes = [self._decode(part, index) for part in level.parts]
            joined = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
            if joined.ndim != 3 or joined.shape[2] != 3 or joined.dtype != np.uint8:
                raise ValueError(f"segment {index} holds no 8-bit RGB")
            return np.ascontiguousarray(joined)
        except BROKEN_TIFF as error:
            raise UnreadableImage(self.path, str(error)) from error

    def _decode(
        self,
        part: PlanePart,
        index: int,
    ) -> Pixels:
        """(H, W, samples) of a part's segment."""
        page = part.page
        index += part.first_segment
        offset = page.dataoffsets[index]
        count = page.databytecounts[index]
        if count == 0:  # a segment that was never scanned
            return _white_segment(page)
        data = os.pread(self._file, count, offset)
        if len(data) < count:
            raise ValueError(f"segment {index} is cut off after {len(data):,} of {count:,} bytes")
        if int(page.compression) == JPEG:
            _check_frame(part, index - part.first_segment, data)
        segment, *_ = page.decode(data, index, jpegtables=page.jpegtables)
        if segment is None:
            raise ValueError(f"segment {index} holds nothing")
        pixels: Pixels = segment[0]
        return pixels

    def close(self) -> None:
        """Close the file."""
        self._closing()


def _check_frame(
    part: PlanePart,
    index: int,
    data: bytes,
) -> None:
    """Refuse a JPEG stream of another size; the last ones may hold no more than is left."""
    level = TiffLevel((part,))
    row, column = divmod(index, level.segments_across)
    width, height = level.segment_size
    across, down = level.size
    check_jpeg_size(
        data,
        (width, min(width, across - column * width)),
        (height, min(height, down - row * height)),
    )


def _white_segment(page: tifffile.TiffPage) -> Pixels:
    width, height = TiffLevel((PlanePart(page),)).segment_size
    samples = page.samplesperpixel if page.planarconfig == 1 else 1
    return np.full((height, width, samples), 255, np.uint8)


def _check_segments(path: Path, level: TiffLevel) -> None:
    """Refuse segments that do not fit memory, and read each page's tables once."""
    width, height = level.segment_size
    most = MAX_SEGMENT_PX if level.page.is_tiled else MAX_PIXELS
    if min(width, height) < 1 or width * height > most:
        reason = f"its header states segments of {width:,} x {height:,} px"
        raise UnreadableImage(path, reason, "" if level.page.is_tiled else pyramid_remedy(path))
    for part in level.parts:
        page = part.page
        page.decode, page.jpegtables  # noqa: B018 - read once, and kept
        for code in KEPT_TAGS:
            page.tags.valueof(code)  # long values are read from the file, and kept
        last = part.first_segment + level.segment_count
        if min(len(page.dataoffsets), len(page.databytecounts)) < last:
            raise UnreadableImage(path, f"its header lists fewer segments than its {last:,}")


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
