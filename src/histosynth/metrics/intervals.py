"""How sure a number is: patients are drawn again, never tiles, since tiles of one patient are
alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.arrays import Float64Array
from ..core.estimate import Estimate, undefined

REPLICATES = 1000
FEW = 10
"""A percentile bootstrap over fewer groups is too narrow (Efron & Tibshirani 1993, ch. 14); it is
said."""
LEAST_PATIENTS = 2


def group_index(patients: Sequence[Hashable]) -> NDArray[np.intp]:
    """(N,) which patient, counted from 0 in order of appearance."""
    numbers = {name: index for index, name in enumerate(dict.fromkeys(patients))}
    return np.array([numbers[name] for name in patients], np.intp)


def bootstrap_counts(groups: int, replicates: int, seed: int = 0) -> Float64Array:
    """(draws, groups) how often each group is drawn, `groups` times with replacement."""
    random = np.random.default_rng(seed)
    return random.multinomial(groups, np.full(groups, 1 / groups), size=replicates).astype(
        np.float64
    )


def mean_over(
    values: ArrayLike,
    patients: Sequence[Hashable],
    *,
    unit: str = "",
    seed: int = 0,
) -> Estimate:
    """Mean of (N,) values; those that are nan are left out."""
    numbers = np.asarray(values, np.float64)
    return ratio_over(
        numbers,
        np.where(np.isfinite(numbers), 1.0, np.nan),
        patients,
        unit=unit,
        seed=seed,
    )


def share_over(hits: ArrayLike, patients: Sequence[Hashable], *, seed: int = 0) -> Estimate:
    """Share of (N,) items that are 1 and not 0; nan ones are left out.

    Where all are alike no draw differs, and a bootstrap would claim to be sure: then the interval
        is that of
    as many patients, each counting once (Clopper & Pearson 1934).
    """
    found = mean_over(hits, patients, seed=seed)
    if not found.is_defined or found.value not in (0.0, 1.0) or found.groups < LEAST_PATIENTS:
        return found
    tail = 0.025 ** (1 / found.groups)
    low, high = (0.0, 1 - tail) if found.value == 0 else (tail, 1.0)
    return replace(found, low=low, high=high, interval=f"exact, over {found.groups} patients")


def ratio_over(
    above: ArrayLike,
    below: ArrayLike,
    patients: Sequence[Hashable],
    *,
    unit: str = "",
    seed: int = 0,
) -> Estimate:
    """Sum of `above` (N,) / sum of `below` (N,), both of the same items; items with a nan are left
    out.
    """
    top = np.asarray(above, np.float64)
    bottom = np.asarray(below, np.float64)
    kept = np.isfinite(top) & np.isfinite(bottom)
    names = [name for name, keep in zip(patients, kept, strict=True) if keep]
    if not names:
        return undefined("no item could be measured", unit=unit)
    index = group_index(names)
    many = int(index.max()) + 1
    sums = np.stack([np.bincount(index, side[kept], minlength=many) for side in (top, bottom)])
    if not sums[1].sum():
        return undefined(
            "there is nothing to divide by",
            n=len(names),
            unit=unit,
            groups=many,
        )
    drawn = bootstrap_counts(many, REPLICATES, seed) @ sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        values = drawn[:, 0] / drawn[:, 1]
    return with_interval(
        float(sums[0].sum() / sums[1].sum()),
        values,
        len(names),
        many,
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
    """Any statistic of samples, each (values (N, ...), patients (N)); patients of several are drawn
    together.

    Args:
        statistic: of the values of all samples.
        samples: `n` and `groups` are the first one's.
        unit: of the value.
        replicates: how often to draw.
        recentre: draws hold items twice, which moves some statistics to one side (distances between
            sets above all); take off that move, the mean of the draws minus the value.
        seed: of the draws.
    """
    first = samples[0]
    if any(not len(values) for values, _ in samples):
        return undefined("there is no item", unit=unit)
    rows = [_rows_by_name(names) for _, names in samples]
    many = [len(each) for each in rows]
    value = float(statistic(*(values for values, _ in samples)))
    if min(many) < LEAST_PATIENTS:
        return with_interval(
            value,
            np.zeros(0),
            len(first[0]),
            many[0],
            unit=unit,
        )
    random = np.random.default_rng(seed)
    pools = [sorted(pool, key=str) for pool in joint_bootstrap(rows)]
    drawn = np.full(replicates, np.nan)
    for draw in range(replicates):
        names = [pool[i] for pool in pools for i in random.integers(len(pool), size=len(pool))]
        chosen = [[each[name] for name in names if name in each] for each in rows]
        if all(chosen):
            takes = [np.concatenate(each) for each in chosen]
            drawn[draw] = statistic(
                *(values[take] for (values, _), take in zip(samples, takes, strict=True))
            )
    if recentre:
        drawn = drawn - np.nanmean(drawn) + value
    return with_interval(
        value,
        drawn,
        len(first[0]),
        many[0],
        unit=unit,
    )


def _rows_by_name(names: Sequence[Hashable]) -> dict[Hashable, NDArray[np.intp]]:
    index = group_index(names)
    return {name: np.flatnonzero(index == place) for place, name in enumerate(dict.fromkeys(names))}


def joint_bootstrap(sides: Iterable[Iterable[Hashable]]) -> list[set[Hashable]]:
    """Sides' patients in pools: sides that share a patient draw from one, others each from their
    own.
    """
    pools: list[set[Hashable]] = []
    for side in sides:
        mine = set(side)
        for pool in [pool for pool in pools if pool & mine]:
            pools.remove(pool)
            mine |= pool
        pools.append(mine)
    return pools


def with_interval(
    value: float,
    drawn: Float64Array,
    n: int,
    groups: int,
    *,
    unit: str = "",
) -> Estimate:
    """A value with the 2.5th and 97.5th percentile of its draws; none over fewer than two
    groups.
    """
    if not math.isfinite(value):
        return undefined(
            "it is not defined for this sample",
            n=n,
            unit=unit,
            groups=groups,
        )
    if groups < LEAST_PATIENTS:
        reason = f"an interval needs tiles of at least {LEAST_PATIENTS} patients; there is {groups}"
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
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return Estimate(
            value,
            math.nan,
            math.nan,
            n,
            "none",
            "no draw was defined",
            unit,
            groups,
        )
    notes = [f"{len(drawn) - len(kept)} undefined draws left out"] if len(kept) < len(drawn) else []
    notes += ["few, so too narrow"] if groups < FEW else []
    said = f"bootstrap over {groups} patients" + (f" ({'; '.join(notes)})" if notes else "")
    low, high = (float(end) for end in np.percentile(kept, [2.5, 97.5]))
    return Estimate(value, low, high, n, said, "", unit, groups)
