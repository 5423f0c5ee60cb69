"""Levels, tiles and blocks of a slide that is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from ...core.errors import BadOption
from ...core.geometry import Box, Size

MAX_SLIDE_SIDE_PX = 1_000_000
TILES_PER_BLOCK = 2
"""Tiles along a side of a block; its half-size picture is one tile of the next level."""
_MIN_SIDE_PX = 32
"""No level is narrower: its side, rounded to whole pixels, would state another scale."""
_TILE_STEP_PX = 16
_MAX_TILE_PX = 4096


def half_of(side: int) -> int:
    """Half of a side, rounded up: wsidicomizer refuses small levels that are rounded down."""
    return (side + 1) // 2


def _pieces(side: int, piece_px: int) -> int:
    """So many pieces cover a side."""
    return (side + piece_px - 1) // piece_px


@dataclass(frozen=True)
class Pyramid:
    """Level 0 and its halves, until one tile holds a level.

    Sides are rounded up. A narrow slide has fewer levels: none has a side under 32 px, except
    level 0.

    Attributes:
        size: (width, height) of level 0, px; each from 1 to 1,000,000.
        tile_px: side of a tile; a multiple of 16 (TIFF, JPEG) up to 4,096.

    Raises:
        BadOption: a size or tile size out of its range.
    """

    size: Size
    tile_px: int = 512

    def __post_init__(self) -> None:
        width, height = self.size
        object.__setattr__(self, "size", Size(int(width), int(height)))
        if min(width, height) < 1 or max(width, height) > MAX_SLIDE_SIDE_PX:
            raise BadOption(
                "the size of the slide",
                f"{width:,} x {height:,} px",
                f"from 1 to {MAX_SLIDE_SIDE_PX:,} px a side",
            )
        if self.tile_px % _TILE_STEP_PX or not 0 < self.tile_px <= _MAX_TILE_PX:
            raise BadOption(
                "the side of a tile",
                f"{self.tile_px} px",
                f"a multiple of {_TILE_STEP_PX} from {_TILE_STEP_PX} to {_MAX_TILE_PX:,} px",
            )

    @cached_property
    def levels(self) -> tuple[Size, ...]:
        """(width, height) of each level, from the finest."""
        sizes = [self.size]
        while max(sizes[-1]) > self.tile_px:
            width, height = sizes[-1]
            smaller = Size(half_of(width), half_of(height))
            if min(smaller) < _MIN_SIDE_PX:
                break
            sizes.append(smaller)
        return tuple(sizes)

    @property
    def block_px(self) -> int:
        """Side of a block, px of its level."""
        return TILES_PER_BLOCK * self.tile_px

    def tiles(self, level: int = 0) -> Size:
        """Tiles (across, down) of a level."""
        width, height = self.levels[level]
        return Size(_pieces(width, self.tile_px), _pieces(height, self.tile_px))

    def blocks(self, level: int = 0) -> Size:
        """Blocks (across, down) of a level."""
        width, height = self.levels[level]
        return Size(_pieces(width, self.block_px), _pieces(height, self.block_px))

    def block_places(self, level: int = 0) -> Iterator[tuple[int, int]]:
        """(column, row) of each block of a level, row by row."""
        across, down = self.blocks(level)
        for row in range(down):
            for column in range(across):
                yield column, row

    def block_box(
        self,
        column: int,
        row: int,
        level: int = 0,
    ) -> Box:
        """Where a block lies, px of its level: smaller at the right and lower edges.

        Raises:
            BadOption: the level has no such block.
        """
        across, down = self.blocks(level)
        if not (0 <= column < across and 0 <= row < down):
            raise BadOption(
                "the block",
                f"column {column}, row {row}",
                f"in a level of {across:,} x {down:,} blocks",
            )
        width, height = self.levels[level]
        x = column * self.block_px
        y = row * self.block_px
        return Box(
            x,
            y,
            min(self.block_px, width - x),
            min(self.block_px, height - y),
        )

    def block_tiles(
        self,
        column: int,
        row: int,
        level: int = 0,
    ) -> Size:
        """Tiles (across, down) of one block."""
        box = self.block_box(column, row, level)
        return Size(_pieces(box.width, self.tile_px), _pieces(box.height, self.tile_px))

    @property
    def has_one_level(self) -> bool:
        """Whether nothing is below level 0."""
        return len(self.levels) == 1
