"""The pictures of a demo: tiles in several stains, damage, and completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.condition import Condition, Context
from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.progress import ProgressCallback
from ..core.synthetic import Synthetic
from ..model.bundle import Bundle
from ..sampling.complete import complete
from ..sampling.settings import default_settings
from ..sampling.synthesize import synthesize
from ..tissue.masks import SHAPES

SIZE = Size(256, 256)
MAX_STAINS = 4
MASK_SHAPES = ("blob", "tear", "strokes", "fold")


@dataclass(frozen=True)
class DemoPictures:
    """Everything a demo shows.

    Attributes:
        nuclei: the layout.
        tiles: synthesized from it, one a stain.
        damaged: the tiles with a masked region each.
        completed: the damaged tiles, completed.
    """

    nuclei: Nuclei
    tiles: Sequence[Synthetic]
    damaged: Sequence[Condition]
    completed: Sequence[Synthetic]

    def results(self) -> list[Synthetic]:
        """The tiles, then the completed tiles."""
        return [*self.tiles, *self.completed]


def synthesize_tiles(
    bundle: Bundle,
    nuclei: Nuclei,
    seed: int,
    on_progress: ProgressCallback | None,
) -> list[Synthetic]:
    """A tile of the nuclei in each of the palette's first stains."""
    appearances = [entry.appearance for entry in bundle.info.palette[:MAX_STAINS]]
    pictures = synthesize(
        bundle,
        [Condition(nuclei, SIZE)] * len(appearances),
        appearances,
        seed=seed,
        variants=1,
        settings=default_settings(bundle, "synthesize"),
        batch=MAX_STAINS,
        on_progress=on_progress,
    )
    in_order = sorted(pictures, key=lambda each: each[0])
    return [picture for _, _, picture in in_order]


def damage_tiles(tiles: Sequence[Synthetic], nuclei: Nuclei, seed: int) -> list[Condition]:
    """Each tile with a mask of another shape."""
    random = np.random.default_rng(seed)
    damaged = []
    for tile, shape in zip(tiles, MASK_SHAPES, strict=False):
        mask = SHAPES[shape](random, SIZE.height, SIZE.width)
        context = Context(tile.pixels.copy(), mask)
        damaged.append(Condition(nuclei, SIZE, None, context))
    return damaged


def complete_tiles(
    bundle: Bundle,
    damaged: Sequence[Condition],
    seed: int,
    on_progress: ProgressCallback | None,
) -> list[Synthetic]:
    """The damaged tiles, completed."""
    pictures = complete(
        bundle,
        damaged,
        seed=seed,
        settings=default_settings(bundle, "complete"),
        batch=MAX_STAINS,
        on_progress=on_progress,
    )
    return [picture for _, picture in sorted(pictures, key=lambda each: each[0])]
