"""Pieces of work: each holds regions that are painted at once, in an order that is always the same.

Regions that nearly touch are one piece, so that no seam lies between them. What is wider than a
canvas is cut, and each part is painted with the parts before it as known tissue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from ..annotation.layout_empty import SlideEmptyRegions
from ..annotation.regions import Region
from ..core.arrays import Float64Array
from ..core.errors import BadRegions
from ..core.geometry import Box, Size
from ..core.tile import Mask
from ..slides.carrying import grown_on_grid

PLAN_CELL_PX = 64
"""Regions in neighbouring cells of so many px are one piece."""
CORE_PX = 2048
"""Largest side of a piece, px of the bundle's scale."""
MAX_DEPTH_UM = 400.0
"""Painted places are at most this far from known tissue."""
MAX_SHARE = 0.5
MAX_PAINTED_PX = 400_000_000
"""Of level 0: what is painted lies in memory when the file is written."""
MAX_REGIONS = 20_000
LEAST_INSIDE = 0.9
"""Share of a polygon that lies on the slide; what leaves it is cut at the edge."""
_BEYOND_PX = 1.0
_NEIGHBOURS = np.ones((3, 3), np.bool_)


@dataclass(frozen=True, eq=False)
class MendPiece:
    """What is painted at once.

    Attributes:
        box: of level 0; its corner lies on the grid of tiles' blocks.
        mask: (H, W) bool, what is painted.
        names: classes of its regions.
    """

    box: Box
    mask: Mask
    names: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class MendPlan:
    """All pieces of a slide.

    Attributes:
        size: of level 0.
        regions: polygons, px of level 0.
        pieces: in order.
        grid: (width, height) px of what is replaced as a whole.
    """

    size: Size
    regions: tuple[Region, ...]
    pieces: tuple[MendPiece, ...]
    grid: tuple[int, int]

    def mask(self, box: Box) -> Mask:
        """(H, W) bool: all that is to be painted in a box whose corner lies on the grid."""
        drawn = SlideEmptyRegions(self.regions).inside(box)
        return grown_on_grid(drawn, self.grid)

    @property
    def painted_px(self) -> int:
        """Pixels of level 0 that are painted."""
        return sum(int(piece.mask.sum()) for piece in self.pieces)


def check_regions(regions: Sequence[Region], size: Size) -> None:
    """Refuse regions that do not lie on the slide.

    Raises:
        BadRegions: none, too many, or one beyond the slide; little of one may be, and is cut.
    """
    if not regions:
        raise BadRegions(
            "No region is given, so nothing would be painted.",
            "Draw the spoilt places in QuPath, or use --artifacts auto.",
        )
    if len(regions) > MAX_REGIONS:
        raise BadRegions(
            f"There are {len(regions):,} regions, over the limit of {MAX_REGIONS:,}.",
            "Join those that touch in QuPath.",
        )
    for number, region in enumerate(regions, 1):
        corners = np.array(region.outline, np.float64)
        left, top = corners.min(axis=0)
        right, bottom = corners.max(axis=0)
        far = max(
            -left,
            -top,
            right - size.width,
            bottom - size.height,
        )
        if far > _BEYOND_PX and _share_inside(corners, size) < LEAST_INSIDE:
            raise BadRegions(
                f"Region {number} ({region.name or 'no class'}) reaches {far:,.0f} px beyond the "
                f"slide of {size.width:,} x {size.height:,} px.",
                "Its coordinates must be level-0 pixels of this slide; cut what lies outside.",
            )


def _share_inside(corners: Float64Array, size: Size) -> float:
    """Share of a polygon's area that lies on the slide (Sutherland and Hodgman 1974)."""
    whole = _area(corners)
    inside = corners
    for axis, side in enumerate(size):
        inside = _cut(inside, axis, 0.0, 1.0)
        inside = _cut(inside, axis, float(side), -1.0)
    return _area(inside) / whole if whole else 0.0


def _cut(
    corners: Float64Array,
    axis: int,
    edge: float,
    sign: float,
) -> Float64Array:
    """The part of a polygon (N, 2) on one side of an edge: where `sign` points to."""
    kept = []
    depths = sign * (corners[:, axis] - edge)
    for index in range(len(corners)):
        before, after = depths[index - 1], depths[index]
        if before * after < 0:
            share = before / (before - after)
            step = corners[index] - corners[index - 1]
            kept.append(corners[index - 1] + share * step)
        if after >= 0:
            kept.append(corners[index])
    return np.array(kept, np.float64).reshape(-1, 2)


def _area(corners: Float64Array) -> float:
    x, y = corners.T
    return abs(float(x @ np.roll(y, 1) - y @ np.roll(x, 1))) / 2


def is_too_wide(region: Region, mpp: float) -> bool:
    """Whether the middle of a polygon is too far from what is around it; see `MAX_DEPTH_UM`."""
    corners = np.array(region.outline)
    first = corners.min(axis=0)
    step = 8.0
    width, height = np.ceil((corners.max(axis=0) - first) / step).astype(int).tolist()
    image = Image.new("1", (width + 2, height + 2))
    draw = ImageDraw.Draw(image)
    for index, ring in enumerate(region.rings):
        cells = [((x - first[0]) / step + 1, (y - first[1]) / step + 1) for x, y in ring]
        draw.polygon(cells, fill=int(not index))
    depth = ndimage.distance_transform_edt(np.pad(np.asarray(image), 1))
    return bool(float(depth.max()) * step * mpp > MAX_DEPTH_UM)


