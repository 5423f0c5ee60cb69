"""Precision, recall, density and coverage with their floors."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import Estimate, undefined
from ..finding import Finding
from ..intervals import mean_over, share_over
from ..neighbours import prdc
from .baseline import GROUPS
from .distance import LEAST
from .sides import Sides

K = 5


def neighbourhood(sides: Sides, encoder: str, *, seed: int) -> list[Finding]:
    """Four findings, each beside the same of real tiles of other patients."""
    names = ("precision", "recall", "density", "coverage")
    k = K
    if min(len(sides.real), len(sides.synthetic)) < LEAST:
        n = min(len(sides.real), len(sides.synthetic))
        why = undefined(f"{n} tiles of one side; give at least {LEAST} of each", n=n)
        return [Finding(f"{name}_{encoder}", why, "high") for name in names]
    found = prdc(sides.real, sides.synthetic, k)

    def means(one: Float64Array, two: Float64Array) -> Float64Array:
        if min(len(one), len(two)) <= k:
            return np.full(len(names), np.nan)
        told = prdc(two, one, k)
        return np.array([getattr(told, name).mean() for name in names])

    # no ratio: balls of tiles that are drawn twice have no size, so nothing says how sure it would
    # be
    groups = [
        means(trial.baseline, trial.real) for trial in sides.trials(GROUPS, again=False, seed=seed)
    ]
    patients, tiles = sides.shape
    out = []
    for place, name in enumerate(names):
        whose = sides.patients[1] if name in ("precision", "density") else sides.patients[0]
        over = mean_over if name == "density" else share_over
        value = over(getattr(found, name), whose, seed=seed)
        each = np.array([group[place] for group in groups if np.isfinite(group[place])])
        baseline = undefined(
            "the floor needs more real tiles of other patients", n=patients * tiles
        )
        if len(each):
            low, high = (float(end) for end in np.percentile(each, [2.5, 97.5]))
            said = f"range of {len(each)} groups of {patients} patients with {tiles} tiles each"
            baseline = Estimate(
                float(each.mean()),
                low,
                high,
                patients * tiles,
                said,
                "",
                "",
                patients,
            )
        note = f"balls to neighbour {k}, taken as given; moved by n: compare where n is alike"
        out.append(
            Finding(
                f"{name}_{encoder}",
                value,
                "high",
                baseline,
                note=note,
            )
        )
    return out
