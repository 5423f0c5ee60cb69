"""The levels of a slide whose tiles are carried over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tifffile

from ...core.errors import UnreadableImage
from ...core.geometry import Box, Size
from ...core.tile import Mask, Pixels
from ..jpeg_size import JPEG, check_jpeg_size
from ..slide import Slide
from ..tiff_forms import compression_name
from ..tiff_segments import BROKEN_TIFF, SegmentedSlide, TiffLevel
from .aperio_ycbcr import aperio_ycbcr
from .codecs import (
    APERIO_YCBCR,
    JPEG_2000,
    LOSSLESS,
    BlockGrid,
    codec_grid,
    decode_jpeg2000,
    encode_jpeg,
    encode_jpeg2000,
    encode_lossless,
)

_REWRITE = "Write it anew without loss: --rewrite deflate (about 2 bytes a pixel)."
_PREDICTORS = (1, 2)
GRID_STEP_PX = 64
"""Grids divide this."""


@dataclass(frozen=True, eq=False)
class CarriedLevel:
    """One level, tile by tile.

    Attributes:
        slide: whose.
        number: of the level.
        grid: (width, height) px of what is replaced as a whole.
        reach: px (across, down) beyond it that decoders may change by interpolating colour.
    """

    slide: SegmentedSlide
    number: int
    grid: tuple[int, int]
    reach: tuple[int, int]

    @property
    def page(self) -> tifffile.TiffPage:
        """Its tags."""
        return self.slide.tiff_levels[self.number].page

    @property
    def size(self) -> Size:
        """(width, height) px."""
        return Size(*self.slide.tiff_levels[self.number].size)

    @property
    def tile_size(self) -> Size:
        """(width, height) px of a tile."""
        return Size(*self.slide.tiff_levels[self.number].segment_size)

    @cached_property
    def tiles(self) -> Size:
        """Tiles (across, down)."""
        width, height = self.tile_size
        return Size(math.ceil(self.size.width / width), math.ceil(self.size.height / height))

    @property
    def count(self) -> int:
        """All tiles."""
        return self.tiles.width * self.tiles.height

    def box(self, index: int) -> Box:
        """Where a tile lies; it may reach beyond the level."""
        row, column = divmod(index, self.tiles.width)
        width, height = self.tile_size
        return Box(
            column * width,
            row * height,
            width,
            height,
        )

    def touched(self, box: Box) -> list[int]:
        """Tiles that hold some of a box."""
        width, height = self.tile_size
        inside = box.intersect(
            Box(
                0,
                0,
                *self.size,
            )
        )
        if inside is None:
            return []
        columns = range(inside.x // width, (inside.right - 1) // width + 1)
        rows = range(inside.y // height, (inside.bottom - 1) // height + 1)
        return [row * self.tiles.width + column for row in rows for column in columns]

    def data(self, index: int) -> bytes:
        """A tile as it lies in the file; empty: it was never scanned."""
        return self.slide.segment_bytes(self.number, index)

    def obstacle(self, index: int) -> str:
        """Why a tile cannot be written with other pixels; "" where it can."""
        data = self.data(index)
        if not data:
            return "it was never scanned"
        try:
            found = codec_grid(self.page, data)
        except ValueError as error:
            return str(error)
        if found != (self.grid, self.reach):
            return "its blocks of JPEG are not those of the level's first tile"
        return ""

    def decoded(
        self,
        index: int,
        data: bytes | None = None,
        *,
        page: tifffile.TiffPage | None = None,
    ) -> Pixels:
        """All pixels (H, W, 3) of a tile, those beyond the level too.

        Args:
            index: of the tile.
            data: in place of those of the file.
            page: whose tags say how to decode it; None: those of the file.

        Raises:
            UnreadableImage: it cannot be decoded.
        """
        page = page or self.page
        if data is None:
            data = self.data(index)
        height, width = self.tile_size.shape
        if not data:
            return np.full(
                (
                    height,
                    width,
                    3,
                ),
                255,
                np.uint8,
            )
        try:
            return _decoded(
                page,
                index,
                data,
            )
        except BROKEN_TIFF as error:
            raise UnreadableImage(self.slide.path, str(error)) from error

    def replaced(self, index: int, tile: Pixels, where: Mask) -> bytes:
        """A tile with other pixels in some places, equal everywhere else after decoding.

        Args:
            index: of the tile.
            tile: (H, W, 3) uint8 of the whole tile.
            where: (H, W) bool, which to take from it; whole cells of `grid`.

        Raises:
            UnreadableImage: it cannot be edited, or was never scanned.
        """
        code = int(self.page.compression)
        if code in LOSSLESS:
            pixels = np.where(
                where[..., None],
                tile,
                self.decoded(index),
            )
            return encode_lossless(self.page, pixels)
        data = self.data(index)
        if not data:
            reason = f"its tile {index} of level {self.number} was never scanned"
            raise UnreadableImage(
                self.slide.path,
                reason,
                "Leave this place out.",
            )
        encode = encode_jpeg if code == JPEG else encode_jpeg2000
        try:
            return encode(
                self.page,
                data,
                tile,
                where,
            )
        except ValueError as error:
            raise UnreadableImage(
                self.slide.path,
                str(error),
                _REWRITE,
            ) from error


def _decoded(
    page: tifffile.TiffPage,
    index: int,
    data: bytes,
) -> Pixels:
    """All pixels (H, W, 3) uint8 of a tile.

    Raises:
        ValueError, or what decoders raise: it cannot be decoded.
    """
    height, width = int(page.tilelength), int(page.tilewidth)
    code = int(page.compression)
    if code in JPEG_2000:
        return decode_jpeg2000(page, data)
    if code == JPEG:
        check_jpeg_size(
            data,
            [width],
            [height],
        )
    segment, *_ = page.decode(
        data,
        index,
        jpegtables=page.jpegtables,
    )
    if segment is None:
        raise ValueError(f"tile {index} holds nothing")
    pixels: Pixels = np.asarray(segment[0])
    wanted = (
        height,
        width,
        3,
    )
    if pixels.shape != wanted or pixels.dtype != np.uint8:
        raise ValueError(f"tile {index} is not {width} x {height} px of 8-bit RGB")
    return pixels


def grown_on_grid(where: Mask, grid: tuple[int, int]) -> Mask:
    """A mask of a box that begins on a grid, grown to whole cells of it.

    Args:
        where: (H, W) bool.
        grid: (width, height) px of a cell.
    """
    width, height = grid
    rows, columns = where.shape
    spare = ((0, -rows % height), (0, -columns % width))
    cells = np.pad(where, spare)
    by_cell = cells.reshape(
        cells.shape[0] // height,
        height,
        -1,
        width,
    ).any(axis=(1, 3))
    wide = by_cell.repeat(height, axis=0).repeat(width, axis=1)
    return np.asarray(wide[:rows, :columns])


@dataclass(frozen=True, eq=False)
class CarriedSlide:
    """A slide whose tiles can be carried over."""

    slide: SegmentedSlide
    levels: Sequence[CarriedLevel]

    @property
    def codec(self) -> str:
        """Of its tiles, for people."""
        return compression_name(int(self.levels[0].page.compression))


def open_carried(slide: Slide) -> CarriedSlide:
    """The levels of a slide, if its tiles can be carried over and written again.

    Raises:
        UnreadableImage: they cannot; with the codec and the way out.
    """
    segmented = slide if isinstance(slide, SegmentedSlide) else aperio_ycbcr(slide)
    if segmented is None:
        codec = slide.facts.compression or "an unknown codec"
        reason = f"its tiles ({slide.facts.make}, {codec}) cannot be carried over to a TIFF"
        raise UnreadableImage(
            slide.path,
            reason,
            _REWRITE,
        )
    levels = [_level(segmented, number) for number in range(len(segmented.levels))]
    return CarriedSlide(segmented, levels)


def shows_as_aperio_only(carried: CarriedSlide) -> bool:
    """Whether other files than Aperio's show false colours of its tiles, or none."""
    return any(int(level.page.compression) == APERIO_YCBCR for level in carried.levels)


