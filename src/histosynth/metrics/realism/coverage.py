"""Precision, recall, density and coverage with their real baselines."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..finding import Finding
from ..intervals import mean_over, share_over
from ..neighbours import Prdc, prdc
from .baseline import BASELINE_GROUPS
from .distance import MIN_TILES_FOR_DISTANCE
from .feature_sides import FeatureSides
from .words import group_words

NEIGHBOUR = 5
"""Balls reach to this neighbour."""
_NAMES = ("precision", "recall", "density", "coverage")
_OF_SYNTHETIC_TILES = ("precision", "density")


def neighbourhood(
    sides: FeatureSides,
    encoder: str,
    *,
    seed: int,
) -> list[Finding]:
    """Four findings, each with the same of real tiles of other patients.

    There is no ratio: the ball of a tile that is drawn twice has no size, so its interval cannot be
    estimated.
    """
    layouts = sides.synthetic_layouts or range(len(sides.synthetic))
    n = min(sides.smaller_count, len(set(layouts)))
    if n < MIN_TILES_FOR_DISTANCE:
        what = "tiles of one side" if n == sides.smaller_count else "layouts of synthetic tiles"
        reason = f"{n} {what}; give at least {MIN_TILES_FOR_DISTANCE}"
        why = undefined(reason, n=n)
        return [Finding(f"{name}_{encoder}", why, "high") for name in _NAMES]
    found = prdc(
        sides.real,
        sides.synthetic,
        NEIGHBOUR,
        synthetic_owners=layouts,
    )
    patients, _ = sides.shape
    trials = sides.trials(
        BASELINE_GROUPS if patients else 0,
        with_replacement=False,
        seed=seed,
    )
    groups = [_means(trial.baseline, trial.real) for trial in trials]
    note = f"balls to neighbour {NEIGHBOUR}, taken as given; moved by n: compare where n is alike"
    if any(found.empty_balls):
        real, synthetic = found.empty_balls
        note += (
            f"; {real} real and {synthetic} synthetic tiles are there more than {NEIGHBOUR} times, "
            "so that only copies lie in their balls"
        )
    out = []
    for column, name in enumerate(_NAMES):
        in_groups = [group[column] for group in groups]
        out.append(
            Finding(
                f"{name}_{encoder}",
                _value(name, found, sides, seed),
                "high",
                _baseline(in_groups, sides),
                note=note,
            )
        )
    return out


def _value(
    name: str,
    found: Prdc,
    sides: FeatureSides,
    seed: int,
) -> Estimate:
    patients = sides.real_patients
    if name in _OF_SYNTHETIC_TILES:
        patients = sides.synthetic_patients
    if name == "density":
        return mean_over(found.density, patients, seed=seed)
    return share_over(
        getattr(found, name),
        patients,
        seed=seed,
    )


def _baseline(in_groups: list[float], sides: FeatureSides) -> Estimate:
    """Mean and range of the same number of groups of real tiles."""
    patients, tiles = sides.shape
    finite = np.array([value for value in in_groups if np.isfinite(value)])
    if not len(finite):
        return undefined(
            "the baseline needs more real tiles of other patients",
            n=patients * tiles,
        )
    low, high = (float(end) for end in np.percentile(finite, [2.5, 97.5]))
    return Estimate(
        float(finite.mean()),
        low,
        high,
        patients * tiles,
        f"range of {len(finite)} groups of {group_words(patients, tiles)}",
        "",
        "",
        patients,
    )


def _means(first: Float64Array, second: Float64Array) -> Float64Array:
    """(4,) means over tiles, in the order of `_NAMES`; nan where there are too few tiles."""
    if min(len(first), len(second)) <= NEIGHBOUR:
        return np.full(len(_NAMES), np.nan)
    found = prdc(second, first, NEIGHBOUR)
    return np.array([getattr(found, name).mean() for name in _NAMES])
