"""Where on a slide the tiles lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from ..core.arrays import Float64Array
from ..core.errors import BadOption, FinerThanSlide
from ..core.geometry import Box
from ..core.recipe_checks import check_table
from ..core.recipe_limits import (
    Limits,
    Share,
)
from ..core.tile import Mask
from ..core.units import MAX_MPP, MIN_MPP, same_scale
from ..slides import Slide, Window, best_level
from ..slides.reading import SAME_LEVEL_TOLERANCE

MAX_TILES_OF_SLIDE = 1_000_000


@dataclass(frozen=True)
class GridPlan:
    """Size, scale and spacing of tiles."""

    size: Annotated[int, Limits(least=32, most=8192)] = 1024
    """Side, px."""
    mpp: Annotated[float, Limits(least=MIN_MPP, most=MAX_MPP)] = 0.5
    """Scale, um/px. Scans within half a per cent of it are taken as they are, and their own
    scale is recorded."""
    stride: Annotated[int, Limits(least=0, most=65_536)] = 0
    """From tile to tile, px; 0: `size`, side by side."""
    edge: Literal["drop", "shift", "pad"] = "drop"
    """Where the last tile would reach over the slide: leave it out, move it inwards, or fill with
    white."""
    tissue: Share = 0.25
    """Least share of a tile that must be tissue."""

    def __post_init__(self) -> None:
        check_table(self)


@dataclass(frozen=True)
class Grid:
    """Tiles of one slide, row by row.

    Attributes:
        corners: of each tile, px of the tiles' own scale from the slide's corner.
        size: side of a tile, px.
        step: level-0 px per px of a tile.
        mpp: true scale of the pictures, um/px.
    """

    corners: tuple[tuple[int, int], ...]
    size: int
    step: float
    mpp: float

    def box(self, index: int) -> Box:
        """Where a tile lies, to whole level-0 px."""
        x, y = self.corners[index]
        side = round(self.size * self.step)
        return Box(
            round(x * self.step),
            round(y * self.step),
            side,
            side,
        )

    def window(
        self,
        index: int,
        margins_px: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> Window:
        """Where a tile lies exactly, with so many of its px more at left, top, right and bottom."""
        x, y = self.corners[index]
        left, top, right, bottom = margins_px
        return Window(
            (x - left) * self.step,
            (y - top) * self.step,
            (self.size + left + right) * self.step,
            (self.size + top + bottom) * self.step,
        )


def lay_grid(slide: Slide, plan: GridPlan) -> Grid:
    """Tiles that cover a slide.

    Raises:
        FinerThanSlide: they would be finer than the slide by more than `SCALE_TOLERANCE`.
        BadOption: there would be more than a million, or they would be smaller than a px of the
            slide.
    """
    if plan.mpp < slide.mpp and not same_scale(plan.mpp, slide.mpp):
        raise FinerThanSlide(slide.path.name, plan.mpp, slide.mpp)
    step = _step_of(slide, plan)
    _check_step(slide, plan, step)
    full = slide.levels[0]
    columns = _starts(full.width, plan, step)
    rows = _starts(full.height, plan, step)
    count = len(columns) * len(rows)
    if count > MAX_TILES_OF_SLIDE:
        raise BadOption(
            "the size or stride of tiles",
            f"such that one slide gives {count:,} tiles",
            f"such that it gives at most {MAX_TILES_OF_SLIDE:,}",
        )
    corners = [(x, y) for y in rows for x in columns]
    return Grid(
        tuple(corners),
        plan.size,
        step,
        slide.mpp * step,
    )


def _step_of(slide: Slide, plan: GridPlan) -> float:
    """Level-0 px per px of a tile; a level of nearly the wanted scale is taken as it is."""
    step = plan.mpp / slide.mpp
    level_step = slide.levels[best_level(slide, step)].downsample
    is_close = abs(level_step / step - 1) <= SAME_LEVEL_TOLERANCE
    return level_step if is_close else step


def _check_step(
    slide: Slide,
    plan: GridPlan,
    step: float,
) -> None:
    """Refuse tiles, or strides, of less than a px of the slide."""
    finest = min(plan.size, plan.stride or plan.size) * step
    if finest < 1:
        size = f"{plan.size} px at {plan.mpp:g} um/px"
        px = f"{finest:.2f} px of a slide of {slide.mpp:g} um/px"
        raise BadOption(
            "the size or stride of tiles",
            f"{size} is {px}",
            "at least one px of the slide",
        )


def _starts(
    length: int,
    plan: GridPlan,
    step: float,
) -> list[int]:
    """First px of each tile along one side of a slide, in px of the tiles.

    Args:
        length: of the side, level-0 px.
        plan: size, stride and what to do at the edge.
        step: level-0 px per px of a tile.
    """
    side = plan.size * step
    stride = plan.stride or plan.size
    last = -1
    if length >= side - 0.5:
        last = int((length - side) / (stride * step) + 1e-6)
    starts = [index * stride for index in range(last + 1)]
    covered = starts[-1] + plan.size if starts else 0
    if covered * step >= length - 0.5:
        return starts
    if plan.edge == "pad":
        starts.append((last + 1) * stride)
    if plan.edge == "shift" and starts:
        starts.append(int((length - side) / step))
    return starts


def tissue_shares(
    mask: Mask,
    boxes: Sequence[Box],
    px_per_cell: tuple[float, float],
) -> Float64Array:
    """(N,) share of each box that is tissue; what lies outside the slide is none.

    Args:
        mask: (H, W) bool over the whole slide.
        boxes: level-0 px.
        px_per_cell: level-0 px of a cell of the mask, across and down.
    """
    height, width = mask.shape
    sums = np.zeros((height + 1, width + 1))
    sums[1:, 1:] = mask.cumsum(0).cumsum(1)
    shares = []
    for box in boxes:
        left, right = _cells(box.x, box.right, px_per_cell[0])
        top, bottom = _cells(box.y, box.bottom, px_per_cell[1])
        x0 = _clamp(left, width)
        x1 = _clamp(right, width)
        y0 = _clamp(top, height)
        y1 = _clamp(bottom, height)
        inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        shares.append(inside / ((right - left) * (bottom - top)))
    return np.array(shares)


def _cells(
    start_px: int,
    end_px: int,
    px_per_cell: float,
) -> tuple[int, int]:
    """First cell, and the one after the last; a tile within one cell is that cell's."""
    first = round(start_px / px_per_cell)
    end = round(end_px / px_per_cell)
    return first, max(end, first + 1)


def _clamp(cell: int, count: int) -> int:
    return min(max(cell, 0), count)
