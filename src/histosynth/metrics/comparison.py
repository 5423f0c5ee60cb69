"""Compares two sides by a statistic of sums over patients, with its real baseline and their ratio.

A metric sums what it needs of each patient's tiles once (moments, histograms, pair counts).
Resampling patients is then one product of matrices, so that intervals of hundreds of statistics
cost seconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Float64Array, IndexArray
from ..core.estimate import Estimate, undefined
from .intervals import REPLICATES, bootstrap_counts, joint_bootstrap, with_interval
from .sample import Sample

Statistic = Callable[[Float64Array, Float64Array], Float64Array]
"""Of sums of both sides, (R, F) and (R, F'), a value for each of R replicates, (R,)."""


@dataclass(frozen=True, eq=False)
class PatientSums:
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
    def of(
        cls,
        items: ArrayLike,
        patients: Sequence[str],
    ) -> PatientSums:
        """Of items (N, F) with their patients (N); an item with a nan was not measured."""
        rows = np.asarray(items, np.float64)
        measured = np.isfinite(rows).all(axis=1)
        names, owner = _numbered(patients)
        sums = np.zeros((len(names), rows.shape[1]))
        np.add.at(sums, owner[measured], rows[measured])
        return cls(
            sums,
            names,
            int(measured.sum()),
            len(set(owner[measured].tolist())),
        )

    @classmethod
    def histograms(
        cls,
        values: Sequence[ArrayLike],
        patients: Sequence[str],
        grid: Float64Array,
        weights: Sequence[ArrayLike],
    ) -> PatientSums:
        """Histograms, (G, B): the weight of each patient's values nearest to each grid point.

        Args:
            values: (N) arrays of any length; nan is left out.
            patients: (N), of each array.
            grid: (B,) rising.
            weights: (N) arrays, as long as the values.
        """
        names, owner = _numbered(patients)
        sums = np.zeros((len(names), len(grid)))
        n = 0
        measured_owners = set()
        middles = (grid[1:] + grid[:-1]) / 2
        for tile_values, tile_weights, row in zip(values, weights, owner, strict=True):
            x = np.atleast_1d(np.asarray(tile_values, np.float64))
            weight = np.atleast_1d(np.asarray(tile_weights, np.float64))
            counted = np.isfinite(x) & (weight > 0)
            bins = np.searchsorted(middles, x[counted])
            sums[row] += np.bincount(
                bins,
                weight[counted],
                minlength=len(grid),
            )
            n += int(counted.sum())
            if counted.any():
                measured_owners.add(int(row))
        return cls(sums, names, n, len(measured_owners))


def _numbered(patients: Sequence[str]) -> tuple[tuple[str, ...], IndexArray]:
    """The patients, sorted, and (N,) the number of each item's patient among them."""
    names = tuple(sorted(set(patients)))
    index = {name: i for i, name in enumerate(names)}
    return names, np.array([index[name] for name in patients], np.intp)


def halves(sample: Sample, seed: int = 0) -> tuple[Sample, Sample] | None:
    """A sample's patients in two random halves; None where there are fewer than two."""
    names = sorted(set(sample.patients))
    if len(names) < 2:
        return None
    order = np.random.default_rng(seed).permutation(len(names))
    first = {names[i] for i in order[: len(names) // 2]}
    in_first = np.array([name in first for name in sample.patients])
    return sample.take(np.flatnonzero(in_first)), sample.take(np.flatnonzero(~in_first))


def baseline_pair(
    real: Sample | None,
    reference: Sample | None,
    seed: int = 0,
) -> tuple[tuple[Sample, Sample] | None, str]:
    """Two samples of real tissue for the real baseline, and a sentence that states which."""
    if real is None:
        return None, "no baseline: there is no real tissue"
    if reference is not None and len(reference):
        return (reference, real), "baseline: real tiles of other patients against these"
    pair = halves(real, seed)
    if pair is None:
        return None, "no baseline: it takes real tiles of at least 2 patients"
    note = "baseline: one half of the real patients against the other, which overstates it a little"
    return pair, note


@dataclass(frozen=True, eq=False)
class Comparison:
    """A statistic and its real baseline, from the same replicates.

    Attributes:
        value: (1 + R,), first of the sides themselves, then of each replicate.
        baseline: the same of two sides of real tissue; None: there is none.
        n: items of the first side.
        groups: patients of the side with fewer.
        baseline_n: items of the first side of the baseline.
        baseline_groups: patients of the side of the baseline with fewer.
    """

    value: Float64Array
    baseline: Float64Array | None
    n: int
    groups: int
    baseline_n: int = 0
    baseline_groups: int = 0

    def estimate(
        self,
        *,
        unit: str = "",
        distance: bool = True,
    ) -> Estimate:
        """The value.

        Args:
            unit: of the value.
            distance: resampling items twice enlarges distances; move the interval back by that.
        """
        return _estimate(
            self.value,
            self.n,
            self.groups,
            unit,
            distance,
        )

    def real(
        self,
        *,
        unit: str = "",
        distance: bool = True,
    ) -> Estimate | None:
        """The real baseline; arguments as of `estimate`."""
        if self.baseline is None:
            return None
        return _estimate(
            self.baseline,
            self.baseline_n,
            self.baseline_groups,
            unit,
            distance,
        )

    def ratio(self) -> Estimate | None:
        """Value over baseline; 1 is real tissue."""
        if self.baseline is None:
            return None
        if not math.isfinite(self.baseline[0]):
            return undefined(
                "the baseline is not defined for this sample",
                n=self.n,
                groups=self.groups,
            )
        if self.baseline[0] <= 0:
            return undefined(
                "the baseline is 0: real tissue does not differ in it",
                n=self.n,
                groups=self.groups,
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = self.value / self.baseline
            logs = np.log(ratios[1:])
        logs = logs[np.isfinite(logs)]
        replicates = ratios[1:]
        if len(logs) and ratios[0] > 0:
            # resampling enlarges both distances, but hardly by the same share
            replicates = np.exp(logs - logs.mean()) * ratios[0]
        return with_interval(
            float(ratios[0]),
            replicates,
            self.n,
            min(self.groups, self.baseline_groups),
        )


def compare(
    statistic: Statistic,
    sides: tuple[PatientSums, PatientSums],
    baseline: tuple[PatientSums, PatientSums] | None = None,
) -> Comparison:
    """A statistic of two sides, and of the two sides of the baseline, in every replicate.

    Patients present on several sides are resampled jointly: requested and obtained nuclei, or a
    patient's tissue and what was synthesized after it, are pairs, and differ by less than
    unrelated tissues do.
    """
    if baseline is None:
        first, second = _resampled_jointly(sides)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = statistic(first, second)
        return Comparison(
            value,
            None,
            sides[0].n,
            min(side.groups for side in sides),
        )
    first, second, third, fourth = _resampled_jointly((*sides, *baseline))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = statistic(first, second)
        baseline_value = statistic(third, fourth)
    return Comparison(
        value,
        baseline_value,
        sides[0].n,
        min(side.groups for side in sides),
        baseline[0].n,
        min(side.groups for side in baseline),
    )


def _resampled_jointly(sides: Sequence[PatientSums]) -> list[Float64Array]:
    """(1 + R, F) sums of each side: the side itself, then its replicates.

    Patients present on several sides are resampled jointly.
    """
    pools = joint_bootstrap(side.names for side in sides)
    position: dict[Hashable, tuple[int, int]] = {}
    counts = []
    for number, pool in enumerate(pools):
        for column, name in enumerate(sorted(pool, key=str)):
            position[name] = (number, column)
        resampled = np.zeros((REPLICATES, 0))
        if pool:
            resampled = bootstrap_counts(
                len(pool),
                REPLICATES,
                seed=number,
            )
        counts.append(np.concatenate([np.ones((1, len(pool))), resampled]))
    out = []
    for side in sides:
        if not side.names:
            out.append(np.zeros((REPLICATES + 1, side.sums.shape[1])))
            continue
        number, _ = position[side.names[0]]
        columns = [position[name][1] for name in side.names]
        out.append(counts[number][:, columns] @ side.sums)
    return out


def _estimate(
    values: Float64Array,
    n: int,
    groups: int,
    unit: str,
    distance: bool,
) -> Estimate:
    value = float(values[0])
    replicates = values[1:][np.isfinite(values[1:])]
    if distance and math.isfinite(value) and len(replicates):
        replicates = np.maximum(replicates - replicates.mean() + value, 0)
    return with_interval(
        value,
        replicates,
        n,
        groups,
        unit=unit,
    )


def mean_difference(left: Float64Array, right: Float64Array) -> Float64Array:
    """Of sums (R, 2), each a total and a count: (R,) left's mean - right's."""
    return np.asarray(left[:, 0] / left[:, 1] - right[:, 0] / right[:, 1])


def total_variation(left: Float64Array, right: Float64Array) -> Float64Array:
    """Of counts (R, K): (R,) half the sum of the differences of shares, in [0, 1]."""
    left_shares = left / left.sum(axis=1, keepdims=True)
    right_shares = right / right.sum(axis=1, keepdims=True)
    return np.asarray(np.abs(left_shares - right_shares).sum(axis=1) / 2)


def wasserstein(grid: Float64Array) -> Statistic:
    """The 1-D Wasserstein distance of histograms (R, B) on a grid (B,): the integral of |F - G|."""
    steps = np.diff(grid)

    def distance(left: Float64Array, right: Float64Array) -> Float64Array:
        left_sums = np.cumsum(left, axis=1)
        right_sums = np.cumsum(right, axis=1)
        gaps = np.abs(left_sums / left_sums[:, -1:] - right_sums / right_sums[:, -1:])
        return np.asarray(gaps[:, :-1] @ steps)

    return distance


def mean_comparison(
    comparisons: Sequence[Comparison],
    scales: Sequence[float] | None = None,
) -> Comparison:
    """The mean of several statistics, replicate by replicate.

    There is a baseline only where each of them has one.

    Args:
        comparisons: at least one.
        scales: what to divide each by first.
    """
    values = [each.value for each in comparisons]
    baselines = [each.baseline for each in comparisons if each.baseline is not None]
    complete = len(baselines) == len(comparisons)
    if scales is not None:
        values = [each / scale for each, scale in zip(values, scales, strict=True)]
        if complete:
            baselines = [each / scale for each, scale in zip(baselines, scales, strict=True)]
    first = comparisons[0]
    return Comparison(
        np.mean(values, axis=0),
        np.mean(baselines, axis=0) if complete else None,
        min(each.n for each in comparisons),
        min(each.groups for each in comparisons),
        first.baseline_n,
        first.baseline_groups,
    )
