"""Two sides beside each other: any statistic of sums over patients, with its floor and the ratio to
it.

A judge sums what it needs of each patient's tiles once (moments, histograms, pair counts). Drawing
patients again is then one product of matrices, so that intervals of hundreds of statistics cost
seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.arrays import Float64Array
from ..core.estimate import Estimate, undefined
from .intervals import REPLICATES, bootstrap_counts, joint_bootstrap, with_interval
from .sample import Sample

Statistic = Callable[[Float64Array, Float64Array], Float64Array]
"""Of sums of both sides, (D, F) and (D, F'), a value for each of D draws, (D,)."""


@dataclass(frozen=True, eq=False)
class Side:
    """Sums of one side, patient by patient.

    Attributes:
        sums: (G, F), added up over the items of each patient.
        names: (G) patients, sorted, also those of whom no item could be measured.
        n: items measured.
        groups: patients with such an item.
    """

    sums: Float64Array
    names: tuple[str, ...]
    n: int
    groups: int

    @classmethod
    def of(cls, items: ArrayLike, patients: Sequence[str]) -> Side:
        """Of items (N, F) with their patients (N); an item with a nan in it was not measured."""
        rows = np.asarray(items, np.float64)
        told = np.isfinite(rows).all(axis=1)
        names, whose = _grouped(patients)
        sums = np.zeros((len(names), rows.shape[1]))
        np.add.at(sums, whose[told], rows[told])
        return cls(
            sums,
            names,
            int(told.sum()),
            len(set(whose[told].tolist())),
        )

    @classmethod
    def spread(
        cls,
        values: Sequence[ArrayLike],
        patients: Sequence[str],
        grid: Float64Array,
        weights: Sequence[ArrayLike],
    ) -> Side:
        """Histograms, (G, B): how much of each patient's values lies nearest to each place of a
        grid.

        Args:
            values: (N) arrays of any length; nan is left out.
            patients: (N), whose each array is.
            grid: (B,) rising.
            weights: (N) arrays, as long as the values.
        """
        names, whose = _grouped(patients)
        sums = np.zeros((len(names), len(grid)))
        n = 0
        seen = set()
        middles = (grid[1:] + grid[:-1]) / 2
        for each, heavy, row in zip(values, weights, whose, strict=True):
            x = np.atleast_1d(np.asarray(each, np.float64))
            w = np.atleast_1d(np.asarray(heavy, np.float64))
            told = np.isfinite(x) & (w > 0)
            sums[row] += np.bincount(
                np.searchsorted(middles, x[told]), w[told], minlength=len(grid)
            )
            n += int(told.sum())
            seen |= {int(row)} if told.any() else set()
        return cls(sums, names, n, len(seen))


def _grouped(patients: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.intp]]:
    names = tuple(sorted(set(patients)))
    index = {name: i for i, name in enumerate(names)}
    return names, np.array([index[name] for name in patients], np.intp)


