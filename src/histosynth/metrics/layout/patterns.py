"""Statistics of point patterns in rectangles, kept as sums that may be added over tiles.

A tile of 128 um holds few nuclei of a rare kind, and a mean of its ratios means nothing. So each
tile gives a numerator and a denominator, both times its area, and a sample's K or g is the ratio of
their sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...core.arrays import Float64Array

Classes = NDArray[np.intp]

RADII_UM = np.arange(2.0, 61.0, 2.0)
STEP_UM = 2.0
BAND_UM = 2.0
"""Half width of the kernel of g: fixed, so that sums of tiles of any density may be added. Below
BAND_UM from a jump of g, as at the rim of a hard core, g is smoothed over it."""
HEAVIEST = 16.0
"""Most that one nearest neighbour counts for; reached at 3/8 of a square tile's side."""


def pair_sums(
    xy: Float64Array,
    class_ids: Classes,
    classes: int,
    window: tuple[float, float],
) -> tuple[Float64Array, Float64Array]:
    """Numerators of K and of g of all pairs of kinds, and of all points whatever their kind.

    With translation edge correction (Ohser & Stoyan 1981): each ordered pair x, y counts for
    1 / |W n (W + x - y)|, so that the expected sum is lambda_i lambda_j K_ij(r) in any window W.

    Args:
        xy: (N, 2) um, within the window.
        class_ids: (N,) 0..kinds - 1; larger: of no told kind.
        classes: how many kinds there are.
        window: width and height, um.

    Returns:
        (P, R) sums of 1 / um^2 for K, and (P, R) for g, at `RADII_UM`, nan beyond half the shorter
        side; P as `pair_index` has it.
    """
    index = pair_index(classes)
    many = classes * (classes + 1) // 2 + 1
    out = np.zeros((2, many, len(RADII_UM)))
    reach = RADII_UM[-1] + BAND_UM
    if len(xy) > 1:
        first, second = cKDTree(xy).query_pairs(reach, output_type="ndarray").T
        apart = np.abs(xy[first] - xy[second])
        gap = np.hypot(apart[:, 0], apart[:, 1])
        room = (window[0] - apart[:, 0]) * (window[1] - apart[:, 1])
        left = class_ids[first]
        right = class_ids[second]
        told = (left < classes) & (right < classes)
        named = index[left[told], right[told]]
        # a pair of one kind is met in both orders, a pair of two kinds i, j in one
        weight = np.where(left == right, 2.0, 1.0)[told] / room[told]
        out[:, :-1] = _binned(gap[told], weight, named, many - 1)
        out[:, -1] = _binned(gap, 2 / room, np.zeros(len(gap), np.intp), 1)[:, 0]
    out[:, :, min(window) / 2 < RADII_UM] = np.nan
    return out[0], out[1]


def _binned(
    gap: Float64Array,
    weight: Float64Array,
    named: Classes,
    many: int,
) -> Float64Array:
    """(2, many, R) sums over pairs no farther apart than r, and smoothed densities over their
    distance.
    """
    steps = len(RADII_UM)
    step = np.maximum(
        np.ceil(gap / STEP_UM).astype(np.intp) - 1, 0
    )  # the first r not below the distance
    near = step < steps
    within = np.bincount((named * steps + step)[near], weight[near], minlength=many * steps)
    out = np.zeros((2, many * steps))
    out[0] = np.cumsum(within.reshape(many, steps), axis=1).ravel()
    # divided by the pair's own distance and not by r: unbiased from r = BAND_UM on (Guan 2007)
    ring = weight / (2 * np.pi * np.maximum(gap, 0.25))
    for offset in (0, 1):
        at = np.floor(gap / STEP_UM).astype(np.intp) - 1 + offset
        seen = (at >= 0) & (at < steps)
        off = (RADII_UM[at[seen]] - gap[seen]) / BAND_UM
        # Epanechnikov kernel
        kernel = 0.75 / BAND_UM * np.maximum(1 - off**2, 0)
        out[1] += np.bincount(
            (named * steps + at)[seen],
            ring[seen] * kernel,
            minlength=many * steps,
        )
    return out.reshape(2, many, steps)


def pair_index(classes: int) -> Classes:
    """(kinds, kinds): the row of each unordered pair: 0-0, 0-1, ..., 1-1, ...; all points come
    last.
    """
    index = np.zeros((classes, classes), np.intp)
    upper = np.triu_indices(classes)
    index[upper] = np.arange(len(upper[0]))
    index.T[upper] = index[upper]
    return index


def pair_products(counts: Float64Array, total: float, area: float) -> Float64Array:
    """(P,) denominators per area: estimates of lambda_i lambda_j, unbiased for points without
    order.

    Args:
        counts: (kinds,) points of each kind.
        total: of all points.
        area: um^2.
    """
    rows, columns = np.triu_indices(len(counts))
    pairs = counts[rows] * (counts[columns] - (rows == columns))
    return np.append(pairs, total * (total - 1)) / area**2


def nearest_neighbours(
    first: Float64Array, second: Float64Array | None, window: tuple[float, float]
) -> tuple[Float64Array, Float64Array]:
    """Distance of each point to its nearest neighbour, and what it counts for, both (N,), um.

    A neighbour may stand outside the window. Points nearer to the border than to their neighbour
    count for nothing, the others for |W| / |W shrunk by their distance| (Hanisch 1984), so that
    weighted shares are those of the whole plane.

    Args:
        first: (N, 2) um.
        second: (M, 2) um, whose are the neighbours; None: `first` itself.
        window: width and height, um; points lie in [0, width) and [0, height).

    Returns:
        Both (0,) where there is no neighbour.
    """
    others, rank = (first, 2) if second is None else (second, 1)
    if not len(first) or len(others) < rank:
        return np.zeros(0), np.zeros(0)
    gap = np.asarray(cKDTree(others).query(first, k=[rank])[0], np.float64)[:, 0]
    border = np.minimum(first, np.array(window) - first).min(axis=1)
    inner = np.maximum(window[0] - 2 * gap, 0) * np.maximum(window[1] - 2 * gap, 0)
    whole = window[0] * window[1]
    heavy = np.minimum(whole / np.maximum(inner, 1e-9 * whole), HEAVIEST)
    return gap, np.where(gap <= border, heavy, 0.0)
