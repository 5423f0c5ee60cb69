"""What nearest neighbours tell: precision, recall, density, coverage; authenticity and copying.

Distances are taken a block of rows at a time: memory grows with n, not with n squared.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from ..core.arrays import Float64Array

Array = NDArray[np.floating]
Rows = NDArray[np.intp]
ROWS = 1024
"""Rows of a distance matrix that are held at a time."""


def squared_distances(first: Array, second: Array) -> Array:
    """(N, M) squared Euclidean distances of (N, D) and (M, D), in the type of the features.

    In float32 they are good to some 1e-6 of the features' own squares; whoever needs the distance
    of near neighbours takes it from `exact`.
    """
    kind = np.float32 if first.dtype == second.dtype == np.float32 else np.float64
    # about a common centre: |x|^2 - 2 x.y + |y|^2 loses figures far from 0
    centre = second.mean(0, dtype=np.float64)
    one, two = ((side - centre).astype(kind) for side in (first, second))
    out: Array = one @ two.T
    out *= -2
    out += (one**2).sum(1)[:, None]
    out += (two**2).sum(1)
    np.maximum(out, 0, out=out)
    return out


def exact(first: Array, second: Array, rows: Rows) -> Float64Array:
    """(N, k) distances of each row of `first` to its rows (N, k) of `second`, without
    cancellation.
    """
    out = np.empty(rows.shape)
    for column in range(rows.shape[1]):
        apart = first.astype(np.float64) - second[rows[:, column]]
        out[:, column] = np.sqrt(np.einsum("nd,nd->n", apart, apart))
    return out


def by_blocks(
    first: Array,
    second: Array,
    look: Callable[[Array, slice], None],
    *,
    rows: int = ROWS,
) -> None:
    """Show `look` the squared distances of a block of `first` to all of `second`, with the block's
    rows.
    """
    for start in range(0, len(first), rows):
        part = slice(start, min(start + rows, len(first)))
        look(squared_distances(first[part], second), part)


def nearest(
    first: Array,
    second: Array,
    *,
    owners: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    many: int = 1,
) -> tuple[Float64Array, Rows]:
    """The nearest rows of `second` to each of `first`.

    Args:
        first: (N, D).
        second: (M, D).
        owners: whose each row is; rows of one owner are no neighbours of each other. None: all are.
        many: how many neighbours.

    Returns:
        (N, many) distances, nearest first, infinite where there is none; (N, many) rows of
        `second`.
    """
    many = min(many, len(second))
    gaps = np.empty((len(first), many))
    rows = np.empty((len(first), many), np.intp)
    names = None if owners is None else [np.array([hash(name) for name in side]) for side in owners]

    def look(squared: Array, part: slice) -> None:
        if names is not None:
            squared[names[0][part, None] == names[1][None]] = np.inf
        found = np.argpartition(squared, many - 1, axis=1)[:, :many]
        told = np.isfinite(np.take_along_axis(squared, found, 1))
        values = np.where(told, exact(first[part], second, found), np.inf)
        order = np.argsort(values, axis=1, kind="stable")
        gaps[part] = np.take_along_axis(values, order, 1)
        rows[part] = np.take_along_axis(found, order, 1)

    by_blocks(first, second, look)
    return gaps, rows


def radii(features: Array, k: int) -> Float64Array:
    """(N,) distance of each row to its k-th nearest other row."""
    out = np.empty(len(features))

    def look(squared: Array, part: slice) -> None:
        # the row itself is the nearest, at 0
        found = np.argpartition(squared, k, axis=1)[:, k : k + 1]
        out[part] = exact(features[part], features, found)[:, 0]

    by_blocks(features, features, look)
    return out


@dataclass(frozen=True, eq=False)
class Prdc:
    """Per tile, so that patients can be drawn: means over tiles are the four numbers.

    Attributes:
        precision: (M,) 1 where a made tile lies in some real tile's ball (Kynkaanniemi et al.
            2019).
        recall: (N,) 1 where a real tile lies in some made tile's ball.
        density: (M,) in how many real balls a made tile lies, over k (Naeem et al. 2020).
        coverage: (N,) 1 where a real tile's ball holds a made tile.
    """

    precision: Float64Array
    recall: Float64Array
    density: Float64Array
    coverage: Float64Array


def prdc(real: Array, synthetic: Array, k: int = 5) -> Prdc:
    """Precision, recall, density and coverage with balls that reach to the k-th neighbour.

    Args:
        real: (N, D), more than k.
        synthetic: (M, D), more than k.
        k: neighbours.
    """
    if min(len(real), len(synthetic)) <= k:
        raise ValueError(f"balls to the {k}th neighbour need more than {k} tiles a side")
    mine = radii(real, k) ** 2
    theirs = radii(synthetic, k) ** 2
    inside = np.zeros(len(synthetic))
    recall = np.zeros(len(real))
    coverage = np.zeros(len(real))

    def look(squared: Array, part: slice) -> None:
        inside[:] += (squared <= mine[part, None]).sum(0)
        recall[part] = (squared <= theirs[None]).any(1)
        coverage[part] = squared.min(1) <= mine[part]

    by_blocks(real, synthetic, look)
    return Prdc(
        (inside > 0).astype(np.float64),
        recall,
        inside / k,
        coverage,
    )


def authentic(train: Array, synthetic: Array) -> Float64Array:
    """(M,) 1 where a made tile is farther from its nearest training tile than that is from its own
    nearest.

    Their mean is AuthPct (Alaa et al. 2022): about a half for tiles as new as the training tiles
        are to
    each other, low for copies.
    """
    own = radii(train, 1)
    gaps, rows = nearest(synthetic, train)
    return (gaps[:, 0] > own[rows[:, 0]]).astype(np.float64)


def copying_statistic(synthetic: Float64Array, held_out: Float64Array) -> float:
    """C_T of one cell (Meehan et al. 2020): are made tiles nearer to training than unseen real ones
    are?

    The Mann-Whitney statistic of both sides' distances to training, in its standard deviations
    under chance. Far below 0 (-3 and less) means copying.

    Args:
        synthetic: (M,) distances of made tiles to their nearest training tile.
        held_out: (N,) the same of held-out real tiles.
    """
    m = len(synthetic)
    n = len(held_out)
    ranks = rankdata(np.concatenate([synthetic, held_out]))
    wins = ranks[:m].sum() - m * (m + 1) / 2
    return float((wins - m * n / 2) / np.sqrt(m * n * (m + n + 1) / 12))
