"""Centroids, areas and second moments of many polygons together; the first two as
`centre_of_rings` has them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from ..core.arrays import BoolArray, Float64Array
from .objects import Polygon
from .polygons import MIN_AREA, centre_of_rings

COLUMNS = 6
"""Numbers of a measured polygon."""
_MAX_CORNERS = 200
"""Rings of more corners are rare, and measured one by one."""


def measure_polygons(polygons: Sequence[Polygon]) -> Float64Array:
    """(N, 6) centroid x, y, area, and variances xx, yy, xy of polygons, in px and px2.

    Variances of polygons with holes, of very many corners, and of those that cross themselves are
    nan: they are no outlines of nuclei.
    """
    measured = np.full(
        (len(polygons), COLUMNS),
        np.nan,
    )
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
        measured[np.array(indices)[~is_star], 3:] = np.nan
        alone += np.array(indices)[~is_star].tolist()
    for index in alone:
        centre = centre_of_rings(polygons[index])
        measured[index, :3] = (
            centre.x,
            centre.y,
            centre.area,
        )
    return measured


def _star_centres(rings: Float64Array) -> tuple[Float64Array, BoolArray]:
    """(M, 6) by the shoelace formula, and (M) whether it is right: see `polygon_centre`.

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
    twelfth = (turns / (2 * divisor[:, None])).T
    variances = (
        (x**2 + x * next_x + next_x**2).T * twelfth,
        (y**2 + y * next_y + next_y**2).T * twelfth,
        (x * y + next_x * next_y + (x * next_y + next_x * y) / 2).T * twelfth,
    )
    columns = [centres, *(each.sum(axis=0)[:, None] for each in variances)]
    return np.concatenate(
        columns,
        axis=1,
    ), is_star & ~is_flat


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
