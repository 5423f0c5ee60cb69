"""Searches for tiles in a library of training tiles."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import astuple, replace

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ..neighbours import nearest_rows
from ..sample import Sample, TileMeasurements
from .register import Library, Match

MAX_SEARCHED_WHOLE = 128
"""Libraries of up to so many tiles are searched whole; of larger ones the `SHORTLIST` nearest in
features."""
SHORTLIST = 64
MATCH = "copy/match"
TISSUE_MATCH = "copy/tissue_match"
MATCH_VALUES = 8
"""Fields of `Match`, in their order."""


def find_matches(
    sample: Sample,
    library: Library,
    owners: Sequence[Hashable],
    *,
    crops: tuple[Float64Array, IndexArray] | None = None,
    exclude_own_patient: bool = False,
    on_progress: Callable[[], None] | None = None,
) -> Sample:
    """Each tile with two places of the training tissue, nan where nothing matched.

    `copy/match` (8,) is the most alike place: score, training tile, pose, x and y (um), window, and
    the correlations after alignment, whole and beyond the layout of nuclei. `copy/tissue_match`
    (8,) is the place where the lower of these two is highest.

    Args:
        sample: with `copy/texture`, and `embed/features` where the library is large.
        library: the training tiles.
        owners: patient of each training tile.
        crops: features (C, D) of crops of the training tiles, and the training tile (C,) of each
            crop; needed for a library of more than `MAX_SEARCHED_WHOLE` tiles.
        exclude_own_patient: leave out training tiles of the tile's own patient (for training tiles
            that are searched for themselves).
        on_progress: called after each tile.
    """
    out: list[TileMeasurements] = []
    for tile in sample.tiles:
        candidates = np.arange(len(library))
        if exclude_own_patient:
            others = [row for row, owner in enumerate(owners) if owner != tile.patient]
            candidates = np.array(others, np.intp)
        if len(candidates) > MAX_SEARCHED_WHOLE and crops is not None:
            candidates = _shortlist(tile, candidates, crops)
        texture = np.asarray(tile.values["copy/texture"], np.float32)
        places = library.find_places(texture, candidates, owners)
        best = max(places, key=lambda place: place.score, default=None)
        tissue = max(places, key=lambda place: place.likeness, default=None)
        values = {
            **tile.values,
            MATCH: _as_row(best),
            TISSUE_MATCH: _as_row(tissue),
        }
        out.append(replace(tile, values=values))
        if on_progress:
            on_progress()
    return Sample(tuple(out))


def _shortlist(
    tile: TileMeasurements,
    candidates: IndexArray,
    crops: tuple[Float64Array, IndexArray],
) -> IndexArray:
    """The candidates with the crops nearest in features; all where the tile has no features."""
    if "embed/features" not in tile.values:
        return candidates
    features = np.asarray(tile.values["embed/features"], np.float64)[None]
    crop_features, crop_tiles = crops
    _, rows = nearest_rows(
        features,
        crop_features,
        count=8 * SHORTLIST,
    )
    nearest_first = dict.fromkeys(int(crop_tiles[row]) for row in rows[0])
    allowed = set(candidates.tolist())
    kept = [row for row in nearest_first if row in allowed]
    return np.array(kept[:SHORTLIST], np.intp)


def _as_row(match: Match | None) -> Float64Array:
    if match is None:
        return np.full(MATCH_VALUES, np.nan)
    return np.array(astuple(match), np.float64)
