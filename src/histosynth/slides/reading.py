"""Tissue at the wanted scale, whatever levels a slide has."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .remedies import pyramid_remedy
from .slide import MAX_READ_PX, Slide

SAME_LEVEL_TOLERANCE = 0.005
"""Scales closer than this are the same: half a per cent, less than scanners' stages vary by."""
ON_GRID_PX = 0.05
"""A box this near to a level's grid lies on it."""
_REACH_PX = 3
"""Pixels read beyond a box, so that its border is resampled from tissue."""


def best_level(slide: Slide, downsample: float) -> int:
    """The coarsest level that is still at least as fine as `downsample` level-0 px per pixel."""
    max_downsample = downsample * (1 + SAME_LEVEL_TOLERANCE)
    fine = [index for index, level in enumerate(slide.levels) if level.downsample <= max_downsample]
    return max(
        fine,
        key=lambda index: slide.levels[index].downsample,
        default=0,
    )


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle in level-0 px that may begin and end between pixels."""

    x: float
    y: float
    width: float
    height: float


def read_box(
    slide: Slide,
    box: Box | Window,
    size: tuple[int, int],
) -> Pixels:
    """A box of tissue at the wanted size.

    Read from the best level; resampled by Lanczos with its support widened to the step (no
    aliasing), at the box's exact position between that level's pixels. Where the level's scale is
    the wanted one within half a per cent and the box lies on its grid, pixels are those of the
    file.

    Args:
        slide: to read.
        box: level-0 px; may reach outside, where there is white.
        size: (width, height) wanted, px.

    Raises:
        UnreadableImage: the box would need more pixels read than fit a worker's memory.
    """
    width, height = size
    if width * height > MAX_READ_PX:
        raise UnreadableImage(slide.path, f"{width:,} x {height:,} px were requested at once")
    level = best_level(slide, min(box.width / width, box.height / height))
    edges = _edges_on_level(box, slide.levels[level].downsample)
    whole = _whole_pixels(edges)
    if whole is not None and (whole.width, whole.height) == tuple(size):
        return slide.read(level, whole)
    around = _box_around(edges, width)
    if around.width * around.height > MAX_READ_PX:
        reason = (
            f"a tile of {box.width:,.0f} x {box.height:,.0f} px of level 0 needs "
            f"{around.width:,} x "
            f"{around.height:,} px read at once, because the slide has no coarser level"
        )
        raise UnreadableImage(slide.path, reason, pyramid_remedy(slide.path))
    image = Image.fromarray(slide.read(level, around))
    source_box = (
        edges.left - around.x,
        edges.top - around.y,
        edges.right - around.x,
        edges.bottom - around.y,
    )
    resized = image.resize(
        (width, height),
        Image.Resampling.LANCZOS,
        box=source_box,
    )
    return np.array(resized, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Edges:
    """A rectangle in px of a level."""

    left: float
    top: float
    right: float
    bottom: float


def _edges_on_level(box: Box | Window, step: float) -> _Edges:
    return _Edges(
        box.x / step,
        box.y / step,
        (box.x + box.width) / step,
        (box.y + box.height) / step,
    )


def _whole_pixels(edges: _Edges) -> Box | None:
    """The box of whole pixels at the edges; None where they lie between pixels."""
    x = round(edges.left)
    y = round(edges.top)
    off = max(abs(edges.left - x), abs(edges.top - y))
    width = round(edges.right - edges.left)
    height = round(edges.bottom - edges.top)
    if off >= ON_GRID_PX or min(width, height) < 1:
        return None
    return Box(x, y, width, height)


def _box_around(edges: _Edges, width: int) -> Box:
    """Whole pixels around the edges, with what resampling to `width` px needs beyond them."""
    shrink = max((edges.right - edges.left) / width, 1.0)
    reach = math.ceil(_REACH_PX * shrink)
    x = math.floor(edges.left)
    y = math.floor(edges.top)
    return Box(
        x - reach,
        y - reach,
        math.ceil(edges.right) - x + 2 * reach,
        math.ceil(edges.bottom) - y + 2 * reach,
    )


def thumbnail(slide: Slide, mpp: float) -> Pixels:
    """The whole slide at about `mpp`, (H, W, 3) uint8, read in strips so that memory stays small.

    Exactly `round(side * slide.mpp / mpp)` px a side, at least 1.
    """
    full = slide.levels[0]
    factor = slide.mpp / mpp
    width = max(round(full.width * factor), 1)
    height = max(round(full.height * factor), 1)
    strip_height = _strip_height(slide, factor, height)
    strips = []
    for top in range(0, height, strip_height):
        bottom = min(top + strip_height, height)
        y0 = round(top / height * full.height)
        y1 = round(bottom / height * full.height)
        box = Box(0, y0, full.width, max(y1 - y0, 1))
        strips.append(read_box(slide, box, (width, bottom - top)))
    return np.concatenate(strips)


def _strip_height(
    slide: Slide,
    factor: float,
    height: int,
) -> int:
    """Rows of a thumbnail that are read at once."""
    level = slide.levels[best_level(slide, 1 / factor)]
    level_rows = (MAX_READ_PX >> 5) / level.width
    rows = int(level_rows * level.downsample * factor)
    return max(min(rows, height), 1)