def halves(sample: Sample, seed: int = 0) -> tuple[Sample, Sample] | None:
    """A sample's patients in two halves by chance; None where there are fewer than two."""
    names = sorted(set(sample.patients))
    if len(names) < 2:
        return None
    order = np.random.default_rng(seed).permutation(len(names))
    first = {names[i] for i in order[: len(names) // 2]}
    rows = np.array([name in first for name in sample.patients])
    return sample.take(np.flatnonzero(rows)), sample.take(np.flatnonzero(~rows))


def baseline_pair(
    real: Sample | None, reference: Sample | None, seed: int = 0
) -> tuple[tuple[Sample, Sample] | None, str]:
    """Two samples of real tissue to tell the floor from, and in words which they are."""
    if real is None:
        return None, "no floor: there is no real tissue"
    if reference is not None and len(reference):
        return (reference, real), "floor: real tiles of other patients against these"
    pair = halves(real, seed)
    if pair is None:
        return None, "no floor: it takes real tiles of at least 2 patients"
    return (
        pair,
        "floor: one half of the real patients against the other, which overstates it a little",
    )


@dataclass(frozen=True, eq=False)
class Comparison:
    """A statistic and its floor, drawn together.

    Attributes:
        value: (1 + D,), first of the sides as they are, then of each draw.
        baseline: the same of two sides of real tissue; None: there is none.
        n: items of the first side.
        groups: patients of the side with fewer.
        baseline_n: the same two of the floor.
        baseline_groups: the same two of the floor.
    """

    value: Float64Array
    baseline: Float64Array | None
    n: int
    groups: int
    baseline_n: int = 0
    baseline_groups: int = 0

    def estimate(self, *, unit: str = "", distance: bool = True) -> Estimate:
        """The value; intervals of a distance are moved back by what drawing items twice adds to
        it.
        """
        return _told(self.value, self.n, self.groups, unit, distance)

    def real(self, *, unit: str = "", distance: bool = True) -> Estimate | None:
        """The floor."""
        if self.baseline is None:
            return None
        return _told(
            self.baseline,
            self.baseline_n,
            self.baseline_groups,
            unit,
            distance,
        )

    def ratio(self) -> Estimate | None:
        """Value over floor; 1 is real tissue."""
        if self.baseline is None:
            return None
        if not self.baseline[0] > 0:
            return undefined(
                "the floor is 0: real tissue does not differ in it",
                n=self.n,
                groups=self.groups,
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = self.value / self.baseline
            logs = np.log(ratios[1:])
        logs = logs[np.isfinite(logs)]
        # drawing moves both distances up, but hardly by the same share
        drawn = (
            np.exp(logs - logs.mean()) * ratios[0] if len(logs) and ratios[0] > 0 else ratios[1:]
        )
        return with_interval(
            float(ratios[0]),
            drawn,
            self.n,
            min(self.groups, self.baseline_groups),
        )


def compare(
    statistic: Statistic, sides: tuple[Side, Side], baseline: tuple[Side, Side] | None = None
) -> Comparison:
    """A statistic of two sides, and of the floor's two, in every draw of patients.

    Patients who stand on both sides are drawn together: asked for and obtained, or tissue of one
        patient and
    what was made after it, are pairs, and differ by less than strangers do.
    """
    drawn = _together((*sides, *(baseline or ())))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = statistic(drawn[0], drawn[1])
        base = statistic(drawn[2], drawn[3]) if baseline else None
    told = {"n": sides[0].n, "groups": min(side.groups for side in sides)}
    if baseline is None:
        return Comparison(value, base, **told)
    return Comparison(
        value,
        base,
        **told,
        baseline_n=baseline[0].n,
        baseline_groups=min(side.groups for side in baseline),
    )


def _together(sides: Sequence[Side]) -> list[Float64Array]:
    """Sums of sides, as they are and drawn: whoever stands on several is drawn on all of them."""
    pools = joint_bootstrap(side.names for side in sides)
    out: dict[Hashable, tuple[int, int]] = {}
    times = []
    for number, pool in enumerate(pools):
        out |= {name: (number, place) for place, name in enumerate(sorted(pool, key=str))}
        drawn = (
            bootstrap_counts(len(pool), REPLICATES, seed=number)
            if pool
            else np.zeros((REPLICATES, 0))
        )
        times.append(np.concatenate([np.ones((1, len(pool))), drawn]))
    return [
        times[out[side.names[0]][0]][:, [out[name][1] for name in side.names]] @ side.sums
        if side.names
        else np.zeros((REPLICATES + 1, side.sums.shape[1]))
        for side in sides
    ]


def _told(
    values: Float64Array,
    n: int,
    groups: int,
    unit: str,
    distance: bool,
) -> Estimate:
    value = float(values[0])
    drawn = values[1:][np.isfinite(values[1:])]
    if distance and math.isfinite(value) and len(drawn):
        drawn = np.maximum(drawn - drawn.mean() + value, 0)
    return with_interval(value, drawn, n, groups, unit=unit)


def mean_difference(left: Float64Array, right: Float64Array) -> Float64Array:
    """Of sums (D, 2), each a total and what to divide it by: (D,) left's mean - right's."""
    return np.asarray(left[:, 0] / left[:, 1] - right[:, 0] / right[:, 1])


def total_variation(left: Float64Array, right: Float64Array) -> Float64Array:
    """Of counts (D, K): (D,) half the sum of what shares differ by, in [0, 1]."""
    one, two = (side / side.sum(axis=1, keepdims=True) for side in (left, right))
    return np.asarray(np.abs(one - two).sum(axis=1) / 2)


def wasserstein(grid: Float64Array) -> Statistic:
    """The 1-D Wasserstein distance of histograms (D, B) on a grid (B,): the integral of |F - G|."""
    steps = np.diff(grid)

    def distance(left: Float64Array, right: Float64Array) -> Float64Array:
        one, two = (np.cumsum(side, axis=1) for side in (left, right))
        gaps = np.abs(one / one[:, -1:] - two / two[:, -1:])
        return np.asarray(gaps[:, :-1] @ steps)

    return distance
