"""Statistics of point patterns in rectangles, kept as sums that can be added over tiles.

A tile of 128 um contains few nuclei of a rare class, and a mean of its ratios means nothing. So
each tile gives a numerator and a denominator, both times its area, and a sample's K or g is the
ratio of their sums.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ...core.arrays import Float64Array, IndexArray

RADII_UM = np.arange(2.0, 61.0, 2.0)
RADIUS_STEP_UM = 2.0
BAND_UM = 2.0
"""Half width of the kernel of g: fixed, so that sums of tiles of any density can be added. Below
BAND_UM from a jump of g, as at the rim of a hard core, g is smoothed over it."""
MAX_NEIGHBOUR_WEIGHT = 16.0
"""Weight of one nearest neighbour at most; reached at 3/8 of a square tile's side."""
_MIN_GAP_UM = 0.25
"""Shorter distances count as this one in g, which divides by the distance."""


def pair_sums(
    xy: Float64Array,
    class_ids: IndexArray,
    classes: int,
    window: tuple[float, float],
) -> tuple[Float64Array, Float64Array]:
    """Numerators of K and of g of all pairs of classes, and of all points whatever their class.

    With translation edge correction (Ohser & Stoyan 1981): each ordered pair x, y counts
    1 / |W n (W + x - y)|, so that the expected sum is lambda_i lambda_j K_ij(r) in any window W.

    Args:
        xy: (N, 2) um, within the window.
        class_ids: (N,) 0..classes - 1; larger: without a class.
        classes: how many classes there are.
        window: width and height, um.

    Returns:
        (P, R) sums of 1 / um^2 for K, and (P, R) for g, at `RADII_UM`, nan beyond half the shorter
        side; P as in `pair_index`.
    """
    pairs = classes * (classes + 1) // 2 + 1
    out = np.zeros((2, pairs, len(RADII_UM)))
    if len(xy) > 1:
        reach = RADII_UM[-1] + BAND_UM
        tree = cKDTree(xy)
        first, second = tree.query_pairs(reach, output_type="ndarray").T
        difference = np.abs(xy[first] - xy[second])
        dx = difference[:, 0]
        dy = difference[:, 1]
        gap = np.hypot(dx, dy)
        width, height = window
        overlap = (width - dx) * (height - dy)
        first_class = class_ids[first]
        second_class = class_ids[second]
        classified = (first_class < classes) & (second_class < classes)
        index = pair_index(classes)
        pair = index[first_class[classified], second_class[classified]]
        # a pair of one class is counted in both orders, a pair of two classes in one
        orders = np.where(first_class == second_class, 2.0, 1.0)
        weight = orders[classified] / overlap[classified]
        out[:, :-1] = _binned(
            gap[classified],
            weight,
            pair,
            pairs - 1,
        )
        one_group = np.zeros(len(gap), np.intp)
        of_all = _binned(
            gap,
            2 / overlap,
            one_group,
            1,
        )
        out[:, -1] = of_all[:, 0]
    out[:, :, min(window) / 2 < RADII_UM] = np.nan
    return out[0], out[1]


def _binned(
    gap: Float64Array,
    weight: Float64Array,
    pair: IndexArray,
    pairs: int,
) -> Float64Array:
    """(2, pairs, R) sums over point pairs no farther apart than r, and smoothed densities over
    their distance.
    """
    cumulative = _sums_within_radii(gap, weight, pair, pairs)
    density = _kernel_densities(gap, weight, pair, pairs)
    return np.stack([cumulative, density])


def _sums_within_radii(
    gap: Float64Array,
    weight: Float64Array,
    pair: IndexArray,
    pairs: int,
) -> Float64Array:
    """(pairs, R) sums of the weights of point pairs no farther apart than r."""
    steps = len(RADII_UM)
    # the first r not below the distance
    step = np.ceil(gap / RADIUS_STEP_UM).astype(np.intp) - 1
    step = np.maximum(step, 0)
    near = step < steps
    bins = pair * steps + step
    in_step = np.bincount(
        bins[near],
        weight[near],
        minlength=pairs * steps,
    )
    in_step = in_step.reshape(pairs, steps)
    return np.cumsum(in_step, axis=1)


