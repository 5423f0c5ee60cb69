"""Any measure of a set beside the same measure of as much real tissue: floors and ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..intervals import with_interval
from .sides import Sides

GROUPS = 16
"""Groups of other patients whose mean is the floor."""
MIN_BASELINE = 8
"""Tiles of a floor."""
Measure = Callable[[Float64Array, Float64Array], Float64Array]


@dataclass(frozen=True)
class BaselineComparison:
    """A measure's floor, and the ratio to it of as many made tiles of as many patients."""

    baseline: Estimate
    ratio: Estimate
    words: str


def compare_with_baseline(
    sides: Sides,
    measure: Measure,
    *,
    replicates: int,
    seed: int = 0,
) -> list[BaselineComparison]:
    """Floor and ratio of each number that a measure gives.

    In every draw patients of all sides are drawn with replacement, the floor's too. Doubled tiles
    move a distance, on both sides of a ratio; what is left of that move is taken off, as a factor.

    Args:
        sides: whose shape says how many patients and tiles of each are compared.
        measure: (made or other, real) to (K,).
        replicates: for the intervals.
        seed: of all draws.
    """
    patients, tiles = sides.shape
    size = patients * tiles
    whole = len(set(sides.patients[2] if sides.other is not None else sides.patients[0]))
    if patients < 2 or size < MIN_BASELINE:
        why = undefined(
            f"the floor needs at least {MIN_BASELINE} real tiles of 2 other patients", n=size
        )
        return [BaselineComparison(why, why, "")] * len(measure(sides.synthetic, sides.real))
    points = np.array(
        [
            [measure(trial.synthetic, trial.real), measure(trial.baseline, trial.real)]
            for trial in sides.trials(GROUPS, again=False, seed=seed)
        ]
    )
    again = np.array(
        [
            [measure(trial.synthetic, trial.real), measure(trial.baseline, trial.real)]
            for trial in sides.trials(replicates, again=True, seed=seed + 1)
        ]
    )
    words = f"ratio and floor of {patients} patients with {tiles} tiles each"
    out = []
    for place in range(points.shape[2]):
        synthetic, baseline = points[:, :, place].mean(axis=0)
        mine = again[:, 0, place]
        other = again[:, 1, place]
        real = with_interval(
            float(baseline),
            recentred(float(baseline), other),
            size,
            whole,
        )
        if not baseline > 0:
            reason = (
                "the floor is not above 0, so there is no ratio to it; read both beside each other"
            )
            out.append(BaselineComparison(real, undefined(reason, n=size), words))
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            quotients = np.where(other > 0, mine / other, np.nan)
        value = float(synthetic / baseline)
        ratio = with_interval(
            value,
            recentred(value, quotients),
            size,
            patients,
        )
        out.append(BaselineComparison(real, ratio, words))
    return out


def recentred(value: float, drawn: Float64Array) -> Float64Array:
    """Draws about their value: the factor (or, where signs differ, the sum) by which they moved
    taken off.
    """
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return kept
    if value > 0 and (kept > 0).all():
        return np.asarray(kept / np.exp(np.log(kept).mean()) * value)
    return np.asarray(kept - kept.mean() + value)
