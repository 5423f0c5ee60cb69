"""One-to-one pairs of points of two sets within a distance, as many pairs as possible."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from .arrays import Float64Array, IndexArray


class PointMatches(NamedTuple):
    """Pairs of points of two sets.

    Attributes:
        pairs: (P, 2) indices into the first and the second set.
        distances: (P,) of the pairs.
    """

    pairs: IndexArray
    distances: Float64Array


class _Edges(NamedTuple):
    """Candidate pairs: (E,) indices into the first and the second set, and their distances."""

    rows: IndexArray
    columns: IndexArray
    distances: Float64Array

    def take(self, which: IndexArray) -> _Edges:
        """Some of them."""
        return _Edges(
            self.rows[which],
            self.columns[which],
            self.distances[which],
        )


def match_points(
    first: ArrayLike,
    second: ArrayLike,
    reach: float,
) -> PointMatches:
    """Pairs of points no farther apart than `reach`, each point in at most one.

    There are as many pairs as possible; of all such sets of pairs it is the one with the least sum
    of distances. Solved as an assignment within each cluster of points in reach of one another
    (Kuhn 1955), so that hundreds of thousands of points take seconds.

    Args:
        first: (N, 2) coordinates.
        second: (M, 2) coordinates, same unit.
        reach: largest distance of a pair, same unit.
    """
    first_points = _as_points(first)
    second_points = _as_points(second)
    pairs: list[tuple[int, int]] = []
    distances: list[float] = []
    edges = _edges_within(first_points, second_points, reach)
    for cluster in _clusters(edges, len(first_points), len(second_points)):
        for row, column, distance in _assign(cluster, reach):
            pairs.append((row, column))
            distances.append(distance)
    return PointMatches(
        np.array(pairs, np.intp).reshape(-1, 2),
        np.array(distances),
    )


def _as_points(points: ArrayLike) -> Float64Array:
    return np.asarray(points, dtype=np.float64).reshape(-1, 2)


def _edges_within(
    first: Float64Array,
    second: Float64Array,
    reach: float,
) -> _Edges:
    found = cKDTree(first).sparse_distance_matrix(
        cKDTree(second),
        reach,
        output_type="ndarray",
    )
    return _Edges(found["i"], found["j"], found["v"])


def _clusters(
    edges: _Edges,
    first_count: int,
    second_count: int,
) -> Iterator[_Edges]:
    """The edges of each connected set of points, one set after the other."""
    if not len(edges.rows):
        return
    size = first_count + second_count
    ones = np.ones(len(edges.rows))
    nodes = (edges.rows, edges.columns + first_count)
    graph = coo_array((ones, nodes), shape=(size, size))
    _, cluster_of_node = connected_components(graph)  # by default whatever the edges' direction
    cluster = cluster_of_node[edges.rows]
    order = np.argsort(cluster)
    starts = np.flatnonzero(np.diff(cluster[order])) + 1
    for which in np.split(order, starts):
        yield edges.take(which)


def _assign(
    edges: _Edges,
    reach: float,
) -> list[tuple[int, int, float]]:
    """(row, column, distance) of the chosen pairs of a cluster."""
    if len(edges.rows) == 1:
        row = int(edges.rows[0])
        column = int(edges.columns[0])
        return [(row, column, float(edges.distances[0]))]
    rows = np.unique(edges.rows)
    columns = np.unique(edges.columns)
    costs = _costs(edges, rows, columns, reach)
    chosen = []
    for i, j in zip(*linear_sum_assignment(costs), strict=True):
        if costs[i, j] <= reach:
            chosen.append((int(rows[i]), int(columns[j]), float(costs[i, j])))
    return chosen


def _costs(
    edges: _Edges,
    rows: IndexArray,
    columns: IndexArray,
    reach: float,
) -> NDArray[np.float64]:
    """Distances of all pairs of `rows` and `columns`; those out of reach cost a great deal."""
    shape = (len(rows), len(columns))
    # a pair out of reach costs more than any rearrangement of pairs in reach can save
    out_of_reach = 2.0 * reach * (min(shape) + 1)
    costs = np.full(shape, out_of_reach)
    i = np.searchsorted(rows, edges.rows)
    j = np.searchsorted(columns, edges.columns)
    costs[i, j] = edges.distances
    return costs


def f1(matched: int, found: int, wanted: int) -> float:
    """Harmonic mean of precision and recall; 1 where nothing was wanted and nothing was found."""
    total = found + wanted
    if not total:
        return 1.0
    return 2 * matched / total
