"""A few appearances that represent many: what a bundle offers when the user brings none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .appearance import Appearance

_USUAL_SHARE = 0.9
"""Share of the appearances nearest to the medoid that can be chosen."""


def choose_palette(
    appearances: Sequence[Appearance],
    count: int,
) -> list[int]:
    """Indices of `count` appearances: the medoid, then repeatedly the one farthest from all chosen.

    Distances are Euclidean in standardised log scale and style. The tenth of the appearances that
    is farthest from the medoid is left out, so that the palette holds usual stains and no outliers.
    """
    coordinates = [_coordinates(appearance) for appearance in appearances]
    rows = np.array(coordinates)
    spread = rows.std(0).clip(1e-6)
    mean = rows.mean(0)
    centred = rows - mean
    rows = centred / spread
    differences = rows[:, None] - rows[None]
    distances = np.linalg.norm(differences, axis=2)
    totals = distances.sum(1)
    medoid = int(totals.argmin())
    to_medoid = distances[medoid]
    limit = np.quantile(to_medoid, _USUAL_SHARE)
    usual = to_medoid <= limit
    available = int(usual.sum())
    chosen = [medoid]
    target = min(count, available)
    while len(chosen) < target:
        to_nearest_chosen = distances[:, chosen].min(1)
        candidates = np.where(usual, to_nearest_chosen, -1)
        farthest = int(candidates.argmax())
        chosen.append(farthest)
    return chosen


def _coordinates(appearance: Appearance) -> list[float]:
    log_scale = np.log(appearance.frame.scale)
    return [*log_scale, *appearance.style]
