"""Centroids and areas of many polygons together; the values are those of `centre_of_rings`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..core.arrays import BoolArray, Float64Array
from .objects import Polygon
from .polygons import MIN_AREA, centre_of_rings

_MAX_CORNERS = 200
"""Rings of more corners are rare, and measured one by one."""


def measure_polygons(polygons: Sequence[Polygon]) -> Float64Array:
    """(N, 3) centroid x, y and area of polygons, in px and px2."""
    measured = np.empty((len(polygons), 3), np.float64)
    alike: defaultdict[int, list[int]] = defaultdict(list)
    alone: list[int] = []
    for index, polygon in enumerate(polygons):
        if len(polygon) == 1 and len(polygon[0]) <= _MAX_CORNERS:
            alike[len(polygon[0])].append(index)
        else:
            alone.append(index)
    for corners, indices in alike.items():
        rings = np.concatenate([polygons[index][0] for index in indices])
        centres, is_star = _star_centres(
            rings.reshape(
                -1,
                corners,
                2,
            )
        )
        measured[indices] = centres
        alone += np.array(indices)[~is_star].tolist()
    for index in alone:
        centre = centre_of_rings(polygons[index])
        measured[index] = (
            centre.x,
            centre.y,
            centre.area,
        )
    return measured


def _star_centres(rings: Float64Array) -> tuple[Float64Array, BoolArray]:
    """(M, 3) by the shoelace formula, and (M) whether it is right: see `polygon_centre`.

    Args:
        rings: (M, N, 2) px.
    """
    first = rings[:, 0]
    moved = rings - first[:, None]
    x, y, next_x, next_y = _edges(moved)
    cross = x * next_y - next_x * y
    area = cross.sum(axis=1) / 2
    is_flat = np.abs(area) < MIN_AREA
    divisor = 6 * np.where(
        is_flat,
        1.0,
        area,
    )
    centre_x = ((x + next_x) * cross).sum(axis=1) / divisor + first[:, 0]
    centre_y = ((y + next_y) * cross).sum(axis=1) / divisor + first[:, 1]
    centres = np.stack(
        [
            centre_x,
            centre_y,
            np.abs(area),
        ],
        axis=1,
    )
    x, y, next_x, next_y = _edges(rings - centres[:, None, :2])
    turns = x * next_y - next_x * y
    is_star = (turns >= 0).all(axis=1) | (turns <= 0).all(axis=1)
    return centres, is_star & ~is_flat


def _edges(
    rings: Float64Array,
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """x, y of each corner and of the next, (M, N) each."""
    x = np.ascontiguousarray(rings[:, :, 0])
    y = np.ascontiguousarray(rings[:, :, 1])
    return (
        x,
        y,
        np.roll(
            x,
            -1,
            axis=1,
        ),
        np.roll(
            y,
            -1,
            axis=1,
        ),
    )
