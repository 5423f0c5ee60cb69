"""Training stopped when it begins to copy: `train` paints, a judge looks, and neither knows the
other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.tile import Pixels
from ..metrics.copying.conclude import LEAST_SCORES, bar_of
from ..metrics.copying.register import Library, texture
from ..metrics.copying.search import find_matches
from ..metrics.sample import Sample, TileMeasurements
from ..model.bundle import Bundle
from ..training.data.sources import Example
from ..training.tasks.diffusion.batches import Batch
from ..training.tasks.diffusion.painting import Paint

MOST = 256
"""Training tiles that a look searches; of more, others at each look."""


class CopyGuard:
    """Looks each validation's pictures up in the training tiles.

    Args:
        paint: makes a validation's pictures; whole tiles are looked at, not mended ones.
        train: training tiles.
        held_out: tiles of other patients; how alike they are to training by chance says what is
            suspect.
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
        self.paint_plainly = paint
        self.max_share = max_share
        self.mpp = train[0].tile.ref.mpp
        self.train = train
        self.held_out = held_out
        self.pictures: list[Pixels] = []
        self.side = 0
        self._bar: float | None = None

    def paint(self, bundle: Bundle, batch: Batch) -> list[Pixels]:
        """Paint, and remember whole tiles for the next look."""
        pictures = self.paint_plainly(bundle, batch)
        if bool((batch.maps.mask > 0).all()):
            self.pictures = pictures
            self.side = pictures[0].shape[0]
        return pictures

    def __call__(self, step: int, numbers: Mapping[str, float]) -> str | None:
        """A sentence where more than the allowed share of the last pictures are suspected
        copies.
        """
        if not self.pictures:
            return None
        library, owners = self._searched(step)
        if self._bar is None:
            self._bar = self._bar_of(library, owners)
        bar = self._bar
        scores = self._scores(self.pictures, library, owners)
        told = scores[np.isfinite(scores)]
        if not np.isfinite(bar) or not len(told):
            return None
        suspected = int((told > bar).sum())
        if suspected <= self.max_share * len(told):
            return None
        return (
            f"at step {step} {suspected} of {len(told)} validation pictures are suspected "
            "copies of training "
            f"tiles (largest correlation {told.max():.2f}, bar {bar:.2f}): look at the last "
            "of pictures/"
        )

    def _searched(self, step: int) -> tuple[Library, list[str]]:
        """The training tiles that this look searches, and whose they are."""
        rows = np.arange(len(self.train))
        if len(rows) > MOST:
            rows = np.random.default_rng(step).choice(rows, MOST, replace=False)
        tiles = [self.train[int(row)] for row in rows]
        # in the stain they were trained in, or any: the search does not look at stain
        textures = [texture(each.tile.pixels, self.mpp) for each in tiles]
        tall, wide = (max(each.shape[axis] for each in textures) for axis in (0, 1))
        library = Library(textures, self.side * self.mpp, (tall, wide))
        return library, [each.tile.ref.patient for each in tiles]

    def _bar_of(self, library: Library, owners: Sequence[str]) -> float:
        """How alike tissue of other patients is by chance; nan where there are too few tiles to
        tell.
        """
        cuts = ((self._cut(each), each.tile.ref.patient) for each in (*self.held_out, *self.train))
        kept = [(cut, who) for cut, who in cuts if cut is not None][:48]
        scores = self._scores(
            [cut for cut, _ in kept],
            library,
            owners,
            [who for _, who in kept],
        )
        return bar_of(scores) if np.isfinite(scores).sum() >= LEAST_SCORES else float("nan")

    def _cut(self, example: Example) -> Pixels | None:
        """The middle of a tile, of the pictures' size."""
        height, width = example.tile.pixels.shape[:2]
        if min(height, width) < self.side:
            return None
        y = (height - self.side) // 2
        x = (width - self.side) // 2
        return example.tile.pixels[y : y + self.side, x : x + self.side]

    def _scores(
        self,
        pictures: Sequence[Pixels],
        library: Library,
        owners: Sequence[str],
        whose: Sequence[str] = (),
    ) -> NDArray[np.float64]:
        """Largest correlation of each picture with training tiles of other patients."""
        seen = [
            TileMeasurements(
                str(row),
                whose[row] if whose else "",
                "",
                {"copy/texture": texture(each, self.mpp)},
            )
            for row, each in enumerate(pictures)
        ]
        found = find_matches(
            Sample(tuple(seen)),
            library,
            owners,
            apart=bool(whose),
        )
        return np.array([float(tile.values["copy/match"][0]) for tile in found.tiles])
