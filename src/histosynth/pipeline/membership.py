"""Was a tile trained on? A bundle's loss on training crops and on unseen ones."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.errors import HistosynthError
from ..core.nuclei import Nuclei
from ..core.progress import ProgressCallback
from ..core.tile import Pixels
from ..evaluation.inputs.items import Item, read_items, spread_over
from ..evaluation.inputs.opening import OpenedInputs
from ..metrics.finding import Section
from ..metrics.membership import conclude_membership
from ..metrics.nuclei_classes import with_classes
from ..model.bundle import Bundle
from ..training.membership import tile_losses

MAX_TILES_PER_SIDE = 128
"""Tiles of each side whose loss is measured."""
_Tile = tuple[Pixels, Nuclei | None]


def membership(
    opened: OpenedInputs,
    on_progress: ProgressCallback | None = None,
    *,
    bundle: Bundle,
    seed: int,
) -> Section:
    """The bundle's loss on training crops and on unseen ones, as a section of the report."""
    sides = []
    for collection in (opened.reference, opened.real):
        if collection is not None:
            sides.append(spread_over(collection.items, MAX_TILES_PER_SIDE))
    total = sum(len(side) for side in sides)
    losses = []
    patients = []
    done = 0
    for side in sides:
        tiles, owners = _readable(side, opened, bundle.info.classes)
        shifted = _shifted(on_progress, done, total)
        losses.append(tile_losses(bundle, tiles, on_progress=shifted))
        patients.append(owners)
        done = len(sides[0])
    return conclude_membership(
        losses[0],
        losses[1],
        patients=(patients[0], patients[1]),
        seed=seed,
    )


def _readable(
    items: Sequence[Item],
    opened: OpenedInputs,
    classes: Sequence[str],
) -> tuple[list[_Tile], list[str]]:
    """Tiles that can be read, with nuclei where the bundle has their classes; and their patients.

    Unreadable tiles are reported with the refused tiles of the metrics.
    """
    settings = opened.measurement
    tiles: list[_Tile] = []
    patients = []
    read = read_items(
        items,
        settings.classes,
        dict(settings.mapping),
    )
    for item, found in zip(items, read, strict=True):
        if isinstance(found, HistosynthError):
            continue
        pixels, nuclei = found
        tiles.append((pixels, _in_classes(nuclei, classes)))
        patients.append(item.patient)
    return tiles, patients


def _in_classes(nuclei: Nuclei | None, classes: Sequence[str]) -> Nuclei | None:
    """The nuclei in these classes; None where they have another class."""
    if nuclei is None or not set(nuclei.classes) <= set(classes):
        return None
    return with_classes(nuclei, classes)


def _shifted(
    on_progress: ProgressCallback | None,
    before: int,
    total: int,
) -> ProgressCallback:
    """A callback for one side of the whole."""

    def report(done: int, _: int) -> None:
        if on_progress:
            on_progress(before + done, total)

    return report
