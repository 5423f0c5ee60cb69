"""Any measure of a set beside the same measure of as much real tissue: floors and ratios."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...core.estimate import Estimate, untold
from ..intervals import with_interval
from .sides import Floats, Sides

GROUPS = 16
"""Groups of other patients whose mean is the floor."""
LEAST_FLOOR = 8
"""Tiles of a floor."""
Measure = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Beside:
    """A measure's floor, and the ratio to it of as many made tiles of as many patients."""

    floor: Estimate
    ratio: Estimate
    words: str


def beside_floor(
    sides: Sides,
    measure: Measure,
    *,
    draws: int,
    seed: int = 0,
) -> list[Beside]:
    """Floor and ratio of each number that a measure gives.

    In every draw patients of all sides are drawn with replacement, the floor's too. Doubled tiles
    move a distance, on both sides of a ratio; what is left of that move is taken off, as a factor.

    Args:
        sides: whose shape says how many patients and tiles of each are compared.
        measure: (made or other, real) to (K,).
        draws: for the intervals.
        seed: of all draws.
    """
    patients, tiles = sides.shape
    size = patients * tiles
    whole = len(set(sides.patients[2] if sides.other is not None else sides.patients[0]))
    if patients < 2 or size < LEAST_FLOOR:
        why = untold(
            f"the floor needs at least {LEAST_FLOOR} real tiles of 2 other patients", n=size
        )
        return [Beside(why, why, "")] * len(measure(sides.made, sides.real))
    points = np.array(
        [
            [measure(trial.made, trial.real), measure(trial.floor, trial.real)]
            for trial in sides.trials(GROUPS, again=False, seed=seed)
        ]
    )
    again = np.array(
        [
            [measure(trial.made, trial.real), measure(trial.floor, trial.real)]
            for trial in sides.trials(draws, again=True, seed=seed + 1)
        ]
    )
    words = f"ratio and floor of {patients} patients with {tiles} tiles each"
    out = []
    for place in range(points.shape[2]):
        made, floor = points[:, :, place].mean(axis=0)
        mine = again[:, 0, place]
        other = again[:, 1, place]
        real = with_interval(
            float(floor),
            recentred(float(floor), other),
            size,
            whole,
        )
        if not floor > 0:
            reason = (
                "the floor is not above 0, so there is no ratio to it; read both beside each other"
            )
            out.append(Beside(real, untold(reason, n=size), words))
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            quotients = np.where(other > 0, mine / other, np.nan)
        value = float(made / floor)
        ratio = with_interval(
            value,
            recentred(value, quotients),
            size,
            patients,
        )
        out.append(Beside(real, ratio, words))
    return out


def recentred(value: float, drawn: Floats) -> Floats:
    """Draws about their value: the factor (or, where signs differ, the sum) by which they moved
    taken off.
    """
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return kept
    if value > 0 and (kept > 0).all():
        return np.asarray(kept / np.exp(np.log(kept).mean()) * value)
    return np.asarray(kept - kept.mean() + value)
