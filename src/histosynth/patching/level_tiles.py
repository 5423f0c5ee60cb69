"""Which tiles of which levels a slide's patches touch, with their pixels, in files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from ..core.errors import BadRun
from ..core.geometry import Box
from ..core.tile import Mask, Pixels
from ..slides.carrying import CarriedLevel, CarriedSlide, grown_on_grid
from .patches import Patch, PatchFiles, patch_path, read_patch, write_patch

KEPT_TILE_BYTES = 1 << 26
"""Of touched tiles of a level that are kept in memory; the last one is kept in any case."""
_REACH_PX = 2
_BYTES_A_PX = 5


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


@dataclass(eq=False)
class LevelTiles:
    """The touched tiles of a level, in files of a folder.

    Attributes:
        level: of the slide.
        folder: of the files.
    """

    level: CarriedLevel
    folder: Path
    _there: set[int] = field(default_factory=set)
    _kept: OrderedDict[int, PaintedTile] = field(default_factory=OrderedDict)

    @property
    def indices(self) -> Collection[int]:
        """Of the touched tiles."""
        return self._there

    def add(
        self,
        index: int,
        pixels: Pixels,
        painted: Mask,
    ) -> None:
        """Write a touched tile."""
        patch = Patch(
            self.level.box(index),
            pixels,
            painted,
        )
        write_patch(patch_path(self.folder, index), patch)
        self._there.add(index)

    def tile(self, index: int) -> PaintedTile | None:
        """A touched tile; None: it is not touched.

        Raises:
            BadRun: its file is no longer there, or damaged.
        """
        if index not in self._there:
            return None
        tile = self._kept.pop(index, None) or self._read(index)
        self._kept[index] = tile
        most = KEPT_TILE_BYTES // (_BYTES_A_PX * tile.painted.size)
        while len(self._kept) > max(most, 1):
            self._kept.popitem(last=False)
        return tile

    def _read(self, index: int) -> PaintedTile:
        path = patch_path(self.folder, index)
        patch = read_patch(path, self.level.box(index))
        if patch is None:
            raise BadRun(path, "it is absent or damaged, though it was written before")
        return PaintedTile(
            patch.pixels,
            patch.mask,
            grown_on_grid(patch.mask, self.level.grid),
        )

    def read(self, box: Box) -> tuple[Pixels, Mask]:
        """Pixels (H, W, 3) of a box with what is painted, and where that is."""
        pixels = self.level.slide.read(self.level.number, box)
        painted = np.zeros(pixels.shape[:2], bool)
        for index in self.level.touched(box):
            tile = self.tile(index)
            place = self.level.box(index)
            common = place.intersect(box)
            if tile is None or common is None:
                continue
            own = common.shift(-place.x, -place.y).slices
            target = common.shift(-box.x, -box.y).slices
            pixels[target] = tile.pixels[own]
            painted[target] = tile.painted[own]
        return pixels, painted


def tiles_of_levels(
    carried: CarriedSlide,
    patches: PatchFiles,
    folder: Path,
    touched: Sequence[Collection[int]],
) -> list[LevelTiles]:
    """The touched tiles of every level; lower levels are means of the level above.

    At fractional steps a mean of means reaches up to a pixel farther than what is painted. Where
    that is all that a tile would show, it stays as it is.

    Args:
        carried: the slide.
        patches: what was painted on level 0.
        folder: of the files of tiles, one folder a level.
        touched: of each level the tiles that show some of what is painted.
    """
    found: list[LevelTiles] = []
    for level in carried.levels:
        tiles = LevelTiles(level, folder / f"level{level.number}")
        indices = sorted(touched[level.number])
        if found:
            _add_lower_level(
                tiles,
                found[-1],
                indices,
            )
        else:
            _add_first_level(
                tiles,
                patches,
                indices,
            )
        found.append(tiles)
    return found


def _add_first_level(
    tiles: LevelTiles,
    patches: PatchFiles,
    indices: Sequence[int],
) -> None:
    level = tiles.level
    for index in indices:
        box = level.box(index)
        pixels = level.decoded(index).copy()
        painted = np.zeros(pixels.shape[:2], bool)
        for patch in patches.touching(box):
            where = patch.put_on(pixels, box)
            if where is not None:
                painted |= where
        if painted.any():
            tiles.add(index, pixels, painted)


def _add_lower_level(
    tiles: LevelTiles,
    above: LevelTiles,
    indices: Sequence[int],
) -> None:
    steps = (
        above.level.size.width / tiles.level.size.width,
        above.level.size.height / tiles.level.size.height,
    )
    for index in indices:
        _add_lower_tile(
            tiles,
            index,
            above,
            steps,
        )


def _add_lower_tile(
    tiles: LevelTiles,
    index: int,
    above: LevelTiles,
    steps: tuple[float, float],
) -> None:
    """Add a tile with the means of what is painted above it, where something is."""
    level = tiles.level
    inside = level.box(index).intersect(
        Box(
            0,
            0,
            *level.size,
        )
    )
    if inside is None:
        return
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
        return
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
        return
    pixels = level.decoded(index).copy()
    height, width = where.shape
    pixels[:height, :width][where] = means[where]
    whole = np.zeros(pixels.shape[:2], bool)
    whole[:height, :width] = where
    tiles.add(index, pixels, whole)


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
