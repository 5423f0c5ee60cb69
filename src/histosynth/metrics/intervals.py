"""Confidence intervals by the bootstrap over patients.

Patients are resampled, never tiles, because tiles of one patient are alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.arrays import Float64Array, IndexArray
from ..core.estimate import Estimate, undefined

REPLICATES = 1000
MIN_PATIENTS = 2
ROUNDING_OF_SUMS = 1e-12
"""Share of a value by which sums of its replicates may differ only because they are rounded."""
MIN_PATIENTS_FOR_WIDTH = 10
"""A percentile bootstrap over fewer groups is too narrow (Efron & Tibshirani 1993, ch. 14); the
interval's description states it."""


def group_index(patients: Sequence[Hashable]) -> IndexArray:
    """(N,) number of each item's patient, counted from 0 in order of appearance."""
    numbers = {name: index for index, name in enumerate(dict.fromkeys(patients))}
    return np.array([numbers[name] for name in patients], np.intp)


def rows_by_name(names: Sequence[Hashable]) -> dict[Hashable, IndexArray]:
    """Rows of each patient, patients in order of appearance."""
    if not names:
        return {}
    index = group_index(names)
    rows: dict[Hashable, IndexArray] = {}
    for number, name in enumerate(dict.fromkeys(names)):
        rows[name] = np.flatnonzero(index == number)
    return rows


def bootstrap_counts(
    groups: int,
    replicates: int,
    seed: int = 0,
) -> Float64Array:
    """(replicates, groups) how often each group is drawn, `groups` times with replacement."""
    random = np.random.default_rng(seed)
    counts = random.multinomial(
        groups,
        np.full(groups, 1 / groups),
        size=replicates,
    )
    return counts.astype(np.float64)


def mean_over(
    values: ArrayLike,
    patients: Sequence[Hashable],
    *,
    unit: str = "",
    seed: int = 0,
) -> Estimate:
    """Mean of (N,) values; nan ones are left out."""
    numbers = np.asarray(values, np.float64)
    ones = np.where(np.isfinite(numbers), 1.0, np.nan)
    return ratio_over(
        numbers,
        ones,
        patients,
        unit=unit,
        seed=seed,
    )


def share_over(
    hits: ArrayLike,
    patients: Sequence[Hashable],
    *,
    seed: int = 0,
) -> Estimate:
    """Share of (N,) items that are 1 and not 0; nan ones are left out.

    Where all items are alike no replicate differs, and a bootstrap would report certainty. Then the
    interval is the exact one of as many patients, each counted once (Clopper & Pearson 1934).
    """
    share = mean_over(hits, patients, seed=seed)
    if share.groups < MIN_PATIENTS:
        return share
    tail = 0.025 ** (1 / share.groups)
    if share.value == 0.0:
        low = 0.0
        high = 1 - tail
    elif share.value == 1.0:
        low = tail
        high = 1.0
    else:
        return share
    return replace(share, low=low, high=high, interval=f"exact, over {share.groups} patients")


def ratio_over(
    above: ArrayLike,
    below: ArrayLike,
    patients: Sequence[Hashable],
    *,
    unit: str = "",
    seed: int = 0,
) -> Estimate:
    """Sum of `above` (N,) / sum of `below` (N,), both of the same items.

    Items with a nan are left out.
    """
    top = np.asarray(above, np.float64)
    bottom = np.asarray(below, np.float64)
    kept = np.isfinite(top) & np.isfinite(bottom)
    names = [name for name, keep in zip(patients, kept, strict=True) if keep]
    if not names:
        return undefined("no item could be measured", unit=unit)
    index = group_index(names)
    groups = int(index.max()) + 1
    top_sums = np.bincount(index, top[kept], minlength=groups)
    bottom_sums = np.bincount(index, bottom[kept], minlength=groups)
    if not bottom_sums.sum():
        return undefined(
            "there is nothing to divide by",
            n=len(names),
            unit=unit,
            groups=groups,
        )
    sums = np.stack([top_sums, bottom_sums])
    replicates = bootstrap_counts(groups, REPLICATES, seed) @ sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        values = replicates[:, 0] / replicates[:, 1]
    return with_interval(
        float(sums[0].sum() / sums[1].sum()),
        values,
        len(names),
        groups,
        unit=unit,
    )


