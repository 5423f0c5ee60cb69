"""A handful of appearances that stand for many: what a bundle offers when the user brings none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .appearance import Appearance


def choose_palette(appearances: Sequence[Appearance], count: int) -> list[int]:
    """Indices of `count` appearances: the medoid first, then each time the one farthest from all
    taken.

    Distances are Euclidean in standardised log scale and style. Extreme tenths by distance from the
    medoid are passed over, so that the palette shows usual stains and not the oddest tiles.
    """
    rows = np.array([[*np.log(one.frame.scale), *one.style] for one in appearances])
    rows = (rows - rows.mean(0)) / rows.std(0).clip(1e-6)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    first = int(apart.sum(1).argmin())
    usual = apart[first] <= np.quantile(apart[first], 0.9)
    chosen = [first]
    while len(chosen) < min(count, int(usual.sum())):
        nearest = np.where(usual, apart[:, chosen].min(1), -1)
        chosen.append(int(nearest.argmax()))
    return chosen