def make_plan(
    regions: Sequence[Region],
    size: Size,
    *,
    grid: tuple[int, int],
    mpp: float,
    core_px: int,
) -> MendPlan:
    """The pieces of a slide.

    Args:
        regions: checked polygons.
        size: of level 0.
        grid: (width, height) px of what is replaced as a whole; divides `PLAN_CELL_PX`.
        mpp: of level 0.
        core_px: largest side of a piece, px of level 0.

    Raises:
        BadRegions: too wide a region, or too much.
    """
    plan = MendPlan(
        size,
        tuple(regions),
        (),
        grid,
    )
    cells, owners = _cells(regions, size)
    labels, _ = ndimage.label(cells, _NEIGHBOURS)
    step = max(core_px // PLAN_CELL_PX, 1)
    pieces = []
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        rows, columns = place
        inside = owners[np.isin(labels[owners[:, 1], owners[:, 2]], [number])]
        names = tuple(sorted({regions[index].name for index in inside[:, 0].tolist()}))
        for top in range(
            rows.start,
            rows.stop,
            step,
        ):
            for left in range(
                columns.start,
                columns.stop,
                step,
            ):
                part = (
                    slice(top, min(top + step, rows.stop)),
                    slice(left, min(left + step, columns.stop)),
                )
                piece = _piece(
                    plan,
                    part,
                    labels[part] == number,
                    names,
                )
                if piece is not None:
                    pieces.append(piece)
    whole = MendPlan(
        size,
        tuple(regions),
        tuple(pieces),
        grid,
    )
    _check_amount(whole)
    for piece in pieces:
        _check_depth(
            whole,
            piece,
            mpp,
        )
    return whole


def _cells(regions: Sequence[Region], size: Size) -> tuple[Mask, np.ndarray]:
    """Cells that regions touch, and rows (region, row, column) of one cell of each."""
    shape = (math.ceil(size.height / PLAN_CELL_PX), math.ceil(size.width / PLAN_CELL_PX))
    image = Image.new("1", (shape[1], shape[0]))
    draw = ImageDraw.Draw(image)
    owners = []
    for index, region in enumerate(regions):
        corners = [(x / PLAN_CELL_PX, y / PLAN_CELL_PX) for x, y in region.outline]
        cells = [(math.floor(x), math.floor(y)) for x, y in corners]
        draw.polygon(
            cells,
            fill=1,
            outline=1,
        )
        draw.line([*cells, cells[0]], fill=1)
        column, row = cells[0]
        owners.append(
            (
                index,
                min(max(row, 0), shape[0] - 1),
                min(max(column, 0), shape[1] - 1),
            )
        )
    touched = np.asarray(image, bool)
    grown = np.asarray(ndimage.binary_dilation(touched, _NEIGHBOURS))
    return grown, np.array(owners)


def _piece(
    plan: MendPlan,
    part: tuple[slice, slice],
    own: Mask,
    names: tuple[str, ...],
) -> MendPiece | None:
    """The piece of some cells, cut to what it paints; None: nothing."""
    rows, columns = part
    box = Box(
        columns.start * PLAN_CELL_PX,
        rows.start * PLAN_CELL_PX,
        own.shape[1] * PLAN_CELL_PX,
        own.shape[0] * PLAN_CELL_PX,
    )
    mask = plan.mask(box)
    mask &= own.repeat(PLAN_CELL_PX, axis=0).repeat(PLAN_CELL_PX, axis=1)
    mask[plan.size.height - box.y :] = False
    mask[:, plan.size.width - box.x :] = False
    if not mask.any():
        return None
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = _down(int(ys[0]), plan.grid[1]), _down(int(xs[0]), plan.grid[0])
    bottom, right = int(ys[-1]) + 1, int(xs[-1]) + 1
    tight = Box(
        box.x + left,
        box.y + top,
        right - left,
        bottom - top,
    )
    return MendPiece(
        tight,
        mask[top:bottom, left:right].copy(),
        names,
    )


def _down(value: int, step: int) -> int:
    return value // step * step


def _check_amount(plan: MendPlan) -> None:
    painted = plan.painted_px
    share = painted / (plan.size.width * plan.size.height)
    if share > MAX_SHARE or painted > MAX_PAINTED_PX:
        raise BadRegions(
            f"The regions cover {painted:,} px, {share:.0%} of the slide; at most "
            f"{MAX_SHARE:.0%} and {MAX_PAINTED_PX:,} px can be painted.",
            "Leave some of them out, or scan the slide again.",
        )


def _check_depth(
    plan: MendPlan,
    piece: MendPiece,
    mpp: float,
) -> None:
    """Refuse places too far from all that is known."""
    reach = math.ceil(MAX_DEPTH_UM / mpp)
    box = piece.box
    around = Box(
        _down(box.x - reach, plan.grid[0]),
        _down(box.y - reach, plan.grid[1]),
        box.width + 2 * reach,
        box.height + 2 * reach,
    )
    step = 8
    mask = plan.mask(around)[::step, ::step]
    deepest = float(ndimage.distance_transform_edt(np.pad(mask, 1)).max()) * step * mpp
    if deepest > MAX_DEPTH_UM:
        raise BadRegions(
            f"A region around ({box.x:,}, {box.y:,}) px is {2 * deepest:,.0f} um wide: its middle "
            f"would be {deepest:,.0f} um from any known tissue, over the limit of "
            f"{MAX_DEPTH_UM:,.0f} um.",
            "Draw only what is spoilt, or leave this region out.",
        )