def statistic_over(
    statistic: Callable[..., float],
    *samples: tuple[NDArray[np.generic], Sequence[Hashable]],
    unit: str = "",
    replicates: int = REPLICATES,
    recentre: bool = False,
    seed: int = 0,
) -> Estimate:
    """Any statistic of samples, each (values (N, ...), patients (N)).

    Patients present in several samples are resampled jointly.

    Args:
        statistic: of the values of all samples.
        samples: `n` and `groups` of the result are the first one's.
        unit: of the value.
        replicates: how many.
        recentre: replicates contain items twice, which moves some statistics to one side, distances
            between sets above all; subtract that move, the mean of the replicates minus the value.
        seed: of the replicates.
    """
    if any(len(values) == 0 for values, _ in samples):
        return undefined("there is no item", unit=unit)
    values = [each for each, _ in samples]
    rows = [rows_by_name(names) for _, names in samples]
    groups = [len(each) for each in rows]
    value = float(statistic(*values))
    if min(groups) < MIN_PATIENTS:
        replicated = np.zeros(0)
    else:
        replicated = _replicated(
            statistic,
            values,
            rows,
            replicates,
            seed,
        )
        if recentre and np.isfinite(replicated).any():
            replicated = replicated - np.nanmean(replicated) + value
    return with_interval(
        value,
        replicated,
        len(values[0]),
        groups[0],
        unit=unit,
    )


def _replicated(
    statistic: Callable[..., float],
    values: Sequence[NDArray[np.generic]],
    rows: Sequence[dict[Hashable, IndexArray]],
    replicates: int,
    seed: int,
) -> Float64Array:
    """(replicates,) values of the statistic; nan where a sample got no item."""
    random = np.random.default_rng(seed)
    pools = [sorted(pool, key=str) for pool in joint_bootstrap(rows)]
    out = np.full(replicates, np.nan)
    for replicate in range(replicates):
        names: list[Hashable] = []
        for pool in pools:
            drawn = random.integers(len(pool), size=len(pool))
            names += [pool[i] for i in drawn]
        chosen = [[each[name] for name in names if name in each] for each in rows]
        if not all(chosen):
            continue
        takes = [np.concatenate(each) for each in chosen]
        resampled = [each[take] for each, take in zip(values, takes, strict=True)]
        out[replicate] = statistic(*resampled)
    return out


def joint_bootstrap(sides: Iterable[Iterable[Hashable]]) -> list[set[Hashable]]:
    """Patients of all sides in pools that are resampled independently of each other.

    Sides that share a patient share a pool; the others have a pool each.
    """
    pools: list[set[Hashable]] = []
    for side in sides:
        joined = set(side)
        overlapping = [pool for pool in pools if pool & joined]
        for pool in overlapping:
            pools.remove(pool)
            joined |= pool
        pools.append(joined)
    return pools


def with_interval(
    value: float,
    replicates: Float64Array,
    n: int,
    groups: int,
    *,
    unit: str = "",
) -> Estimate:
    """A value with the 2.5th and 97.5th percentile of its replicates.

    There is no interval over fewer than two groups. Where all replicates are alike both ends are
    their value, and the description states that no replicate differs: for a set against itself that
    is right, elsewhere the sample is too small or too even to show how far the value could be off.
    """
    if not math.isfinite(value):
        return undefined(
            "it is not defined for this sample",
            n=n,
            unit=unit,
            groups=groups,
        )
    if groups < MIN_PATIENTS:
        reason = f"an interval needs tiles of at least {MIN_PATIENTS} patients; there is {groups}"
        return _without_interval(value, n, reason, unit, groups)
    kept = replicates[np.isfinite(replicates)]
    if not len(kept):
        return _without_interval(
            value,
            n,
            "no replicate was defined",
            unit,
            groups,
        )
    low, high = (float(end) for end in np.percentile(kept, [2.5, 97.5]))
    interval = _description(groups, replicates)
    return Estimate(
        value,
        low,
        high,
        n,
        interval,
        "",
        unit,
        groups,
    )


def _without_interval(
    value: float,
    n: int,
    reason: str,
    unit: str,
    groups: int,
) -> Estimate:
    return Estimate(
        value,
        math.nan,
        math.nan,
        n,
        "none",
        reason,
        unit,
        groups,
    )


def _description(groups: int, replicates: Float64Array) -> str:
    kept = replicates[np.isfinite(replicates)]
    undefined_replicates = len(replicates) - len(kept)
    notes = []
    if np.ptp(kept) <= ROUNDING_OF_SUMS * np.abs(kept).max():
        notes.append("no replicate differs")
    if undefined_replicates:
        notes.append(f"{undefined_replicates} undefined replicates left out")
    if groups < MIN_PATIENTS_FOR_WIDTH:
        notes.append("few, so too narrow")
    description = f"bootstrap over {groups} patients"
    if notes:
        description += f" ({'; '.join(notes)})"
    return description
