"""Area and centroid of polygons: with holes, and of outlines that cross themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float64Array, IndexArray

MIN_AREA = 1e-9
"""The centroid of a smaller polygon is the mean of its corners."""
_MAX_CHECKED_CORNERS = 1000
"""An outline of more corners is measured along every line only if its centroid cannot be right."""
_LINES = 65
_MAX_CELLS = 1 << 20
"""Lines times corners that are worked on together."""
_SAME_AREA = 1e-6
"""Two areas that differ by less, as a share, are the same: the outline does not cross itself."""


@dataclass(frozen=True, slots=True)
class PolygonCentre:
    """Centroid and area of a polygon, in the unit of its corners.

    Attributes:
        x: of the centroid.
        y: of the centroid.
        area: 0 for a degenerate polygon.
    """

    x: float
    y: float
    area: float

    def moved(self, corner: Float64Array) -> PolygonCentre:
        """The same, counted from where `corner` (x, y) counts from."""
        return PolygonCentre(
            float(self.x + corner[0]),
            float(self.y + corner[1]),
            self.area,
        )


def centre_of_rings(rings: Sequence[Float64Array]) -> PolygonCentre:
    """Centroid and area of an outline less its holes.

    Args:
        rings: the outline, then the holes, each (N, 2).
    """
    outline, *holes = rings
    centre = polygon_centre(outline)
    if not holes:
        return centre
    area = centre.area
    sum_x = centre.x * area
    sum_y = centre.y * area
    for ring in holes:
        hole = polygon_centre(ring)
        area -= hole.area
        sum_x -= hole.x * hole.area
        sum_y -= hole.y * hole.area
    if area < MIN_AREA:
        return centre
    x = sum_x / area
    y = sum_y / area
    less = PolygonCentre(x, y, area)
    # holes that lie outside the outline would draw the centroid out of it
    return less if _is_within(less, outline) else centre


def polygon_centre(corners: Float64Array) -> PolygonCentre:
    """Centroid and area of a closed ring (N, 2) by the shoelace formula.

    The lobes of a ring that crosses itself have areas of both signs, which that formula would
    subtract: its centroid can lie far outside the ring. Such a ring is measured line by line, and
    whatever it winds around counts as inside.
    """
    centre = _shoelace_centre(corners)
    if _is_star(corners, centre):
        return centre
    is_long = len(corners) > _MAX_CHECKED_CORNERS
    if is_long and centre.area and _is_within(centre, corners):
        return centre
    wound = _centre_by_lines(
        corners,
        every_corner=not is_long,
    )
    box_area = np.ptp(corners, axis=0).prod()
    is_flat = wound.area <= _SAME_AREA * box_area
    difference = abs(wound.area - centre.area)
    is_simple = difference <= _SAME_AREA * wound.area
    return centre if is_flat or is_simple else wound


def _shoelace_centre(corners: Float64Array) -> PolygonCentre:
    x, y = (corners - corners[0]).T
    next_x = np.roll(x, -1)
    next_y = np.roll(y, -1)
    cross = x * next_y - next_x * y
    area = cross.sum() / 2
    if abs(area) < MIN_AREA:
        mean_x, mean_y = corners.mean(axis=0)
        return PolygonCentre(float(mean_x), float(mean_y), 0.0)
    sum_x = ((x + next_x) * cross).sum()
    sum_y = ((y + next_y) * cross).sum()
    centre = PolygonCentre(
        sum_x / (6 * area),
        sum_y / (6 * area),
        float(abs(area)),
    )
    return centre.moved(corners[0])


def _is_star(corners: Float64Array, centre: PolygonCentre) -> bool:
    """Whether the corners follow each other in one sense around the centroid.

    Such a ring does not cross itself; most nuclei are, and are not measured twice.
    """
    if not centre.area:
        return False
    x = corners[:, 0] - centre.x
    y = corners[:, 1] - centre.y
    next_x = np.roll(x, -1)
    next_y = np.roll(y, -1)
    turns = x * next_y - next_x * y
    is_left = turns >= 0
    is_right = turns <= 0
    return bool(is_left.all() or is_right.all())


def _is_within(centre: PolygonCentre, corners: Float64Array) -> bool:
    """Whether a centroid lies within the bounds of a ring."""
    middle = np.array([centre.x, centre.y])
    after_first = middle >= corners.min(axis=0)
    before_last = middle <= corners.max(axis=0)
    return bool(after_first.all() and before_last.all())


def _centre_by_lines(
    corners: Float64Array,
    *,
    every_corner: bool,
) -> PolygonCentre:
    """Centroid and area of what a ring winds around, from its widths along horizontal lines.

    Between two neighbouring corners' heights the width is linear in the height, so that the lines
    half way give the exact area wherever edges do not cross.
    """
    x, y = (corners - corners[0]).T
    levels = np.linspace(y.min(), y.max(), _LINES)
    if every_corner:
        levels = np.concatenate([levels, y])
    levels = np.unique(levels)
    area = 0.0
    sum_x = 0.0
    sum_y = 0.0
    step = max(_MAX_CELLS // len(corners), 1)
    for first in range(0, len(levels) - 1, step):
        piece = levels[first : first + step + 1]
        heights = np.diff(piece)
        middles = (piece[1:] + piece[:-1]) / 2
        widths, moments = _widths(x, y, middles)
        areas = widths * heights
        moments_x = moments * heights
        moments_y = areas * middles
        area += float(areas.sum())
        sum_x += float(moments_x.sum())
        sum_y += float(moments_y.sum())
    if area < MIN_AREA:
        return PolygonCentre(0.0, 0.0, 0.0)
    centre = PolygonCentre(
        sum_x / area,
        sum_y / area,
        area,
    )
    return centre.moved(corners[0])


def _widths(
    x: Float64Array,
    y: Float64Array,
    lines: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Length and first moment in x (M each) of the parts of horizontal lines that a ring winds
    around.
    """
    next_x = np.roll(x, -1)
    next_y = np.roll(y, -1)
    line = lines[:, None]
    begins_above = y <= line
    ends_above = next_y <= line
    down = begins_above & ~ends_above
    up = ends_above & ~begins_above
    rise = next_y - y
    run = next_x - x
    is_level = rise == 0
    rise = np.where(is_level, 1.0, rise)
    share = (line - y) / rise
    at = x + share * run
    # edges that a line does not cross come last, all in one place
    is_crossed = down | up
    at = np.where(is_crossed, at, x.max())
    order = np.argsort(at, axis=1)
    at = _sorted_by(at, order)
    turn = _sorted_by(down.astype(np.float64) - up, order)
    winding = turn.cumsum(axis=1)[:, :-1]
    left = at[:, :-1]
    right = at[:, 1:]
    middle = (left + right) / 2
    widths = np.where(winding, right - left, 0.0)
    moments = widths * middle
    return widths.sum(axis=1), moments.sum(axis=1)


def _sorted_by(values: Float64Array, order: IndexArray) -> Float64Array:
    """Each row (M, N) in its own order."""
    return np.take_along_axis(
        values,
        order,
        axis=1,
    )
