"""Where on a slide the tiles lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import BadOption
from ..core.geometry import Box
from ..core.tile import Mask
from ..core.units import check_mpp
from ..slides.reading import CLOSE, Window, best_level
from ..slides.slide import Slide

MAX_TILES = 1_000_000


@dataclass(frozen=True)
class GridPlan:
    """Size, scale and spacing of tiles."""

    size: int = 1024
    """Side, px."""
    mpp: float = 0.5
    """Scale, um/px. Scans within half a per cent of it are taken as they are, and say their own
    scale."""
    stride: int = 0
    """From tile to tile, px; 0: `size`, side by side."""
    edge: Literal["drop", "shift", "pad"] = "drop"
    """Where the last tile would reach over the slide: leave it out, move it inwards, or fill with
    white."""
    tissue: float = 0.25
    """Least share of a tile that must be tissue."""

    def __post_init__(self) -> None:
        if not 32 <= self.size <= 8192 or not 0 <= self.stride <= 65_536:
            raise ValueError(
                f"size must lie in [32, 8192] and stride in [0, 65536], not {self.size}, "
                f"{self.stride}"
            )
        check_mpp(self.mpp)
        if not 0 <= self.tissue <= 1:
            raise ValueError(f"tissue must be a share in [0, 1], not {self.tissue}")


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
        (x, y), side = self.corners[index], round(self.size * self.step)
        return Box(round(x * self.step), round(y * self.step), side, side)

    def window(self, index: int, margins_px: tuple[int, int, int, int] = (0, 0, 0, 0)) -> Window:
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
        BadOption: there would be more than a million, or they would be smaller than a px of the
            slide.
    """
    step = plan.mpp / slide.mpp  # level-0 px per px of a tile
    own = slide.levels[best_level(slide, step)].downsample
    if abs(own / step - 1) <= CLOSE:
        step = own
    finest = min(plan.size, plan.stride or plan.size) * step
    if finest < 1:
        reason = (
            f"{plan.size} px at {plan.mpp:g} um/px is {finest:.2f} px of a slide of "
            f"{slide.mpp:g} um/px"
        )
        raise BadOption("the size or stride of tiles", reason, "at least one px of the slide")
    full = slide.levels[0]
    side = plan.size * step
    stride = plan.stride or plan.size
    places = []
    for length in (full.width, full.height):
        last = int((length - side) / (stride * step) + 1e-6) if length >= side - 0.5 else -1
        starts = [index * stride for index in range(last + 1)]
        over = (starts[-1] + plan.size if starts else 0) * step < length - 0.5
        if plan.edge == "pad" and over:
            starts.append((last + 1) * stride)
        if plan.edge == "shift" and over and starts:
            starts.append(int((length - side) / step))
        places.append(starts)
    if len(places[0]) * len(places[1]) > MAX_TILES:
        many = f"such that one slide gives {len(places[0]) * len(places[1]):,} tiles"
        raise BadOption(
            "the size or stride of tiles", many, f"such that it gives at most {MAX_TILES:,}"
        )
    corners = [(x, y) for y in places[1] for x in places[0]]
    return Grid(tuple(corners), plan.size, step, slide.mpp * step)


def tissue_shares(
    mask: Mask, boxes: Sequence[Box], px_per_cell: tuple[float, float]
) -> NDArray[np.float64]:
    """(N,) share of each box that is tissue; what lies outside the slide is none.

    Args:
        mask: (H, W) bool over the whole slide.
        boxes: level-0 px.
        px_per_cell: level-0 px of a cell of the mask, across and down.
    """
    sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    sums[1:, 1:] = mask.cumsum(0).cumsum(1)
    out = []
    for box in boxes:
        left, right = (round(edge / px_per_cell[0]) for edge in (box.x, box.right))
        top, bottom = (round(edge / px_per_cell[1]) for edge in (box.y, box.bottom))
        right, bottom = (
            max(right, left + 1),
            max(bottom, top + 1),
        )  # a tile within one cell is that cell's
        x0, x1 = (min(max(edge, 0), mask.shape[1]) for edge in (left, right))
        y0, y1 = (min(max(edge, 0), mask.shape[0]) for edge in (top, bottom))
        inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
        out.append(inside / ((right - left) * (bottom - top)))
    return np.array(out)
