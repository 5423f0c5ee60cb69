"""Whether all tiles that a plan touches can be edited, before anything is painted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..slides.carrying import CarriedLevel, CarriedSlide
from .patches import PATCH_BYTES_A_PX
from .plan import MendPiece, MendPlan

MAX_TILE_ABOVE_PX = 1 << 26
"""A tile of a lower level is made from at most so many pixels of the level above."""
_REMEDY = "Leave this place out, or write the slide anew without loss: --rewrite deflate."


@dataclass(frozen=True)
class TouchedTiles:
    """Tiles that show some of what is painted; no others are written with other pixels.

    Attributes:
        indices: of each level.
        parts: bytes of patches and of these tiles, as they are kept until the slide is finished.
    """

    indices: tuple[frozenset[int], ...] = ()
    parts: int = 0


def check_touched_tiles(carried: CarriedSlide, plan: MendPlan) -> TouchedTiles:
    """Refuse places whose tiles, on any level, cannot be written with other pixels.

    Args:
        carried: the slide.
        plan: what will be painted.

    Raises:
        UnreadableImage: with the tile and its place on level 0.
    """
    found = []
    pixels = sum(piece.box.width * piece.box.height for piece in plan.pieces)
    for level in carried.levels:
        _check_step(carried, level)
        steps = steps_of(carried, level)
        indices = frozenset(
            index
            for piece in plan.pieces
            for index in _touched(
                level,
                piece,
                steps,
            )
        )
        found.append(indices)
        pixels += len(indices) * level.tile_size.width * level.tile_size.height
        for index in sorted(indices):
            _check_tile(
                carried,
                level,
                index,
            )
    return TouchedTiles(tuple(found), pixels * PATCH_BYTES_A_PX)


def steps_of(carried: CarriedSlide, level: CarriedLevel) -> tuple[float, float]:
    """Pixels of level 0 (across, down) in a pixel of a level."""
    first = carried.levels[0].size
    return first.width / level.size.width, first.height / level.size.height


def _check_step(carried: CarriedSlide, level: CarriedLevel) -> None:
    """Refuse levels so much smaller than those above that a tile's source does not fit memory."""
    if not level.number:
        return
    above = carried.levels[level.number - 1].size
    across = above.width / level.size.width * level.tile_size.width
    down = above.height / level.size.height * level.tile_size.height
    if across * down > MAX_TILE_ABOVE_PX:
        raise UnreadableImage(
            carried.slide.path,
            f"a tile of level {level.number} shows {across:,.0f} x {down:,.0f} px of the level "
            f"above, over the limit of {MAX_TILE_ABOVE_PX:,} px, so that its tiles cannot be "
            "carried over",
            "Write it anew without loss: --rewrite deflate (about 2 bytes a pixel).",
        )


def _touched(
    level: CarriedLevel,
    piece: MendPiece,
    steps: tuple[float, float],
) -> Iterator[int]:
    """Tiles of a level that show some of a piece's mask."""
    box = piece.box
    left, top = int(box.x / steps[0]), int(box.y / steps[1])
    around = Box(
        left,
        top,
        math.ceil(box.right / steps[0]) - left,
        math.ceil(box.bottom / steps[1]) - top,
    )
    for index in level.touched(around):
        tile = level.box(index)
        x, y = int(tile.x * steps[0]), int(tile.y * steps[1])
        place = Box(
            x,
            y,
            math.ceil(tile.right * steps[0]) - x,
            math.ceil(tile.bottom * steps[1]) - y,
        )
        common = place.intersect(box)
        if common is not None and piece.mask[common.shift(-box.x, -box.y).slices].any():
            yield index


def _check_tile(
    carried: CarriedSlide,
    level: CarriedLevel,
    index: int,
) -> None:
    reason = level.obstacle(index)
    if not reason:
        return
    steps = steps_of(carried, level)
    box = level.box(index)
    x, y = round(box.x * steps[0]), round(box.y * steps[1])
    side = round(box.width * steps[0])
    raise UnreadableImage(
        carried.slide.path,
        f"tile {index} of level {level.number}, of {side:,} px of level 0 from ({x:,}, {y:,}), "
        f"cannot be edited: {reason}",
        _REMEDY,
    )
