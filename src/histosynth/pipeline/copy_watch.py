"""Training stopped when it begins to copy: `train` paints, a judge looks, and neither knows the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.tile import Pixels
from ..evaluate.copying import Library, find_matches
from ..evaluate.copying.judge import LEAST_SCORES, bar_of
from ..evaluate.copying.register import texture
from ..evaluate.sample import Sample, Seen
from ..model.bundle import Bundle
from ..prepare.sources import Example
from ..train.diffusion import Batch, Paint

MOST = 96
"""Training tiles that are searched, evenly over all of them: as many as a look may cost."""


class CopyWatch:
    """Looks each validation's pictures up in the training tiles.

    Args:
        paint: makes a validation's pictures; whole tiles are looked at, not mended ones.
        train: training tiles.
        held_out: tiles of other patients; how alike they are to training by chance says what is suspect.
        limit: share of pictures that may be suspected copies.
    """

    def __init__(
        self, paint: Paint, train: Sequence[Example], held_out: Sequence[Example], *, limit: float
    ) -> None:
        self.paint_plainly, self.limit = paint, limit
        self.mpp = train[0].tile.ref.mpp
        rows = np.unique(np.linspace(0, len(train) - 1, min(len(train), MOST)).round().astype(int))
        self.tiles = [train[row] for row in rows]
        self.held_out = held_out
        self.pictures: list[Pixels] = []
        self.side = 0
        self._library: tuple[Library, list[str], float] | None = None

    def paint(self, bundle: Bundle, batch: Batch) -> list[Pixels]:
        """Paint, and remember whole tiles for the next look."""
        pictures = self.paint_plainly(bundle, batch)
        if bool((batch.maps.hole > 0).all()):
            self.pictures, self.side = pictures, pictures[0].shape[0]
        return pictures

    def __call__(self, step: int, numbers: Mapping[str, float]) -> str | None:
        """A sentence where more than the allowed share of the last pictures are suspected copies."""
        if not self.pictures:
            return None
        library, owners, bar = self._opened()
        scores = self._scores(self.pictures, library, owners)
        told = scores[np.isfinite(scores)]
        if not np.isfinite(bar) or not len(told):
            return None
        suspected = int((told > bar).sum())
        if suspected <= self.limit * len(told):
            return None
        return (
            f"at step {step} {suspected} of {len(told)} validation pictures are suspected copies of training "
            f"tiles (largest correlation {told.max():.2f}, bar {bar:.2f}); the best weights stand in best/"
        )

    def _opened(self) -> tuple[Library, list[str], float]:
        if self._library is None:
            # in the stain they were trained in, or any: the search does not look at stain
            textures = [texture(each.tile.pixels, self.mpp) for each in self.tiles]
            tall, wide = (max(each.shape[axis] for each in textures) for axis in (0, 1))
            library = Library(textures, self.side * self.mpp, (tall, wide))
            owners = [each.tile.ref.patient for each in self.tiles]
            cuts = [self._cut(each) for each in (*self.held_out, *self.tiles)]
            whose = [each.tile.ref.patient for each in (*self.held_out, *self.tiles)]
            kept = [(cut, who) for cut, who in zip(cuts, whose, strict=True) if cut is not None][:48]
            null = self._scores([cut for cut, _ in kept], library, owners, [who for _, who in kept])
            enough = np.isfinite(null).sum() >= LEAST_SCORES
            self._library = library, owners, bar_of(null) if enough else float("nan")
        return self._library

    def _cut(self, example: Example) -> Pixels | None:
        """The middle of a tile, of the pictures' size."""
        height, width = example.tile.pixels.shape[:2]
        if min(height, width) < self.side:
            return None
        y, x = (height - self.side) // 2, (width - self.side) // 2
        return example.tile.pixels[y : y + self.side, x : x + self.side]

    def _scores(
        self, pictures: Sequence[Pixels], library: Library, owners: Sequence[str], whose: Sequence[str] = ()
    ) -> NDArray[np.float64]:
        """Largest correlation of each picture with training tiles of other patients."""
        seen = [
            Seen(str(row), whose[row] if whose else "", "", {"copy/texture": texture(each, self.mpp)})
            for row, each in enumerate(pictures)
        ]
        found = find_matches(Sample(tuple(seen)), library, owners, apart=bool(whose))
        return np.array([float(tile.values["copy/match"][0]) for tile in found.tiles])
