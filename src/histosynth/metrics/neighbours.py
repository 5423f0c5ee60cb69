"""Statistics of nearest neighbours: precision, recall, density, coverage; authenticity, copying.

Distances are computed a block of rows at a time: memory grows with n, not with n squared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from ..core.arrays import BoolArray, Float64Array, FloatArray, IndexArray

ROWS = 1024
"""Rows of a distance matrix that are held at a time."""
PAIRS = 4096
"""Pairs of rows that are compared exactly at a time."""
_TIE = 1 + 1e-12
"""Squared distances that differ by no larger factor are equal: their sums are rounded."""
_Visit = Callable[[FloatArray, slice], None]
_Owners = Sequence[Hashable]


def squared_distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """(N, M) squared Euclidean distances of (N, D) and (M, D), in the dtype of the features.

    In float32 they are accurate to some 1e-6 of the squared features; distances of near neighbours
    have to be taken from `exact_distances`.
    """
    both_float32 = first.dtype == second.dtype == np.float32
    dtype = np.float32 if both_float32 else np.float64
    # about a common centre: |x|^2 - 2 x.y + |y|^2 loses digits far from 0
    centre = second.mean(0, dtype=np.float64)
    first_centred = first - centre
    second_centred = second - centre
    x = first_centred.astype(dtype)
    y = second_centred.astype(dtype)
    x_squares = (x**2).sum(1)
    y_squares = (y**2).sum(1)
    out: FloatArray = x @ y.T
    out *= -2
    out += x_squares[:, None]
    out += y_squares
    np.maximum(out, 0, out=out)
    return out


def exact_distances(
    first: FloatArray,
    second: FloatArray,
    rows: IndexArray,
) -> Float64Array:
    """(N, k) distances of each row of `first` to its rows (N, k) of `second`, without
    cancellation.
    """
    out = np.empty(rows.shape)
    exact = first.astype(np.float64)
    for column in range(rows.shape[1]):
        neighbours = second[rows[:, column]]
        difference = exact - neighbours
        squared = np.einsum(
            "nd,nd->n",
            difference,
            difference,
        )
        out[:, column] = np.sqrt(squared)
    return out


def by_blocks(
    first: FloatArray,
    second: FloatArray,
    visit: _Visit,
) -> None:
    """Call `visit` with squared distances (n, M) of a block of rows of `first`, and the block."""
    count = len(first)
    for start in range(0, count, ROWS):
        stop = min(start + ROWS, count)
        block = slice(start, stop)
        squared = squared_distances(first[block], second)
        visit(squared, block)


def nearest_rows(
    first: FloatArray,
    second: FloatArray,
    *,
    owners: tuple[_Owners, _Owners] | None = None,
    count: int = 1,
) -> tuple[Float64Array, IndexArray]:
    """The nearest rows of `second` to each row of `first`.

    Args:
        first: (N, D).
        second: (M, D).
        owners: of the rows of both; rows of one owner are no neighbours of each other. None: all
            rows may be neighbours.
        count: how many neighbours.

    Returns:
        (N, count) distances, nearest first, infinite where there is none; (N, count) rows of
        `second`.

    Raises:
        ValueError: `second` is empty, or a feature is not a finite number.
    """
    if not len(second):
        raise ValueError("there is no row among which neighbours could be")
    refuse_not_finite(first, second)
    count = min(count, len(second))
    shape = (len(first), count)
    distances = np.empty(shape)
    rows = np.empty(shape, np.intp)
    first_owners = None
    second_owners = None
    if owners is not None:
        first_owners = _hashes(owners[0])
        second_owners = _hashes(owners[1])

    def visit(squared: FloatArray, block: slice) -> None:
        if first_owners is not None:
            same_owner = first_owners[block, None] == second_owners
            squared[same_owner] = np.inf
        partitioned = np.argpartition(squared, count - 1, axis=1)
        found = partitioned[:, :count]
        found_squared = np.take_along_axis(squared, found, 1)
        exact = exact_distances(first[block], second, found)
        values = np.where(
            np.isfinite(found_squared),
            exact,
            np.inf,
        )
        order = np.argsort(values, axis=1, kind="stable")
        distances[block] = np.take_along_axis(values, order, 1)
        rows[block] = np.take_along_axis(found, order, 1)

    by_blocks(first, second, visit)
    return distances, rows


def refuse_not_finite(*sets: FloatArray) -> None:
    """Comparisons with nan are false, so that features with nan would look far from everything.

    Raises:
        ValueError: a feature is not a finite number.
    """
    for features in sets:
        finite = np.isfinite(features)
        if not finite.all():
            raise ValueError("features must be finite numbers")


def _hashes(owners: _Owners) -> IndexArray:
    """(N,) equal numbers for equal owners."""
    hashes = [hash(owner) for owner in owners]
    return np.array(hashes)


def rounding_distance(*sets: FloatArray) -> float:
    """How far apart an encoder's float32 may place two equal pictures of other batches.

    With `histo` it was up to 7e-7 of a picture's features, and this is 1.9e-6 of them; other
    pictures are farther apart by some five orders of magnitude.
    """
    squares = 0.0
    count = 0
    for features in sets:
        squares += float((features.astype(np.float64) ** 2).sum())
        count += len(features)
    length = math.sqrt(squares / max(count, 1))
    return 16 * float(np.finfo(np.float32).eps) * length


def radii(
    features: FloatArray,
    k: int,
    owners: _Owners | None = None,
) -> Float64Array:
    """(N,) distance of each row to its k-th nearest other row.

    Args:
        features: (N, D).
        k: neighbours.
        owners: (N) of the rows; of another owner the nearest row alone is a neighbour, and of a
            row's own owner none. None: all rows may be neighbours.
    """
    if owners is not None and len(set(owners)) < len(features):
        return _radii_of_owners(features, k, owners)
    out = np.empty(len(features))

    def visit(squared: FloatArray, block: slice) -> None:
        # the row itself is the nearest, at 0
        partitioned = np.argpartition(squared, k, axis=1)
        found = partitioned[:, k : k + 1]
        distances = exact_distances(
            features[block],
            features,
            found,
        )
        out[block] = distances[:, 0]

    by_blocks(features, features, visit)
    return out


def _radii_of_owners(
    features: FloatArray,
    k: int,
    owners: _Owners,
) -> Float64Array:
    """`radii` where some owners have several rows."""
    _, numbers = np.unique(_hashes(owners), return_inverse=True)
    by_owner = np.argsort(numbers, kind="stable")
    firsts = np.flatnonzero(np.diff(numbers[by_owner], prepend=-1))
    out = np.empty(len(features))

    def visit(squared: FloatArray, block: slice) -> None:
        nearest = np.minimum.reduceat(squared[:, by_owner], firsts, axis=1)
        nearest[np.arange(len(nearest)), numbers[block]] = np.inf
        reach = np.partition(nearest, k - 1, axis=1)[:, k - 1 : k]
        found = np.argmax(squared == reach, axis=1)
        distances = exact_distances(
            features[block],
            features,
            found[:, None],
        )
        out[block] = distances[:, 0]

    by_blocks(features, features, visit)
    return out


@dataclass(frozen=True, eq=False)
class Prdc:
    """Per tile, so that patients can be resampled: means over tiles are the four numbers.

    Attributes:
        precision: (M,) 1 where a synthetic tile lies in some real tile's ball (Kynkaanniemi et al.
            2019).
        recall: (N,) 1 where a real tile lies in some synthetic tile's ball.
        density: (M,) in how many real balls a synthetic tile lies, over k (Naeem et al. 2020).
        coverage: (N,) 1 where a real tile's ball contains a synthetic tile.
        empty_balls: real and synthetic tiles with a ball without a size, because the tile is there
            more than k times: only a copy of it can lie in the ball.
    """

    precision: Float64Array
    recall: Float64Array
    density: Float64Array
    coverage: Float64Array
    empty_balls: tuple[int, int] = (0, 0)


def prdc(
    real: FloatArray,
    synthetic: FloatArray,
    k: int = 5,
    *,
    synthetic_owners: _Owners | None = None,
) -> Prdc:
    """Precision, recall, density and coverage with balls that reach to the k-th neighbour.

    A tile on the edge of a ball lies in it. So precision, recall and coverage of a set against
    itself are 1 and its density is (k + 1) / k, however often tiles are repeated.

    Args:
        real: (N, D), more than k.
        synthetic: (M, D), more than k.
        k: neighbours.
        synthetic_owners: (M) of which layout the synthetic tiles are variants; a tile's ball
            reaches to the k-th nearest other layout, as variants of one are nearer to each other
            than two tiles of tissue are. None: each is of its own.

    Raises:
        ValueError: a side has no more than k tiles or owners, or a feature is not a finite number.
    """
    owned = len(synthetic) if synthetic_owners is None else len(set(synthetic_owners))
    if min(len(real), owned) <= k:
        raise ValueError(f"balls to the {k}th neighbour need more than {k} tiles a side")
    refuse_not_finite(real, synthetic)
    least = rounding_distance(real, synthetic) ** 2
    real_balls = np.maximum(radii(real, k) ** 2, least)
    synthetic_balls = np.maximum(radii(synthetic, k, synthetic_owners) ** 2, least)
    balls_around = np.zeros(len(synthetic))
    recall = np.zeros(len(real))
    coverage = np.zeros(len(real))

    def visit(squared: FloatArray, block: slice) -> None:
        pairs = (real[block], synthetic)
        in_real_ball = _inside(
            squared,
            real_balls[block, None],
            pairs,
        )
        in_synthetic_ball = _inside(
            squared,
            synthetic_balls[None],
            pairs,
        )
        balls_around[:] += in_real_ball.sum(0)
        recall[block] = in_synthetic_ball.any(1)
        coverage[block] = in_real_ball.any(1)

    by_blocks(real, synthetic, visit)
    precision = (balls_around > 0).astype(np.float64)
    return Prdc(
        precision,
        recall,
        balls_around / k,
        coverage,
        (
            int((real_balls <= least).sum()),
            int((synthetic_balls <= least).sum()),
        ),
    )


def _inside(
    squared: FloatArray,
    limits: Float64Array,
    pairs: tuple[FloatArray, FloatArray],
) -> BoolArray:
    """(n, M) whether squared distances are within squared limits, (n, 1) or (1, M).

    Where both are too near for rounded distances to decide, the pair's exact distance decides: a
    copy lies in a ball without a size, and a tile on the edge of a ball in it.
    """
    first, second = pairs
    inside = np.asarray(squared <= limits)
    gap = np.abs(squared - limits)
    doubtful = gap <= _rounding(first, second)
    rows, columns = np.nonzero(doubtful)
    every_limit = np.broadcast_to(limits, squared.shape)
    for start in range(0, len(rows), PAIRS):
        part = slice(start, start + PAIRS)
        row = rows[part]
        column = columns[part]
        exact = exact_distances(
            first[row],
            second,
            column[:, None],
        )
        exact_squared = exact[:, 0] ** 2
        limit = every_limit[row, column] * _TIE
        inside[row, column] = exact_squared <= limit
    return inside


def _rounding(first: FloatArray, second: FloatArray) -> float:
    """By how much an element of `squared_distances` may be off at most."""
    centre = second.mean(0, dtype=np.float64)
    largest = 0.0
    for side in (first, second):
        centred = side - centre
        squares = (centred**2).sum(axis=1)
        largest += float(squares.max())
    both_float32 = first.dtype == second.dtype == np.float32
    dtype = np.float32 if both_float32 else np.float64
    step = float(np.finfo(dtype).eps)
    terms = 16 + math.sqrt(first.shape[1])
    return step * terms * largest


def authentic(train: FloatArray, synthetic: FloatArray) -> Float64Array:
    """(M,) 1 where a synthetic tile is farther from its nearest training tile than that is from its
    own nearest.

    Their mean is AuthPct (Alaa et al. 2022): about a half for tiles as new as the training tiles
    to each other, low for copies, 0 for a set against itself.

    Raises:
        ValueError: there are fewer than 2 training tiles, or a feature is not a finite number.
    """
    if len(train) < 2:
        raise ValueError("a training tile needs another one to be near to")
    refuse_not_finite(train)
    own = radii(train, 1)
    distances, rows = nearest_rows(synthetic, train)
    is_authentic = distances[:, 0] > own[rows[:, 0]]
    return is_authentic.astype(np.float64)


def copying_statistic(synthetic: Float64Array, held_out: Float64Array) -> float:
    """C_T of one cell (Meehan et al. 2020): are synthetic tiles nearer to training tiles than
    unseen real ones are?

    The Mann-Whitney statistic of both sides' distances to training, in its standard deviations
    under chance. Far below 0 (-3 and less) means copying.

    Args:
        synthetic: (M,) distances of synthetic tiles to their nearest training tile.
        held_out: (N,) the same of held-out real tiles.

    Returns:
        0 where all distances are equal; equal distances count half, and the deviation stays that of
        unequal ones. nan where a side is empty.
    """
    m = len(synthetic)
    n = len(held_out)
    if min(m, n) == 0:
        return math.nan
    both = np.concatenate([synthetic, held_out])
    ranks = rankdata(both)
    smallest_sum = m * (m + 1) / 2
    wins = ranks[:m].sum() - smallest_sum
    expected = m * n / 2
    variance = m * n * (m + n + 1) / 12
    deviation = np.sqrt(variance)
    return float((wins - expected) / deviation)
