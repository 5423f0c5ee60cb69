"""Area and centroid of polygons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float64Array

MIN_AREA = 1e-9
"""The centroid of a smaller polygon is the mean of its corners."""


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


def polygon_centre(corners: Float64Array) -> PolygonCentre:
    """Centroid and area of a closed ring (N, 2) by the shoelace formula."""
    first_x, first_y = corners[0]
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
    centre_x = sum_x / (6 * area)
    centre_y = sum_y / (6 * area)
    return PolygonCentre(
        float(centre_x + first_x),
        float(centre_y + first_y),
        float(abs(area)),
    )