def _kernel_densities(
    gap: Float64Array,
    weight: Float64Array,
    pair: IndexArray,
    pairs: int,
) -> Float64Array:
    """(pairs, R) densities at r of the distances of point pairs."""
    steps = len(RADII_UM)
    out = np.zeros(pairs * steps)
    # divided by the pair's own distance and not by r: unbiased from r = BAND_UM on (Guan 2007)
    distance = np.maximum(gap, _MIN_GAP_UM)
    ring = weight / (2 * np.pi * distance)
    below = np.floor(gap / RADIUS_STEP_UM).astype(np.intp) - 1
    for step in (below, below + 1):
        inside = (step >= 0) & (step < steps)
        radius = RADII_UM[step[inside]]
        offset = (radius - gap[inside]) / BAND_UM
        parabola = np.maximum(1 - offset**2, 0)
        epanechnikov = 0.75 / BAND_UM * parabola
        bins = pair * steps + step
        out += np.bincount(
            bins[inside],
            ring[inside] * epanechnikov,
            minlength=pairs * steps,
        )
    return out.reshape(pairs, steps)


def pair_index(classes: int) -> IndexArray:
    """(classes, classes): the row of each unordered pair: 0-0, 0-1, ..., 1-1, ...

    The row after them is that of all points.
    """
    index = np.zeros((classes, classes), np.intp)
    upper = np.triu_indices(classes)
    index[upper] = np.arange(len(upper[0]))
    index.T[upper] = index[upper]
    return index


def pair_products(
    counts: Float64Array,
    total: float,
    area: float,
) -> Float64Array:
    """(P,) denominators per area: estimates of lambda_i lambda_j, unbiased for random points.

    Args:
        counts: (classes,) points of each class.
        total: of all points.
        area: um^2.
    """
    rows, columns = np.triu_indices(len(counts))
    same_class = rows == columns
    pairs = counts[rows] * (counts[columns] - same_class)
    all_pairs = total * (total - 1)
    return np.append(pairs, all_pairs) / area**2


def nearest_neighbours(
    first: Float64Array,
    second: Float64Array | None,
    window: tuple[float, float],
) -> tuple[Float64Array, Float64Array]:
    """Distance of each point to its nearest neighbour, um, and its weight, both (N,).

    A neighbour may lie outside the window. Points nearer to the border than to their neighbour have
    weight 0, the others |W| / |W shrunk by their distance| (Hanisch 1984), so that weighted shares
    are those of the whole plane.

    Args:
        first: (N, 2) um.
        second: (M, 2) um, among which neighbours are; None: `first` itself.
        window: width and height, um; points lie in [0, width) and [0, height).

    Returns:
        Both (0,) where there is no neighbour.
    """
    neighbours = second
    rank = 1
    if neighbours is None:
        neighbours = first
        rank = 2  # a point is its own nearest
    if not len(first) or len(neighbours) < rank:
        return np.zeros(0), np.zeros(0)
    distances, _ = cKDTree(neighbours).query(first, k=[rank])
    gap = np.asarray(distances, np.float64)[:, 0]
    to_border = np.minimum(first, np.array(window) - first).min(axis=1)
    inner_width = np.maximum(window[0] - 2 * gap, 0)
    inner_height = np.maximum(window[1] - 2 * gap, 0)
    inner = inner_width * inner_height
    whole = window[0] * window[1]
    weight = np.minimum(
        whole / np.maximum(inner, 1e-9 * whole),
        MAX_NEIGHBOUR_WEIGHT,
    )
    return gap, np.where(gap <= to_border, weight, 0.0)
