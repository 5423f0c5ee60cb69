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
WHOLE = 6000
PART = 2500
"""Up to `WHOLE` vectors all pairs count in a kernel distance; beyond, those within parts of
`PART`."""


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
        n = 0
        scatter = None
        moved = None
        about: Features | None = None
        for batch in batches:
            x = np.asarray(batch, np.float64)
            if about is None:
                about = x.mean(0)
                moved = np.zeros(len(about))
                scatter = np.zeros((len(about), len(about)), order="F")
            x = x - about  # about a common point near the mean: no figures are lost far from 0
            moved += x.sum(0)
            # one triangle, added where it stands
            scatter = linalg.blas.dsyrk(
                1.0,
                x.T,
                beta=1.0,
                c=scatter,
                overwrite_c=1,
                lower=1,
            )
            n += len(x)
        if about is None or scatter is None or moved is None:
            raise ValueError("moments of no batch")
        whole = np.tril(scatter) + np.tril(scatter, -1).T
        whole -= np.outer(moved, moved / n)
        return cls(n, about + moved / n, whole)

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
    """Squared Frechet distance of two Gaussians fitted to features (N, D) and (M, D) (Heusel et al.
    2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). With fewer samples than dimensions the trace of the
    root is the sum of singular values of A B^T, with A and B the centred, scaled features: exact,
    and well behaved where covariances are singular. Its bias grows as n falls: compare only at
    equal n, beside a floor.
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

    With C1 = L L^T the eigenvalues of C1 C2 are those of the symmetric L^T C2 L, which are found
    several times as fast as those of the product, and are never complex.
    """
    one = first.covariance
    two = second.covariance
    factor, pivots, rank, _ = linalg.lapack.dpstrf(one, lower=1)
    order = np.asarray(pivots) - 1
    lower = np.asfortranarray(np.tril(factor))
    lower[:, rank:] = 0
    mixed = linalg.blas.dtrmm(
        1.0,
        lower,
        two[np.ix_(order, order)],
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
    values = linalg.eigvalsh(mixed, check_finite=False, overwrite_a=True)
    cross = np.sqrt(values.clip(0)).sum()
    apart = first.mean - second.mean
    return float(apart @ apart + np.trace(one) + np.trace(two) - 2 * cross)


def kernel_distance(first: Array, second: Array) -> float:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3: KID (Binkowski et al. 2018). May be
    below 0.

    Of all pairs, not of random subsets: the least varying of all unbiased estimates, and no subset
        can be
    larger than the sample. Beyond `WHOLE` vectors, of all pairs within parts of about `PART`
    (Zaremba et al. 2013): still unbiased, every vector counts once, and cost grows with n.
    """
    sums = KernelSums.of(
        first,
        np.zeros(len(first), np.intp),
        second,
        np.zeros(len(second), np.intp),
    )
    return float(sums.distances(np.ones((1, 1)), np.ones((1, 1)))[0])


@dataclass(frozen=True, eq=False)
class KernelSums:
    """Sums of the kernel between groups: all that a bootstrap over groups needs, whatever n is.

    Attributes:
        within: of each side (G, G), pairs of an item with itself left out.
        across: (G1, G2).
        pairs: how many pairs each of the three holds.
    """

    within: tuple[Features, Features]
    across: Features
    pairs: tuple[Features, Features, Features]

    @classmethod
    def of(
        cls,
        first: Array,
        groups: NDArray[np.intp],
        second: Array,
        others: NDArray[np.intp],
    ) -> KernelSums:
        """Of features (N, D) with their groups (N,), counted from 0, and of a second set."""
        many = int(groups.max()) + 1, int(others.max()) + 1
        sums = [np.zeros((many[0],) * 2), np.zeros((many[1],) * 2), np.zeros(many)]
        pairs = [np.zeros_like(each) for each in sums]
        for rows, columns in zip(*_parts(groups, others), strict=True):
            sides = (first[rows], groups[rows]), (second[columns], others[columns])
            counts = [
                np.bincount(side, minlength=count)
                for (_, side), count in zip(sides, many, strict=True)
            ]
            for place, ((x, one), (y, other)) in enumerate(
                ((sides[0],) * 2, (sides[1],) * 2, sides)
            ):
                sums[place] += _kernel_sums(x, one, y, other, many=sums[place].shape)
                if place < 2:
                    own = ((np.einsum("nd,nd->n", x, x, dtype=np.float64) / x.shape[1]) + 1) ** 3
                    sums[place] -= np.diag(np.bincount(one, own, minlength=many[place]))
                    pairs[place] += np.outer(counts[place], counts[place]) - np.diag(counts[place])
            pairs[2] += np.outer(*counts)
        return cls((sums[0], sums[1]), sums[2], (pairs[0], pairs[1], pairs[2]))

    def distances(
        self,
        first: Features,
        second: Features,
        *,
        paired: bool = False,
    ) -> Features:
        """(draws,) distances, each side's groups taken as often as (draws, G) says.

        Pairs between two copies of one group are left out: they would hold items paired with
            themselves.

        Args:
            first: how often, of the first side.
            second: of the second.
            paired: group g of one side belongs to group g of the other (tiles made from a patient's
                own), and both are taken as often: there too, pairs between different copies are
                left out.
        """
        one = _drawn(
            first,
            first,
            self.within[0],
            self.pairs[0],
            alike=True,
        )
        two = _drawn(
            second,
            second,
            self.within[1],
            self.pairs[1],
            alike=True,
        )
        return np.asarray(
            one
            + two
            - 2
            * _drawn(
                first,
                second,
                self.across,
                self.pairs[2],
                alike=paired,
            )
        )


def _drawn(
    first: Features,
    second: Features,
    sums: Features,
    pairs: Features,
    *,
    alike: bool,
) -> Features:
    """(draws,) mean over pairs of drawn groups; where `alike`, group g with itself counts once a
    copy.
    """
    out = []
    for matrix in (sums, pairs):
        total = ((first @ matrix) * second).sum(1)
        if alike:
            shared = min(matrix.shape)
            times = first[:, :shared]
            total = total + (times - times**2) @ np.diag(matrix)
        out.append(total)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(out[0] / out[1])


def _parts(
    groups: NDArray[np.intp], others: NDArray[np.intp]
) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
    """Rows of both sides in parts: one where that can be done at once, else whole groups by
    chance.
    """
    n = max(len(groups), len(others))
    if n <= WHOLE:
        return [np.arange(len(groups))], [np.arange(len(others))]
    count = -(-n // PART)
    random = np.random.default_rng(0)
    sides = []
    many = max(int(groups.max()), int(others.max())) + 1
    if many < 4 * count:  # too few groups to share out
        for side in (groups, others):
            sides.append(list(np.array_split(random.permutation(len(side)), count)))
    else:
        part = random.permutation(many) % count  # a group's tiles of both sides stand in one part
        for side in (groups, others):
            sides.append([np.flatnonzero(part[side] == place) for place in range(count)])
    kept = [place for place in range(count) if min(len(side[place]) for side in sides) > 1]
    return [sides[0][place] for place in kept], [sides[1][place] for place in kept]


def _kernel_sums(
    first: Array,
    groups: NDArray[np.intp],
    second: Array,
    others: NDArray[np.intp],
    *,
    many: tuple[int, ...],
) -> Features:
    """(G1, G2) sums of the kernel over pairs of groups, a block of the matrix at a time."""
    same = first is second
    width = first.shape[1]
    order = np.argsort(groups, kind="stable")
    reverse = np.argsort(others, kind="stable")
    x = first[order]
    left = groups[order]
    y, right = (x, left) if same else (second[reverse], others[reverse])
    out = np.zeros(many)
    for top in range(0, len(x), BLOCK):
        rows = slice(top, top + BLOCK)
        for start in range(top if same else 0, len(y), BLOCK):
            columns = slice(start, start + BLOCK)
            part_x = x[rows]
            # numpy multiplies an array with itself at half the cost
            block = part_x @ (part_x.T if same and start == top else y[columns].T)
            block /= width
            block += 1
            block *= block * block
            part = np.zeros(many)
            _add_groups(part, block, left[rows], right[columns])
            out += part + part.T if same and start > top else part
    return out


def _add_groups(
    out: Features,
    block: Array,
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> None:
    """Add a block's sums over runs of one group."""
    cuts = [np.flatnonzero(np.diff(names, prepend=-1)) for names in (rows, columns)]
    wide = np.add.reduceat(block, cuts[1], axis=1, dtype=np.float64)
    sums = np.add.reduceat(wide, cuts[0], axis=0)
    out[np.ix_(rows[cuts[0]], columns[cuts[1]])] += sums


def extrapolated(
    first: Array,
    second: Array,
    *,
    sizes: Sequence[int],
    replicates: int,
    seed: int = 0,
) -> float:
    """The Frechet distance that the bias of small samples leads away from: FD at n without end.

    The bias falls as 1 / n, so a line through distances of subsets over 1 / n is read at 0 (Chong &
    Forsyth 2020, FID infinity). Both sets are cut to the same n, since both are small here.

    Args:
        first: (N, D).
        second: (M, D).
        sizes: of the subsets, at least two different ones.
        replicates: subsets of each size.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    points = []
    for size in sizes:
        for _ in range(replicates):
            cut = [side[random.permutation(len(side))[:size]] for side in (first, second)]
            points.append((1 / size, frechet_distance(cut[0], cut[1])))
    x, y = np.array(points).T
    return float(np.polyfit(x, y, 1)[1])
