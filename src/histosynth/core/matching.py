"""Which of two sets of points are the same: one-to-one, within a reach, as many pairs as can be."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

IndexPairs = NDArray[np.intp]


def match_points(
    first: ArrayLike, second: ArrayLike, reach: float
) -> tuple[IndexPairs, NDArray[np.float64]]:
    """IndexPairs of points no farther apart than `reach`: the most there can be, and of those the
    nearest.

    Solved as an assignment within each cluster of points in reach of one another (Kuhn 1955), so
    that hundreds of thousands of points take seconds.

    Args:
        first: (N, 2) coordinates.
        second: (M, 2) coordinates, same unit.
        reach: largest distance of a pair, same unit.

    Returns:
        (P, 2) indices into `first` and `second`, and (P,) their distances.
    """
    one, two = (np.asarray(points, dtype=np.float64).reshape(-1, 2) for points in (first, second))
    if not len(one) or not len(two):
        return np.zeros((0, 2), np.intp), np.zeros(0)
    near = cKDTree(one).sparse_distance_matrix(cKDTree(two), reach, output_type="ndarray")
    rows = near["i"]
    columns = near["j"]
    gaps = near["v"]
    if not len(rows):
        return np.zeros((0, 2), np.intp), np.zeros(0)
    size = len(one) + len(two)
    graph = coo_array((np.ones(len(rows)), (rows, columns + len(one))), shape=(size, size))
    _, cluster = connected_components(graph, directed=False)
    order = np.argsort(cluster[rows], kind="stable")
    starts = np.flatnonzero(np.diff(cluster[rows][order], prepend=-1))
    pairs = []
    distances = []
    for edges in np.split(order, starts[1:]):
        for row, column, gap in _assign(rows[edges], columns[edges], gaps[edges], reach):
            pairs.append((row, column))
            distances.append(gap)
    return np.array(pairs, np.intp).reshape(-1, 2), np.array(distances)


def _assign(
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
    gaps: NDArray[np.float64],
    reach: float,
) -> list[tuple[int, int, float]]:
    if len(rows) == 1:
        return [(int(rows[0]), int(columns[0]), float(gaps[0]))]
    left = np.unique(rows)
    right = np.unique(columns)
    # a pair out of reach costs more than any rearrangement of pairs in reach can save
    costs = np.full((len(left), len(right)), 2.0 * reach * (min(len(left), len(right)) + 1))
    costs[np.searchsorted(left, rows), np.searchsorted(right, columns)] = gaps
    chosen = zip(*linear_sum_assignment(costs), strict=True)
    return [
        (int(left[i]), int(right[j]), float(costs[i, j])) for i, j in chosen if costs[i, j] <= reach
    ]


def f1(matched: int, found: int, wanted: int) -> float:
    """Harmonic mean of precision and recall; 1 where there was nothing to find and nothing was
    found.
    """
    return 2 * matched / (found + wanted) if found + wanted else 1.0
