"""Compares any measure of a set with the same measure of as much real tissue: baseline and
ratio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..intervals import with_interval
from .feature_sides import FeatureSides
from .words import group_words

BASELINE_GROUPS = 16
"""Groups of other patients whose mean is the baseline."""
MIN_BASELINE_TILES = 8
SetMeasure = Callable[[Float64Array, Float64Array], Float64Array]
"""Features of two sets, (N, D) and (M, D) => (K,) numbers."""


@dataclass(frozen=True)
class BaselineAndRatio:
    """A measure's real baseline, and its ratio to it at as many synthetic tiles and patients.

    Attributes:
        baseline: real tissue of other patients.
        ratio: synthetic over baseline.
        note: how many patients and tiles both are of.
    """

    baseline: Estimate
    ratio: Estimate
    note: str


def compare_with_baseline(
    sides: FeatureSides,
    measure: SetMeasure,
    *,
    replicates: int,
    seed: int = 0,
) -> list[BaselineAndRatio]:
    """Baseline and ratio of each number that a measure gives.

    In every replicate the patients of all sides are drawn with replacement, those of the baseline
    too. Tiles that are drawn twice move a distance, on both sides of a ratio; what is left of that
    move is divided out.

    Args:
        sides: their `shape` decides how many patients and tiles of each are compared.
        measure: (synthetic or other, real) to (K,).
        replicates: for the intervals.
        seed: of all draws.
    """
    patients, tiles = sides.shape
    size = patients * tiles
    if patients < 2 or size < MIN_BASELINE_TILES:
        why = undefined(
            f"the baseline needs at least {MIN_BASELINE_TILES} real tiles of 2 other patients",
            n=size,
        )
        numbers = len(measure(sides.synthetic, sides.real))
        return [BaselineAndRatio(why, why, "")] * numbers
    means = _measured_trials(
        sides,
        measure,
        BASELINE_GROUPS,
        with_replacement=False,
        seed=seed,
    )
    resampled = _measured_trials(
        sides,
        measure,
        replicates,
        with_replacement=True,
        seed=seed + 1,
    )
    baseline_groups = len(set(sides.baseline_patients))
    note = f"ratio and baseline of {group_words(patients, tiles)}"
    out = []
    for column in range(means.shape[2]):
        synthetic, baseline = means[:, :, column].mean(axis=0)
        baseline_replicates = resampled[:, 1, column]
        real = with_interval(
            float(baseline),
            recentred(float(baseline), baseline_replicates),
            size,
            baseline_groups,
        )
        ratio = _ratio(
            float(synthetic),
            float(baseline),
            resampled[:, 0, column],
            baseline_replicates,
            size=size,
            patients=patients,
        )
        out.append(BaselineAndRatio(real, ratio, note))
    return out


def _measured_trials(
    sides: FeatureSides,
    measure: SetMeasure,
    count: int,
    *,
    with_replacement: bool,
    seed: int,
) -> Float64Array:
    """(count, 2, K) the measure of synthetic tiles, and of the baseline, in each trial."""
    rows = []
    for trial in sides.trials(
        count,
        with_replacement=with_replacement,
        seed=seed,
    ):
        synthetic = measure(trial.synthetic, trial.real)
        baseline = measure(trial.baseline, trial.real)
        rows.append([synthetic, baseline])
    return np.array(rows)


def _ratio(
    synthetic: float,
    baseline: float,
    synthetic_replicates: Float64Array,
    baseline_replicates: Float64Array,
    *,
    size: int,
    patients: int,
) -> Estimate:
    if not math.isfinite(baseline):
        return undefined("the baseline is not defined for this sample", n=size)
    if baseline <= 0:
        reason = "the baseline is not above 0, so there is no ratio to it; compare the two numbers"
        return undefined(reason, n=size)
    with np.errstate(divide="ignore", invalid="ignore"):
        quotients = np.where(
            baseline_replicates > 0,
            synthetic_replicates / baseline_replicates,
            np.nan,
        )
    value = float(synthetic / baseline)
    return with_interval(
        value,
        recentred(value, quotients),
        size,
        patients,
    )


def recentred(value: float, replicates: Float64Array) -> Float64Array:
    """Replicates moved so that they are centred on their value.

    By a factor; where signs differ, by a sum.
    """
    kept = replicates[np.isfinite(replicates)]
    if not len(kept):
        return kept
    if value > 0 and (kept > 0).all():
        return np.asarray(kept / np.exp(np.log(kept).mean()) * value)
    return np.asarray(kept - kept.mean() + value)
