"""Looking tiles up in a library of training tiles."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..neighbours import nearest
from ..sample import Sample, TileMeasurements
from .register import Library

WHOLE = 128
"""Libraries of up to so many tiles are searched whole; of larger ones the nearest in features
are."""
SHORTLIST = 64


def find_matches(
    sample: Sample,
    library: Library,
    owners: Sequence[Hashable],
    *,
    crops: tuple[NDArray[np.float64], NDArray[np.intp]] | None = None,
    apart: bool = False,
    on_progress: Callable[[], None] | None = None,
) -> Sample:
    """Each tile with `copy/match` (6,): score, training tile, pose, x and y (um), window; nan for
    none.

    Args:
        sample: with `copy/texture`, and `embed/features` where the library is large.
        library: the training tiles.
        owners: patient of each training tile.
        crops: features (C, D) of crops of the training tiles, and whose tile each is (C,); needed
            for a library of more than `WHOLE` tiles.
        apart: leave out training tiles of the tile's own patient (for training tiles looked up
            themselves).
        on_progress: called after each tile.
    """
    allowed = np.arange(len(library))
    out: list[TileMeasurements] = []
    for tile in sample.tiles:
        among = allowed
        if apart:
            among = np.array(
                [row for row in range(len(library)) if owners[row] != tile.patient], np.intp
            )
        if len(among) > WHOLE and crops is not None and "embed/features" in tile.values:
            features = np.asarray(tile.values["embed/features"], np.float64)[None]
            _, rows = nearest(features, crops[0], many=8 * SHORTLIST)
            order = list(dict.fromkeys(int(crops[1][row]) for row in rows[0]))
            kept = set(among.tolist())
            among = np.array([row for row in order if row in kept][:SHORTLIST], np.intp)
        match = (
            library.find(np.asarray(tile.values["copy/texture"], np.float32), among)
            if len(among)
            else None
        )
        found = np.full(6, np.nan)
        if match is not None:
            found = np.array([match.score, match.tile, match.pose, match.x, match.y, match.window])
        out.append(
            TileMeasurements(
                tile.name,
                tile.patient,
                tile.label,
                {**tile.values, "copy/match": found},
            )
        )
        if on_progress:
            on_progress()
    return Sample(tuple(out))
