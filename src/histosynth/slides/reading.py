"""Tissue at the scale that is asked for, whatever levels a slide happens to have."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .slide import MAX_READ_PX, Slide

CLOSE = 0.005
"""Scales closer than this are the same: half a per cent, under what scanners' own stages keep."""
ON_GRID_PX = 0.05
"""A box this near to a level's grid lies on it."""
_REACH = 3
"""Pixels read beyond a box, so that its border is resampled from tissue and not from nothing."""


def best_level(slide: Slide, downsample: float) -> int:
    """The coarsest level that is still at least as fine as `downsample` level-0 px per pixel."""
    fine = [
        index
        for index, level in enumerate(slide.levels)
        if level.downsample <= downsample * (1 + CLOSE)
    ]
    return max(fine, key=lambda index: slide.levels[index].downsample, default=0)


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle in level-0 px that may begin and end between pixels."""

    x: float
    y: float
    width: float
    height: float


def read_box(slide: Slide, box: Box | Window, size: tuple[int, int]) -> Pixels:
    """A box of tissue at the wanted size.

    Read from the best level; resampled by Lanczos with its support widened to the step (no
    aliasing), at the box's exact place between that level's pixels. Where the level's scale is the
    wanted one within half a per cent and the box lies on its grid, pixels are those of the file.

    Args:
        slide: where from.
        box: level-0 px; may reach outside, where there is white.
        size: (width, height) wanted, px.

    Raises:
        UnreadableImage: the box would need more pixels read than fit a worker's memory.
    """
    level = best_level(slide, min(box.width / size[0], box.height / size[1]))
    step = slide.levels[level].downsample
    left = box.x / step
    top = box.y / step
    right = (box.x + box.width) / step
    bottom = (box.y + box.height) / step
    if size[0] * size[1] > MAX_READ_PX:
        raise UnreadableImage(slide.path, f"{size[0]:,} x {size[1]:,} px were asked for at once")
    exact = (round(left), round(top), round(right - left), round(bottom - top))
    off = max(abs(left - exact[0]), abs(top - exact[1]))
    if (exact[2], exact[3]) == size and off < ON_GRID_PX:
        return slide.read(level, Box(*exact))
    reach = math.ceil(_REACH * max((right - left) / size[0], 1.0))
    around = Box(
        math.floor(left) - reach,
        math.floor(top) - reach,
        math.ceil(right) - math.floor(left) + 2 * reach,
        math.ceil(bottom) - math.floor(top) + 2 * reach,
    )
    if around.width * around.height > MAX_READ_PX:
        reason = (
            f"a tile of {box.width:,.0f} x {box.height:,.0f} px of level 0 needs "
            f"{around.width:,} x "
            f"{around.height:,} px read at once, because the slide has no coarser level"
        )
        raise UnreadableImage(slide.path, reason)
    place = (left - around.x, top - around.y, right - around.x, bottom - around.y)
    image = Image.fromarray(slide.read(level, around))
    return np.array(image.resize(size, Image.Resampling.LANCZOS, box=place), dtype=np.uint8)


def thumbnail(slide: Slide, mpp: float) -> Pixels:
    """The whole slide at about `mpp`, (H, W, 3) uint8, read in strips so that memory stays small.

    Exactly `round(side * slide.mpp / mpp)` px a side, at least 1.
    """
    full = slide.levels[0]
    factor = slide.mpp / mpp
    width = max(round(full.width * factor), 1)
    height = max(round(full.height * factor), 1)
    level = slide.levels[best_level(slide, 1 / factor)]
    rows = max(min(int((MAX_READ_PX >> 5) / level.width * level.downsample * factor), height), 1)
    strips = []
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        y0, y1 = (round(row / height * full.height) for row in (top, bottom))
        strips.append(
            read_box(slide, Box(0, y0, full.width, max(y1 - y0, 1)), (width, bottom - top))
        )
    return np.concatenate(strips)
