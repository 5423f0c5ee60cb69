"""Was a tile trained on? A bundle's loss on training crops and on unseen ones."""

from __future__ import annotations

from ..core.errors import HistosynthError
from ..core.progress import ProgressCallback
from ..evaluation.inputs.config import OpenedInputs
from ..evaluation.inputs.items import read_items, spread_over
from ..metrics.finding import Section
from ..metrics.membership import conclude_membership
from ..metrics.nuclei_classes import with_classes
from ..model.bundle import Bundle
from ..training.membership import tile_losses

MEMBERS = 128
"""Tiles of each side whose loss is measured."""


def membership(
    opened: OpenedInputs, on_progress: ProgressCallback | None = None, *, bundle: Bundle, seed: int
) -> Section:
    """The bundle's loss on training crops and on unseen ones, as a section of the report."""
    classes = bundle.info.classes
    losses = []
    patients = []
    both = [each for each in (opened.reference, opened.real) if each is not None]
    sides = [spread_over(each.items, MEMBERS) for each in both]
    total = sum(map(len, sides))
    for place, some in enumerate(sides):
        before = len(sides[0]) if place else 0
        tiles = []
        whose = []
        for item, found in zip(
            some,
            read_items(some, opened.plan.classes, dict(opened.plan.mapping)),
            strict=True,
        ):
            if isinstance(found, HistosynthError):  # told among the refused tiles
                continue
            pixels, nuclei = found
            fits = nuclei is not None and set(nuclei.classes) <= set(classes)
            tiles.append(
                (pixels, with_classes(nuclei, classes) if nuclei is not None and fits else None)
            )
            whose.append(item.patient)

        def told(done: int, _: int, before: int = before) -> None:
            if on_progress:
                on_progress(before + done, total)

        losses.append(tile_losses(bundle, tiles, on_progress=told))
        patients.append(whose)
    return conclude_membership(
        losses[0],
        losses[1],
        patients=(patients[0], patients[1]),
        seed=seed,
    )
