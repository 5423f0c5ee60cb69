"""Distances between sets of feature vectors. They know nothing of images or encoders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Features = NDArray[np.float64]
Array = NDArray[np.floating]
BLOCK = 2048
"""Rows of a kernel matrix that are held at a time."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean and covariance of a set, gathered batch by batch: memory does not grow with the set.

    Attributes:
        n: vectors seen.
        mean: (D,) float64.
        scatter: (D, D) float64, sum of products of what differs from the mean.
    """

    n: int
    mean: Features
    scatter: Features

    @classmethod
    def of(cls, batches: Iterable[Array]) -> Moments:
        """Of (N, D) features in batches of any size.

        Raises:
            ValueError: there is no batch.
        """
        total: Moments | None = None
        for batch in batches:
            x = np.asarray(batch, np.float64)
            mean = x.mean(0)
            centred = x - mean
            part = cls(len(x), mean, centred.T @ centred)
            total = part if total is None else total.merged(part)
        if total is None:
            raise ValueError("moments of no batch")
        return total

    def merged(self, other: Moments) -> Moments:
        """Of both sets together (Chan et al. 1983)."""
        n = self.n + other.n
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter
        scatter += np.outer(apart, apart) * (self.n * other.n / n)
        return Moments(n, self.mean + apart * (other.n / n), scatter)

    @property
    def covariance(self) -> Features:
        """(D, D), unbiased."""
        return self.scatter / (self.n - 1)


def frechet_distance(first: Array, second: Array) -> float:
    """Squared Frechet distance of two Gaussians fitted to features (N, D) and (M, D) (Heusel et al. 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With fewer samples than dimensions the trace of the root is
    the sum of singular values of A B^T, with A and B the centred, scaled features: exact, and well behaved
    where covariances are singular. Its bias grows as n falls: compare only at equal n, beside a floor.
    """
    if min(len(first), len(second)) > first.shape[1]:
        return frechet_of_moments(Moments.of([first]), Moments.of([second]))
    one, two = (np.asarray(side, np.float64) for side in (first, second))
    means = one.mean(0), two.mean(0)
    roots = [(x - m) / np.sqrt(len(x) - 1) for x, m in zip((one, two), means, strict=True)]
    traces = sum(float((root**2).sum()) for root in roots)
    cross = linalg.svdvals(roots[0] @ roots[1].T).sum()
    return float(((means[0] - means[1]) ** 2).sum() + traces - 2 * cross)


def frechet_of_moments(first: Moments, second: Moments) -> float:
    """The same from moments, for sets of more vectors than dimensions.

    With C1 = L L^T the eigenvalues of C1 C2 are those of the symmetric L^T C2 L, which are found several
    times as fast as those of the product, and are never complex.
    """
    one, two = first.covariance, second.covariance
    factor, pivots, rank, _ = linalg.lapack.dpstrf(one, lower=1)
    lower = np.tril(factor)[:, :rank]
    order = np.asarray(pivots) - 1
    values = linalg.eigvalsh(lower.T @ two[np.ix_(order, order)] @ lower, check_finite=False)
    cross = np.sqrt(values.clip(0)).sum()
    apart = first.mean - second.mean
    return float(apart @ apart + np.trace(one) + np.trace(two) - 2 * cross)


def kernel_distance(first: Array, second: Array) -> float:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3: KID (Binkowski et al. 2018). May be below 0.

    Of all pairs, not of random subsets: the least varying of all unbiased estimates, and no subset can be
    larger than the sample.
    """
    sums = KernelSums.of(first, np.zeros(len(first), np.intp), second, np.zeros(len(second), np.intp))
    return float(sums.distances(np.ones((1, 1)), np.ones((1, 1)))[0])


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel between groups: all that a bootstrap over groups needs, whatever n is.

    Attributes:
        within: of each side (G, G), pairs of an item with itself left out.
        across: (G1, G2).
        sizes: items of each group of each side.
    """

    within: tuple[Features, Features]
    across: Features
    sizes: tuple[Features, Features]

    @classmethod
    def of(
        cls, first: Array, groups: NDArray[np.intp], second: Array, others: NDArray[np.intp]
    ) -> KernelSums:
        """Of features (N, D) with their groups (N,), counted from 0, and of a second set."""
        within, sizes = [], []
        for x, group in ((first, groups), (second, others)):
            sums = _kernel_sums(x, group, x, group)
            own = ((np.einsum("nd,nd->n", x, x, dtype=np.float64) / x.shape[1]) + 1) ** 3
            within.append(sums - np.diag(np.bincount(group, own, minlength=len(sums))))
            sizes.append(np.bincount(group).astype(np.float64))
        across = _kernel_sums(first, groups, second, others)
        return cls((within[0], within[1]), across, (sizes[0], sizes[1]))

    def distances(self, first: Features, second: Features, *, paired: bool = False) -> Features:
        """(draws,) distances, each side's groups taken as often as (draws, G) says.

        Pairs between two copies of one group are left out: they would hold items paired with themselves.

        Args:
            first: how often, of the first side.
            second: of the second.
            paired: group g of one side belongs to group g of the other (tiles made from a patient's own), and
                both are taken as often: there too, pairs between different copies are left out.
        """
        means = []
        for times, sums, sizes in zip((first, second), self.within, self.sizes, strict=True):
            inside, own = np.diag(sums), np.diag(sums - np.diag(np.diag(sums)))
            other = np.einsum("dg,gh,dh->d", times, sums - np.diag(inside) + np.diag(own), times)
            pairs = (times @ sizes) ** 2 - times**2 @ sizes**2 + times @ (sizes * (sizes - 1))
            with np.errstate(divide="ignore", invalid="ignore"):
                means.append((other + times @ inside) / pairs)
        across = np.einsum("dg,gh,dh->d", first, self.across, second)
        pairs = (first @ self.sizes[0]) * (second @ self.sizes[1])
        if paired:
            shared = min(self.across.shape)
            both = first[:, :shared]
            again = both - both**2
            across = across + again @ np.diag(self.across)
            pairs = pairs + again @ (self.sizes[0][:shared] * self.sizes[1][:shared])
        with np.errstate(divide="ignore", invalid="ignore"):
            mixed = across / pairs
        return np.asarray(means[0] + means[1] - 2 * mixed)


def _kernel_sums(first: Array, groups: NDArray[np.intp], second: Array, others: NDArray[np.intp]) -> Features:
    """(G1, G2) sums of the kernel over pairs of groups, a block of the matrix at a time."""
    same, width = first is second, first.shape[1]
    many = int(groups.max()) + 1, int(others.max()) + 1
    order, reverse = np.argsort(groups, kind="stable"), np.argsort(others, kind="stable")
    x, y = first[order], second[reverse]
    left, right = groups[order], others[reverse]
    out = np.zeros(many)
    for top in range(0, len(x), BLOCK):
        rows = slice(top, top + BLOCK)
        for start in range(top if same else 0, len(y), BLOCK):
            columns = slice(start, start + BLOCK)
            block = x[rows] @ y[columns].T
            block /= width
            block += 1
            block *= block * block
            part = np.zeros(many)
            _add_groups(part, block, left[rows], right[columns])
            out += part + part.T if same and start > top else part
    return out


def _add_groups(out: Features, block: Array, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
    """Add a block's sums over runs of one group."""
    cuts = [np.flatnonzero(np.diff(names, prepend=-1)) for names in (rows, columns)]
    wide = np.add.reduceat(block, cuts[1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(wide, cuts[0], axis=0)
    out[np.ix_(rows[cuts[0]], columns[cuts[1]])] += sums


def extrapolated(first: Array, second: Array, *, sizes: Sequence[int], draws: int, seed: int = 0) -> float:
    """The Frechet distance that the bias of small samples leads away from: FD at n without end.

    The bias falls as 1 / n, so a line through distances of subsets over 1 / n is read at 0 (Chong &
    Forsyth 2020, FID infinity). Both sets are cut to the same n, since both are small here.

    Args:
        first: (N, D).
        second: (M, D).
        sizes: of the subsets, at least two different ones.
        draws: subsets of each size.
        seed: of the draws.
    """
    random, points = np.random.default_rng(seed), []
    for size in sizes:
        for _ in range(draws):
            cut = [side[random.permutation(len(side))[:size]] for side in (first, second)]
            points.append((1 / size, frechet_distance(cut[0], cut[1])))
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[1])
