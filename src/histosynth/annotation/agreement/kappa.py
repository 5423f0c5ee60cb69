"""Cohen's kappa with its interval: the asymptotic error, or a bootstrap over independent groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...core.arrays import BoolArray, Float64Array
from ...core.estimate import Estimate, undefined

Counts = Float64Array
Z95 = 1.959963984540054
_REPLICATES = 2000
_MIN_WIDTH = 1e-9
"""An interval that is narrower shows only how its ends were rounded."""
_MAX_VALUES_AT_ONCE = 4_000_000
MIN_GROUPS = 10
"""A percentile bootstrap over fewer groups is too narrow (Efron & Tibshirani 1993, ch. 14)."""


def kappa(matrix: ArrayLike) -> float:
    """Agreement beyond chance, (po - pe) / (1 - pe) (Cohen 1960).

    Args:
        matrix: (K, K) counts, the first annotator's classes down, the second's across.

    Returns:
        In [-1, 1]. nan if the matrix is empty, or if both only ever gave one same class: then
        chance alone always agrees. `undefined_reason` names the cause.

    Raises:
        ValueError: not square, or a count is negative or no number.
    """
    return float(kappas(_checked(matrix)))


def undefined_reason(matrix: ArrayLike) -> str:
    """Why the kappa of a matrix is nan; "" where it is not."""
    counts = _checked(matrix)
    if not counts.sum():
        return "there is nothing to compare"
    if not _has_two_classes(counts):
        return "both only ever gave one and the same class"
    return ""


def kappa_error(matrix: ArrayLike) -> float:
    """Large-sample standard error of kappa for independent pairs (Fleiss, Cohen & Everitt 1969).

    nan where kappa is, and 0 where no pair disagrees.
    """
    counts = _checked(matrix)
    if not _has_two_classes(counts):
        return math.nan
    total = counts.sum()
    shares = counts / total
    rows = shares.sum(1)
    columns = shares.sum(0)
    observed = float(np.trace(shares))
    chance = float(rows @ columns)
    agreeing = np.diag(shares) @ ((1 - chance) - (rows + columns) * (1 - observed)) ** 2
    weighted = shares * (columns[:, None] + rows[None, :]) ** 2
    differing = (1 - observed) ** 2 * (weighted.sum() - np.trace(weighted))
    variance = agreeing + differing - (observed * chance - 2 * chance + observed) ** 2
    return math.sqrt(max(float(variance), 0.0) / total) / (1 - chance) ** 2


def kappas(stack: Counts) -> Counts:
    """Kappa of each of (..., K, K) matrices; nan where it is not defined."""
    total = stack.sum((-2, -1))
    rows = stack.sum(-1)
    columns = stack.sum(-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.trace(stack, axis1=-2, axis2=-1) / total
        chance = (rows * columns).sum(-1) / total**2
        values = (observed - chance) / (1 - chance)
    return np.asarray(np.where(_has_two_classes(stack), values, np.nan))


def estimate_kappa(matrices: Sequence[Counts], unit: str) -> Estimate:
    """Kappa of all matrices together, with a bootstrap over them, or the asymptotic error of one.

    Undefined where nothing can be compared or only one class occurs. Without an interval where no
    pair disagrees, or where the interval would have no width, as where one annotator gave a single
    class.

    Args:
        matrices: (K, K) counts, one for each independent group (file, patient, block).
        unit: what a group is, for the text of the interval.
    """
    not_empty = [matrix for matrix in matrices if matrix.sum()]
    pooled = np.sum(not_empty, axis=0) if not_empty else np.zeros((1, 1))
    count = int(pooled.sum())
    reason = undefined_reason(pooled)
    if reason:
        return undefined(reason, n=count)
    value = kappa(pooled)
    if value == 1:
        reason = "nothing disagrees, so how far kappa could be from 1 cannot be estimated"
        return without_interval(value, count, reason)
    interval = _interval(value, not_empty, unit)
    if interval.high - interval.low < _MIN_WIDTH:
        return without_interval(value, count, _why_no_width(pooled))
    return Estimate(
        value,
        interval.low,
        interval.high,
        count,
        interval.method,
    )


def _interval(
    value: float,
    matrices: Sequence[Counts],
    unit: str,
) -> Interval:
    if len(matrices) > 1:
        return bootstrap(np.stack(matrices), kappas, unit)
    reach = Z95 * kappa_error(matrices[0])
    return Interval(
        max(value - reach, -1.0),
        min(value + reach, 1.0),
        f"asymptotic, one {unit} (its pairs taken as independent)",
    )


def _why_no_width(matrix: Counts) -> str:
    """Why all replicates of a kappa below 1 are alike."""
    classes = [np.count_nonzero(matrix.sum(axis)) for axis in (0, 1)]
    if min(classes) == 1:
        return "one annotator only ever gave one class: kappa is then 0, whatever the other gave"
    return "no replicate differs, so how far kappa could be from its value cannot be estimated"


def without_interval(
    value: float,
    count: int,
    reason: str,
) -> Estimate:
    """A value whose interval cannot be estimated, and why."""
    return Estimate(
        value,
        math.nan,
        math.nan,
        count,
        "none",
        reason,
    )


@dataclass(frozen=True)
class Interval:
    """A 95 % interval.

    Attributes:
        low: lower end.
        high: upper end.
        method: how it was computed.
    """

    low: float
    high: float
    method: str


def bootstrap(
    groups: Counts,
    measure: Callable[[Counts], Counts],
    unit: str,
    *,
    replicates: int = _REPLICATES,
    seed: int = 0,
) -> Interval:
    """95 % percentile interval (Efron 1979) of a measure of summed counts.

    Groups are resampled with replacement.

    Args:
        groups: (G, ...) counts.
        measure: (replicates, ...) summed counts to (replicates,) values; nan ones are left out,
            which the method states.
        unit: what a group is.
        replicates: how many.
        seed: of the resampling.
    """
    size = len(groups)
    random = np.random.default_rng(seed)
    times = random.multinomial(
        size,
        np.full(size, 1 / size),
        size=replicates,
    )
    # a few replicates at a time, as many classes make large matrices
    parts = np.array_split(
        times.astype(np.float64),
        max(replicates * groups[0].size // _MAX_VALUES_AT_ONCE, 1),
    )
    values = np.concatenate([measure(np.tensordot(part, groups, axes=1)) for part in parts])
    defined = values[np.isfinite(values)]
    notes = []
    if len(defined) < replicates:
        notes.append(f"{replicates - len(defined)} undefined replicates left out")
    if size < MIN_GROUPS:
        notes.append("few, so too narrow")
    method = f"bootstrap over {size} {unit}s"
    if notes:
        method += f" ({'; '.join(notes)})"
    if not len(defined):
        return Interval(math.nan, math.nan, method)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Interval(float(low), float(high), method)


def _has_two_classes(stack: Counts) -> BoolArray:
    """Whether at least two classes occur, so that chance does not always agree."""
    occurrences = stack.sum(-1) + stack.sum(-2)
    return np.asarray((occurrences > 0).sum(-1) >= 2)


def _checked(matrix: ArrayLike) -> Counts:
    counts = np.asarray(matrix, np.float64)
    if not counts.size:
        counts = counts.reshape(0, 0)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a confusion matrix is square, not {counts.shape}")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("a confusion matrix holds counts: numbers from 0 up")
    return counts
