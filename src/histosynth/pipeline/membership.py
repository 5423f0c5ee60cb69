"""Was a tile trained on? A bundle's loss on training crops and on unseen ones."""

from __future__ import annotations

from ..core.errors import HistosynError
from ..core.progress import Tick
from ..evaluation.inputs.config import Opened
from ..evaluation.inputs.items import read_items, spread_over
from ..metrics.finding import Section
from ..metrics.membership import judge_membership
from ..metrics.tile_measures import recoded
from ..model.bundle import Bundle
from ..training.membership import tile_losses

MEMBERS = 128
"""Tiles of each side whose loss is measured."""


def membership(opened: Opened, tick: Tick | None = None, *, bundle: Bundle, seed: int) -> Section:
    """The bundle's loss on training crops and on unseen ones, as a section of the report."""
    kinds = bundle.info.kinds
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
            read_items(some, opened.plan.kinds, dict(opened.plan.mapping)),
            strict=True,
        ):
            if isinstance(found, HistosynError):  # told among the refused tiles
                continue
            pixels, nuclei = found
            fits = nuclei is not None and set(nuclei.kinds) <= set(kinds)
            tiles.append((pixels, recoded(nuclei, kinds) if nuclei is not None and fits else None))
            whose.append(item.patient)

        def told(done: int, _: int, before: int = before) -> None:
            if tick:
                tick(before + done, total)

        losses.append(tile_losses(bundle, tiles, tick=told))
        patients.append(whose)
    return judge_membership(
        losses[0],
        losses[1],
        patients=(patients[0], patients[1]),
        seed=seed,
    )