def _level(slide: SegmentedSlide, number: int) -> CarriedLevel:
    page = slide.tiff_levels[number].page
    reason = _obstacle(slide.tiff_levels[number])
    grid, reach = (1, 1), (0, 0)
    if not reason and int(page.compression) not in LOSSLESS:
        try:
            grid, reach = _grid_facts(slide, number)
        except ValueError as error:
            reason = str(error)
    if reason:
        raise UnreadableImage(
            slide.path,
            f"{reason}, so that its tiles cannot be carried over",
            _REWRITE,
        )
    return CarriedLevel(
        slide,
        number,
        grid,
        reach,
    )


def _obstacle(level: TiffLevel) -> str:
    """Why tiles of a level cannot be carried over; "" where they can."""
    page = level.page
    code = int(page.compression)
    if len(level.parts) > 1 or int(page.planarconfig) != 1:
        return "its colours lie in separate planes"
    if not page.is_tiled:
        return "its pixels lie in strips, not in tiles"
    if code not in (JPEG, *JPEG_2000, *LOSSLESS):
        return f"its codec, {compression_name(code)}, is not written"
    if int(page.fillorder) != 1:
        return f"its bits lie in reverse order (FillOrder {int(page.fillorder)})"
    if int(page.predictor) not in _PREDICTORS:
        return f"its predictor, {int(page.predictor)}, is not written"
    return ""


def _grid_facts(slide: SegmentedSlide, number: int) -> tuple[BlockGrid, BlockGrid]:
    """The grid of JPEG or JPEG 2000 and how far beyond it colours are interpolated.

    Raises:
        ValueError: tiles that cannot be edited.
    """
    level = slide.tiff_levels[number]
    counts = level.page.databytecounts
    scanned = [index for index, count in enumerate(counts) if count]
    if not scanned:
        raise ValueError("none of its tiles was scanned")
    data = slide.segment_bytes(number, scanned[0])
    grid, reach = codec_grid(level.page, data)
    width, height = level.segment_size
    if width % grid[0] or height % grid[1] or GRID_STEP_PX % grid[0] or GRID_STEP_PX % grid[1]:
        raise ValueError(f"its tiles of {width} x {height} px hold no whole blocks of their codec")
    return grid, reach
