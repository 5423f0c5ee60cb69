"""A guard that stops training when validation pictures begin to be copies of training tiles.

It is part of the pipeline because training does not import the copy search, and the search does not
import models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float64Array
from ..core.tile import Pixels
from ..metrics.copying.register import Library, texture
from ..metrics.copying.search import find_matches
from ..metrics.copying.suspects import bar_of, why_no_bar
from ..metrics.copying.words import suspected_copies
from ..metrics.sample import Sample, TileMeasurements
from ..model.bundle import Bundle
from ..training.data.crops import Batch
from ..training.data.sources import Example
from ..training.tasks.painting import Paint

MAX_SEARCHED_TILES = 256
"""Training tiles that one validation searches; of more, a random choice that changes with the
step."""
MAX_BAR_TILES = 48
"""Real tiles whose correlations with other patients' tissue set the bar."""


@dataclass(frozen=True, eq=False)
class SearchedTiles:
    """Training tiles ready to be searched, and the patient of each."""

    library: Library
    patients: list[str]


class CopyGuard:
    """Searches each validation's pictures in the training tiles.

    Args:
        paint: samples a validation's pictures. Whole tiles are searched, not completed ones.
        train: training tiles.
        held_out: tiles of other patients; how much they resemble training tiles by chance sets the
            bar for a suspected copy.
        max_share: share of pictures that may be suspected copies.
    """

    def __init__(
        self,
        paint: Paint,
        train: Sequence[Example],
        held_out: Sequence[Example],
        *,
        max_share: float,
    ) -> None:
        self.sample_pictures = paint
        self.max_share = max_share
        self.mpp = train[0].tile.ref.mpp
        self.train = train
        self.held_out = held_out
        self.pictures: list[Pixels] = []
        self.side = 0
        self._chance: Float64Array | None = None

    def paint(self, bundle: Bundle, batch: Batch) -> list[Pixels]:
        """Sample pictures, and keep whole tiles for the next check."""
        pictures = self.sample_pictures(bundle, batch)
        if bool((batch.maps.mask > 0).all()):
            self.pictures = pictures
            self.side = pictures[0].shape[0]
        return pictures

    def __call__(self, step: int, numbers: Mapping[str, float]) -> str | None:
        """The reason to stop: more than the allowed share of the last pictures are suspected
        copies, or no copy could be distinguished. Too little tissue to set a bar stops nothing.
        """
        if not self.pictures:
            return None
        searched = self._searched_tiles(step)
        if self._chance is None:
            self._chance = self._scores_by_chance(searched)
        bar = bar_of(self._chance)
        if not math.isfinite(bar):
            return None
        unusable = why_no_bar(bar, self._chance)
        if unusable:
            return f"at step {step} copies of training tiles cannot be found: {unusable}"
        scores = self._scores(self.pictures, searched)
        scores = scores[np.isfinite(scores)]
        if not len(scores):
            return None
        suspected = int((scores > bar).sum())
        if suspected <= self.max_share * len(scores):
            return None
        counted_copies = suspected_copies(suspected, len(scores), "validation picture")
        numbers_found = f"largest correlation {scores.max():.2f}, bar {bar:.2f}"
        return (
            f"at step {step} {counted_copies} of training tiles ({numbers_found}): "
            "look at the last of pictures/"
        )

    def _searched_tiles(self, step: int) -> SearchedTiles:
        """The training tiles that the validation after this step searches."""
        rows = np.arange(len(self.train))
        if len(rows) > MAX_SEARCHED_TILES:
            random = np.random.default_rng(step)
            rows = random.choice(rows, MAX_SEARCHED_TILES, replace=False)
        tiles = [self.train[int(row)] for row in rows]
        # their own stain or any other: the search compares texture only
        textures = [texture(tile.pixels, self.mpp) for tile in tiles]
        largest_height = max(each.shape[0] for each in textures)
        largest_width = max(each.shape[1] for each in textures)
        shape = (largest_height, largest_width)
        library = Library(textures, self.side * self.mpp, shape)
        return SearchedTiles(library, [tile.patient for tile in tiles])

    def _scores_by_chance(self, searched: SearchedTiles) -> Float64Array:
        """Correlations of tissue with training tiles of other patients; NaN without contrast."""
        crops: list[Pixels] = []
        patients: list[str] = []
        for example in (*self.held_out, *self.train):
            crop = self._central_crop(example)
            if crop is not None:
                crops.append(crop)
                patients.append(example.patient)
        return self._scores(
            crops[:MAX_BAR_TILES],
            searched,
            patients[:MAX_BAR_TILES],
        )

    def _central_crop(self, example: Example) -> Pixels | None:
        """The middle of a tile, as large as the pictures; None where it is smaller."""
        pixels = example.pixels
        height, width = pixels.shape[:2]
        if min(height, width) < self.side:
            return None
        y = (height - self.side) // 2
        x = (width - self.side) // 2
        return pixels[y : y + self.side, x : x + self.side]

    def _scores(
        self,
        pictures: Sequence[Pixels],
        searched: SearchedTiles,
        patients: Sequence[str] = (),
    ) -> Float64Array:
        """Largest correlation of each picture with a training tile; NaN for one without contrast.

        Args:
            pictures: (H, W, 3) uint8.
            searched: the training tiles.
            patients: of the pictures, whose own tiles are left out; empty: none are.
        """
        measured = []
        for row, picture in enumerate(pictures):
            patient = patients[row] if patients else ""
            values = {"copy/texture": texture(picture, self.mpp)}
            measured.append(
                TileMeasurements(
                    str(row),
                    patient,
                    "",
                    values,
                )
            )
        found = find_matches(
            Sample(tuple(measured)),
            searched.library,
            searched.patients,
            exclude_own_patient=bool(patients),
        )
        return np.array([float(tile.values["copy/match"][0]) for tile in found.tiles])
