"""Distances between sets of feature vectors, whatever the features are of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from ..core.arrays import Float64Array, FloatArray, IndexArray
from .kernel_blocks import cubic_kernel, group_sums
from .neighbours import refuse_not_finite

KERNEL_BLOCK = 2048
"""Rows of a kernel matrix that are held at a time."""
MAX_ALL_PAIRS = 6000
"""Up to so many vectors all pairs count in a kernel distance; beyond, those within parts."""
PART_SIZE = 2500
"""Vectors of a part, about."""
ROUNDING = 1e-12
"""Share of squared features by which a Frechet distance may be off: float32 rounds to 1e-7."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set, gathered batch by batch: memory does not grow with the set.

    Attributes:
        n: number of vectors.
        mean: (D,) float64.
        scatter: (D, D) float64, sum of products of differences from the mean.
    """

    n: int
    mean: Float64Array
    scatter: Float64Array

    @classmethod
    def of(cls, batches: Iterable[FloatArray]) -> Moments:
        """Of (N, D) features in batches of any size.

        Raises:
            ValueError: there is no batch.
        """
        n = 0
        scatter = None
        total = None
        centre: Float64Array | None = None
        for batch in batches:
            x = np.asarray(batch, np.float64)
            if centre is None:
                centre = x.mean(0)
                total = np.zeros(len(centre))
                scatter = np.zeros((len(centre), len(centre)), order="F")
            x = x - centre  # about a common point near the mean: no digits are lost far from 0
            total += x.sum(0)
            # one triangle, added in place
            scatter = linalg.blas.dsyrk(
                1.0,
                x.T,
                beta=1.0,
                c=scatter,
                overwrite_c=1,
                lower=1,
            )
            n += len(x)
        if centre is None or scatter is None or total is None:
            raise ValueError("moments of no batch")
        symmetric = np.tril(scatter) + np.tril(scatter, -1).T
        symmetric -= np.outer(total, total / n)
        return cls(n, centre + total / n, symmetric)

    def merged(self, other: Moments) -> Moments:
        """Of both sets together (Chan et al. 1983)."""
        n = self.n + other.n
        difference = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(difference, difference) * (self.n * other.n / n)
        return Moments(
            n,
            self.mean + difference * (other.n / n),
            scatter,
        )

    @property
    def covariance(self) -> Float64Array:
        """(D, D), unbiased."""
        return self.scatter / (self.n - 1)


def frechet_distance(first: FloatArray, second: FloatArray) -> float:
    """Squared Frechet distance of two Gaussians fitted to features (N, D) and (M, D) (Heusel et al.
    2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With fewer samples than dimensions the trace of the
    root is the sum of singular values of A B^T, with A and B the centred, scaled features: exact,
    and well behaved where covariances are singular. Its bias grows as n falls: compare only at
    equal n, with a baseline.

    Returns:
        0 or more; exactly 0 where rounding could explain the distance, as for a set against itself.
        nan where a side has fewer than 2 vectors.

    Raises:
        ValueError: a feature is not a finite number.
    """
    if min(len(first), len(second)) < 2:
        return math.nan
    refuse_not_finite(first, second)
    if min(len(first), len(second)) > first.shape[1]:
        return frechet_of_moments(Moments.of([first]), Moments.of([second]))
    first_mean, first_root = _mean_and_root(first)
    second_mean, second_root = _mean_and_root(second)
    traces = float((first_root**2).sum()) + float((second_root**2).sum())
    cross = linalg.svdvals(first_root @ second_root.T).sum()
    squared_gap = float(((first_mean - second_mean) ** 2).sum())
    lengths = float(first_mean @ first_mean + second_mean @ second_mean)
    return _without_rounding(squared_gap + traces - 2 * float(cross), lengths + traces)


def _without_rounding(distance: float, size: float) -> float:
    """0 where a distance is negative, or no more than the rounding of features of this size."""
    return distance if distance > ROUNDING * size else 0.0


def _mean_and_root(features: FloatArray) -> tuple[Float64Array, Float64Array]:
    """Mean (D,), and centred, scaled features (N, D): their A^T A is the covariance."""
    x = np.asarray(features, np.float64)
    mean = x.mean(0)
    return mean, (x - mean) / np.sqrt(len(x) - 1)


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """The same from moments, for sets of more vectors than dimensions.

    With C1 = L L^T the eigenvalues of C1 C2 are those of the symmetric L^T C2 L, which are found
    several times as fast as those of the product, and are never complex.
    """
    first_covariance = first.covariance
    second_covariance = second.covariance
    factor, pivots, rank, _ = linalg.lapack.dpstrf(first_covariance, lower=1)
    order = np.asarray(pivots) - 1
    lower = np.asfortranarray(np.tril(factor))
    lower[:, rank:] = 0
    mixed = linalg.blas.dtrmm(
        1.0,
        lower,
        second_covariance[np.ix_(order, order)],
        side=1,
        lower=1,
    )
    mixed = linalg.blas.dtrmm(
        1.0,
        lower,
        mixed,
        lower=1,
        trans_a=1,
        overwrite_b=1,
    )
    values = linalg.eigvalsh(
        mixed,
        check_finite=False,
        overwrite_a=True,
    )
    cross = np.sqrt(values.clip(0)).sum()
    difference = first.mean - second.mean
    squared_gap = difference @ difference
    traces = squared_gap + np.trace(first_covariance) + np.trace(second_covariance)
    lengths = first.mean @ first.mean + second.mean @ second.mean
    return _without_rounding(float(traces - 2 * cross), float(lengths + traces))


def kernel_distance(first: FloatArray, second: FloatArray) -> float:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3: KID (Binkowski et al. 2018). May be
    below 0.

    Of all pairs, not of random subsets: of all unbiased estimates this varies least, and no subset
    can be larger than the sample. Beyond `MAX_ALL_PAIRS` vectors, of all pairs within parts of
    about `PART_SIZE` (Zaremba et al. 2013): still unbiased, every vector counts once, and cost
    grows with n.

    Returns:
        0 for equal constant sets; below 0 for a set against itself, because a vector's pair with
        its own copy counts across the sets, and not within them. nan where a side has fewer than
        2 vectors.

    Raises:
        ValueError: a feature is not a finite number.
    """
    refuse_not_finite(first, second)
    first_groups = np.zeros(len(first), np.intp)
    second_groups = np.zeros(len(second), np.intp)
    sums = KernelSums.of(
        first,
        first_groups,
        second,
        second_groups,
    )
    once = np.ones((1, 1))
    return float(sums.distances(once, once)[0])


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel between groups: all that a bootstrap over groups needs, whatever n is.

    Attributes:
        within: of each side (G, G), pairs of an item with itself left out.
        across: (G1, G2).
        pairs: number of pairs in each of the three.
    """

    within: tuple[Float64Array, Float64Array]
    across: Float64Array
    pairs: tuple[Float64Array, Float64Array, Float64Array]

    @classmethod
    def of(
        cls,
        first: FloatArray,
        first_groups: IndexArray,
        second: FloatArray,
        second_groups: IndexArray,
    ) -> KernelSums:
        """Of features (N, D) with their groups (N,), counted from 0, and of a second set."""
        n_first = int(first_groups.max()) + 1
        n_second = int(second_groups.max()) + 1
        first_sums = np.zeros((n_first, n_first))
        second_sums = np.zeros((n_second, n_second))
        across = np.zeros((n_first, n_second))
        first_pairs = np.zeros_like(first_sums)
        second_pairs = np.zeros_like(second_sums)
        across_pairs = np.zeros_like(across)
        for rows, columns in zip(*_parts(first_groups, second_groups), strict=True):
            x = first[rows]
            x_groups = first_groups[rows]
            y = second[columns]
            y_groups = second_groups[columns]
            x_counts = np.bincount(x_groups, minlength=n_first)
            y_counts = np.bincount(y_groups, minlength=n_second)
            _add_within(first_sums, x, x_groups)
            _add_within(second_sums, y, y_groups)
            across += _kernel_sums(
                x,
                x_groups,
                y,
                y_groups,
                across.shape,
            )
            first_pairs += np.outer(x_counts, x_counts) - np.diag(x_counts)
            second_pairs += np.outer(y_counts, y_counts) - np.diag(y_counts)
            across_pairs += np.outer(x_counts, y_counts)
        return cls(
            (first_sums, second_sums),
            across,
            (first_pairs, second_pairs, across_pairs),
        )

    def distances(
        self,
        first: Float64Array,
        second: Float64Array,
        *,
        paired: bool = False,
    ) -> Float64Array:
        """(R,) distances, each side's groups taken as often as (R, G) states.

        Pairs between two copies of one group are left out: they would contain items paired with
        themselves.

        Args:
            first: counts of the first side's groups.
            second: of the second's.
            paired: group g of one side belongs to group g of the other (tiles generated from a
                patient's own), and both are taken as often: there too, pairs between different
                copies are left out.
        """
        within_first = _mean_of_pairs(
            first,
            first,
            self.within[0],
            self.pairs[0],
            same_groups=True,
        )
        within_second = _mean_of_pairs(
            second,
            second,
            self.within[1],
            self.pairs[1],
            same_groups=True,
        )
        across = _mean_of_pairs(
            first,
            second,
            self.across,
            self.pairs[2],
            same_groups=paired,
        )
        # a replicate without a pair is inf or nan, and infinities of both signs may meet
        with np.errstate(invalid="ignore"):
            return np.asarray(within_first + within_second - 2 * across)


def _mean_of_pairs(
    first: Float64Array,
    second: Float64Array,
    sums: Float64Array,
    pairs: Float64Array,
    *,
    same_groups: bool,
) -> Float64Array:
    """(R,) mean over pairs of resampled groups.

    With `same_groups`, pairs of group g with itself count once per copy.
    """
    totals = []
    for matrix in (sums, pairs):
        total = ((first @ matrix) * second).sum(1)
        if same_groups:
            shared = min(matrix.shape)
            counts = first[:, :shared]
            total = total + (counts - counts**2) @ np.diag(matrix)
        totals.append(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        # without a pair the sum is rounding, and its quotient would be infinite
        return np.asarray(np.where(totals[1] > 0, totals[0] / totals[1], np.nan))


def _parts(
    first_groups: IndexArray,
    second_groups: IndexArray,
) -> tuple[list[IndexArray], list[IndexArray]]:
    """Rows of both sides in parts: one part if that fits at once, else random whole groups."""
    n = max(len(first_groups), len(second_groups))
    if n <= MAX_ALL_PAIRS:
        return [np.arange(len(first_groups))], [np.arange(len(second_groups))]
    count = -(-n // PART_SIZE)
    random = np.random.default_rng(0)
    groups = max(int(first_groups.max()), int(second_groups.max())) + 1
    if groups < 4 * count:  # too few groups to distribute
        first_parts = np.array_split(random.permutation(len(first_groups)), count)
        second_parts = np.array_split(random.permutation(len(second_groups)), count)
    else:
        part = random.permutation(groups) % count  # a group's tiles of both sides share a part
        first_parts = [np.flatnonzero(part[first_groups] == number) for number in range(count)]
        second_parts = [np.flatnonzero(part[second_groups] == number) for number in range(count)]
    kept_first = []
    kept_second = []
    for rows, columns in zip(first_parts, second_parts, strict=True):
        if min(len(rows), len(columns)) > 1:
            kept_first.append(rows)
            kept_second.append(columns)
    return kept_first, kept_second


def _add_within(
    out: Float64Array,
    features: FloatArray,
    groups: IndexArray,
) -> None:
    """Add the kernel's sums over pairs of one side, pairs of an item with itself left out."""
    out += _kernel_sums(
        features,
        groups,
        features,
        groups,
        out.shape,
    )
    squared_norms = np.einsum(
        "nd,nd->n",
        features,
        features,
        dtype=np.float64,
    )
    own = ((squared_norms / features.shape[1]) + 1) ** 3
    out -= np.diag(np.bincount(groups, own, minlength=len(out)))


def _kernel_sums(
    first: FloatArray,
    first_groups: IndexArray,
    second: FloatArray,
    second_groups: IndexArray,
    shape: tuple[int, ...],
) -> Float64Array:
    """(G1, G2) sums of the kernel over pairs of groups, a block of the matrix at a time."""
    order = np.argsort(first_groups, kind="stable")
    x = first[order]
    x_groups = first_groups[order]
    if first is second:
        return _symmetric_kernel_sums(x, x_groups, shape)
    order = np.argsort(second_groups, kind="stable")
    y = second[order]
    y_groups = second_groups[order]
    out = np.zeros(shape)
    for top in range(0, len(x), KERNEL_BLOCK):
        rows = slice(top, top + KERNEL_BLOCK)
        part_x = x[rows]
        for left in range(0, len(y), KERNEL_BLOCK):
            columns = slice(left, left + KERNEL_BLOCK)
            block = cubic_kernel(part_x @ y[columns].T, x.shape[1])
            out += group_sums(
                block,
                x_groups[rows],
                y_groups[columns],
                shape,
            )
    return out


def _symmetric_kernel_sums(
    x: FloatArray,
    groups: IndexArray,
    shape: tuple[int, ...],
) -> Float64Array:
    """The same of one set with itself: half of the blocks, each counted twice off the diagonal."""
    out = np.zeros(shape)
    for top in range(0, len(x), KERNEL_BLOCK):
        rows = slice(top, top + KERNEL_BLOCK)
        part_x = x[rows]
        for left in range(top, len(x), KERNEL_BLOCK):
            columns = slice(left, left + KERNEL_BLOCK)
            if left == top:
                # numpy multiplies an array with its own transpose at half the cost
                block = cubic_kernel(part_x @ part_x.T, x.shape[1])
                out += group_sums(
                    block,
                    groups[rows],
                    groups[columns],
                    shape,
                )
            else:
                block = cubic_kernel(part_x @ x[columns].T, x.shape[1])
                part = group_sums(
                    block,
                    groups[rows],
                    groups[columns],
                    shape,
                )
                out += part + part.T
    return out


def extrapolated_frechet(
    first: FloatArray,
    second: FloatArray,
    *,
    sizes: Sequence[int],
    replicates: int,
    seed: int = 0,
) -> float:
    """FID-infinity, the Frechet distance at an infinite number of samples.

    The bias of small samples falls as 1 / n, so a line through distances of subsets over 1 / n is
    read at 0 (Chong & Forsyth 2020). Both sets are cut to the same n, because both are small. Like
    any unbiased estimate of a small distance it may be below 0, as for a set against itself.

    Args:
        first: (N, D).
        second: (M, D).
        sizes: of the subsets, at least two different ones.
        replicates: subsets of each size.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    inverse_sizes = []
    distances = []
    for size in sizes:
        for _ in range(replicates):
            first_rows = random.permutation(len(first))[:size]
            second_rows = random.permutation(len(second))[:size]
            inverse_sizes.append(1 / size)
            distances.append(frechet_distance(first[first_rows], second[second_rows]))
    _, at_zero = np.polyfit(
        np.array(inverse_sizes),
        np.array(distances),
        1,
    )
    return float(at_zero)
