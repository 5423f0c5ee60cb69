"""Cohen's kappa, and how sure it is: the asymptotic error, or a bootstrap over what is
independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.estimate import Estimate

Counts = NDArray[np.float64]
Z95 = 1.959963984540054
REPLICATES = 2000
FEW = 10
"""A percentile bootstrap over fewer groups is too narrow (Efron & Tibshirani 1993, ch. 14)."""


def kappa(matrix: ArrayLike) -> float:
    """Agreement beyond chance, (po - pe) / (1 - pe) (Cohen 1960).

    Args:
        matrix: (K, K) counts, the first annotator's classes down, the second's across.

    Returns:
        In [-1, 1]. nan if the matrix is empty, or if both only ever gave one same class: then
        chance alone agrees always and nothing can be said; `undefined` tells which.

    Raises:
        ValueError: not square, or a count is negative or no number.
    """
    return float(kappas(_checked(matrix)))


def undefined(matrix: ArrayLike) -> str:
    """Why the kappa of a matrix is nan; "" where it is not."""
    counts = _checked(matrix)
    if not counts.sum():
        return "there is nothing to compare"
    return "" if _defined(counts) else "both only ever gave one and the same class"


def kappa_error(matrix: ArrayLike) -> float:
    """Large-sample standard error of kappa for independent pairs (Fleiss, Cohen & Everitt 1969).

    nan where kappa is, and 0 where no pair disagrees.
    """
    counts = _checked(matrix)
    if not _defined(counts):
        return math.nan
    total = counts.sum()
    shares = counts / total
    rows = shares.sum(1)
    columns = shares.sum(0)
    seen = float(np.trace(shares))
    chance = float(rows @ columns)
    same = np.diag(shares) @ ((1 - chance) - (rows + columns) * (1 - seen)) ** 2
    other = shares * (columns[:, None] + rows[None, :]) ** 2
    differ = (1 - seen) ** 2 * (other.sum() - np.trace(other))
    variance = same + differ - (seen * chance - 2 * chance + seen) ** 2
    return math.sqrt(max(float(variance), 0.0) / total) / (1 - chance) ** 2


def kappas(stack: Counts) -> Counts:
    """Kappa of each of (..., K, K) matrices; nan where it is not defined."""
    total = stack.sum((-2, -1))
    rows = stack.sum(-1)
    columns = stack.sum(-2)
    with np.errstate(divide="ignore", invalid="ignore"):
        seen = np.trace(stack, axis1=-2, axis2=-1) / total
        chance = (rows * columns).sum(-1) / total**2
        return np.asarray(np.where(_defined(stack), (seen - chance) / (1 - chance), np.nan))


def estimate_kappa(matrices: Sequence[Counts], unit: str) -> Estimate:
    """Kappa of all matrices together, with a bootstrap over them, or the asymptotic error of one.

    Args:
        matrices: (K, K) counts, one for each independent group (file, patient, block).
        unit: what a group is, for the text of the interval.
    """
    held = [matrix for matrix in matrices if matrix.sum()]
    pooled = np.sum(held, axis=0) if held else np.zeros((1, 1))
    value = kappa(pooled)
    count = int(pooled.sum())
    if reason := undefined(pooled):
        return Estimate(
            math.nan,
            math.nan,
            math.nan,
            count,
            "none",
            reason,
        )
    if value == 1:
        reason = "nothing disagrees, so nothing tells how far kappa could be from 1"
        return Estimate(value, math.nan, math.nan, count, "none", reason)
    if len(held) > 1:
        low, high, said = bootstrap(np.stack(held), kappas, unit)
        return Estimate(value, low, high, count, said)
    reach = Z95 * kappa_error(pooled)
    said = f"asymptotic, one {unit} (its pairs taken as independent)"
    return Estimate(
        value,
        max(value - reach, -1.0),
        min(value + reach, 1.0),
        count,
        said,
    )


def bootstrap(
    groups: Counts,
    measure: Callable[[Counts], Counts],
    unit: str,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[float, float, str]:
    """95 % percentile interval (Efron 1979) of a measure of summed counts, groups drawn with
    replacement.

    Args:
        groups: (G, ...) counts.
        measure: (draws, ...) summed counts to (draws,) values; nan ones are left out, and that is
            said.
        unit: what a group is.
        replicates: how many.
        seed: of the draws.

    Returns:
        Low, high, and how it was made.
    """
    size = len(groups)
    times = np.random.default_rng(seed).multinomial(
        size,
        np.full(size, 1 / size),
        size=replicates,
    )
    # a few draws at a time, as many classes make large matrices
    parts = np.array_split(
        times.astype(np.float64), max(replicates * groups[0].size // 4_000_000, 1)
    )
    values = np.concatenate([measure(np.tensordot(part, groups, axes=1)) for part in parts])
    kept = values[np.isfinite(values)]
    notes = [f"{replicates - len(kept)} undefined draws left out"] if len(kept) < replicates else []
    notes += ["few, so too narrow"] if size < FEW else []
    said = f"bootstrap over {size} {unit}s" + (f" ({'; '.join(notes)})" if notes else "")
    if not len(kept):
        return math.nan, math.nan, said
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high), said


def _defined(stack: Counts) -> NDArray[np.bool_]:
    """Whether at least two classes occur, so that chance does not agree always."""
    return np.asarray(((stack.sum(-1) + stack.sum(-2)) > 0).sum(-1) >= 2)


def _checked(matrix: ArrayLike) -> Counts:
    counts = np.asarray(matrix, np.float64)
    counts = counts.reshape(0, 0) if not counts.size else counts
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"a confusion matrix is square, not {counts.shape}")
    if not (np.isfinite(counts) & (counts >= 0)).all():
        raise ValueError("a confusion matrix holds counts: numbers from 0 up")
    return counts
