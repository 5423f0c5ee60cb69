"""Which tiles of which levels a slide's patches touch, with their pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from ..core.geometry import Box
from ..core.tile import Mask, Pixels
from ..slides.carrying import CarriedLevel, CarriedSlide, grown_on_grid
from .patches import Patch, touching

_REACH_PX = 2


@dataclass(frozen=True, eq=False)
class PaintedTile:
    """A tile of which some is painted.

    Attributes:
        pixels: (H, W, 3) uint8 of the whole tile.
        painted: (H, W) bool, what shows painted tissue.
        replaced: (H, W) bool, the same grown to whole blocks of the codec.
    """

    pixels: Pixels
    painted: Mask
    replaced: Mask

    def allowed(self, reach: tuple[int, int]) -> Mask:
        """(H, W) bool: what may differ from the slide, with colours that decoders interpolate."""
        across, down = reach
        size = (2 * down + 1, 2 * across + 1)
        return np.asarray(
            ndimage.maximum_filter(
                self.replaced,
                size=size,
                mode="constant",
            )
        )


@dataclass(frozen=True, eq=False)
class LevelTiles:
    """The touched tiles of a level.

    Attributes:
        level: of the slide.
        tiles: by their index.
    """

    level: CarriedLevel
    tiles: Mapping[int, PaintedTile]

    def read(self, box: Box) -> tuple[Pixels, Mask]:
        """Pixels (H, W, 3) of a box with what is painted, and where that is."""
        pixels = self.level.slide.read(self.level.number, box)
        painted = np.zeros(pixels.shape[:2], bool)
        for index in self.level.touched(box):
            tile = self.tiles.get(index)
            place = self.level.box(index)
            common = place.intersect(box)
            if tile is None or common is None:
                continue
            own = common.shift(-place.x, -place.y).slices
            target = common.shift(-box.x, -box.y).slices
            pixels[target] = tile.pixels[own]
            painted[target] = tile.painted[own]
        return pixels, painted


def tiles_of_levels(carried: CarriedSlide, patches: Sequence[Patch]) -> list[LevelTiles]:
    """The touched tiles of every level; lower levels are means of the level above."""
    found = [_first_level(carried.levels[0], patches)]
    for level in carried.levels[1:]:
        found.append(_lower_level(level, found[-1]))
    return found


def _first_level(level: CarriedLevel, patches: Sequence[Patch]) -> LevelTiles:
    indices = {index for patch in patches for index in level.touched(patch.box)}
    tiles = {}
    for index in sorted(indices):
        box = level.box(index)
        pixels = level.decoded(index).copy()
        painted = np.zeros(pixels.shape[:2], bool)
        for patch in touching(patches, box):
            where = patch.put_on(pixels, box)
            if where is not None:
                painted |= where
        if painted.any():
            tiles[index] = PaintedTile(
                pixels,
                painted,
                grown_on_grid(painted, level.grid),
            )
    return LevelTiles(level, tiles)


def _lower_level(level: CarriedLevel, above: LevelTiles) -> LevelTiles:
    steps = (
        above.level.size.width / level.size.width,
        above.level.size.height / level.size.height,
    )
    indices: set[int] = set()
    for index in above.tiles:
        box = above.level.box(index)
        left, top = int(box.x / steps[0]), int(box.y / steps[1])
        right, bottom = int(box.right / steps[0]) + 1, int(box.bottom / steps[1]) + 1
        indices |= set(
            level.touched(
                Box(
                    left,
                    top,
                    right - left,
                    bottom - top,
                )
            )
        )
    tiles = {}
    for index in sorted(indices):
        tile = _lower_tile(
            level,
            index,
            above,
            steps,
        )
        if tile is not None:
            tiles[index] = tile
    return LevelTiles(level, tiles)


def _lower_tile(
    level: CarriedLevel,
    index: int,
    above: LevelTiles,
    steps: tuple[float, float],
) -> PaintedTile | None:
    """A tile with the means of what is painted above it; None: nothing is."""
    inside = level.box(index).intersect(
        Box(
            0,
            0,
            *level.size,
        )
    )
    if inside is None:
        return None
    edges = (
        inside.x * steps[0],
        inside.y * steps[1],
        inside.right * steps[0],
        inside.bottom * steps[1],
    )
    left, top = int(edges[0]) - _REACH_PX, int(edges[1]) - _REACH_PX
    around = Box(
        left,
        top,
        int(edges[2]) + _REACH_PX + 1 - left,
        int(edges[3]) + _REACH_PX + 1 - top,
    )
    source, painted = above.read(around)
    if not painted.any():
        return None
    within = (
        edges[0] - left,
        edges[1] - top,
        edges[2] - left,
        edges[3] - top,
    )
    means = _reduced(
        source,
        inside,
        within,
    )
    share = _reduced(
        np.where(
            painted,
            255,
            0,
        ).astype(np.uint8),
        inside,
        within,
    )
    where = share > 0
    if not where.any():
        return None
    pixels = level.decoded(index).copy()
    height, width = where.shape
    pixels[:height, :width][where] = means[where]
    whole = np.zeros(pixels.shape[:2], bool)
    whole[:height, :width] = where
    return PaintedTile(
        pixels,
        whole,
        grown_on_grid(whole, level.grid),
    )


def _reduced(
    values: Pixels,
    inside: Box,
    within: tuple[float, float, float, float],
) -> Pixels:
    image = Image.fromarray(values).resize(
        (inside.width, inside.height),
        Image.Resampling.BOX,
        box=within,
    )
    return np.asarray(image)
