"""Precision, recall, density and coverage with their floors."""

from __future__ import annotations

import numpy as np

from ...core.estimate import Estimate, untold
from ..finding import Finding
from ..intervals import mean_over, share_over
from ..neighbours import prdc
from .distance import LEAST
from .sides import Sides, over_groups

K = 5


def neighbourhood(sides: Sides, encoder: str, *, seed: int) -> list[Finding]:
    """Four findings, each beside the same of real tiles of other patients."""
    names = ("precision", "recall", "density", "coverage")
    k = K
    if min(len(sides.real), len(sides.made)) < LEAST:
        n = min(len(sides.real), len(sides.made))
        why = untold(f"{n} tiles of one side; give at least {LEAST} of each", n=n)
        return [Finding(f"{name}_{encoder}", why, "high") for name in names]
    found = prdc(sides.real, sides.made, k)
    floors = [
        prdc(two, one, k)
        for one, two in sides.floors(len(sides.made), seed=seed)
        if min(len(one), len(two)) > k
    ]
    out = []
    for name in names:
        whose = sides.patients[1] if name in ("precision", "density") else sides.patients[0]
        over = mean_over if name == "density" else share_over
        value = over(getattr(found, name), whose, seed=seed)
        each = np.array([getattr(floor, name).mean() for floor in floors])
        note = f"balls to neighbour {k}; the interval takes the balls as given"
        if sides.other is None:
            note += "; the floor is of half as many tiles, which moves it"
        if not len(each):
            out.append(Finding(f"{name}_{encoder}", value, "high", note=note))
            continue
        floor = over_groups(each, len(sides.made), sides)
        ratio = None
        if floor.value > 0:
            middle, low, high = (end / floor.value for end in (value.value, value.low, value.high))
            ratio = Estimate(middle, low, high, value.n, value.interval, value.reason, "", value.groups)
        out.append(Finding(f"{name}_{encoder}", value, "high", floor, ratio, note=note))
    return out
