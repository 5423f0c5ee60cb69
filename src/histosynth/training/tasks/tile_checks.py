"""Opening a recipe's tiles, and the checks of them that several tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...core.errors import BadRecipe
from ...core.paths import real_path
from ...preparation.split import split_patients
from ..data.sources import Example, open_source, refuse_leaks
from ..recipes.data import DataPlan
from ..recipes.tiles import TileSource

PROBE_PX = 256
"""Side of the held-out crops that are measured, where all tiles are that large."""
MIN_PROBE_PX = 64


def open_examples(data: DataPlan, base_folder: Path) -> tuple[list[Example], list[Example]]:
    """Training and validation tiles.

    Raises:
        BadRecipe: a side holds no tile, or too few patients are known to hold some out.
        SplitLeak: a patient has tiles on both sides.
    """
    train = _open_sources(data.train, data, base_folder)
    if data.validation:
        held_out = _open_sources(data.validation, data, base_folder)
    else:
        train, held_out = _hold_out_patients(train, data.held_out)
    for name, examples in (("training", train), ("validation", held_out)):
        if not examples:
            raise BadRecipe("[data]", [f"its {name} sources hold no tile"])
    refuse_leaks(train, held_out)
    return train, held_out


def _hold_out_patients(
    examples: Sequence[Example],
    share: float,
) -> tuple[list[Example], list[Example]]:
    """Training and validation tiles of one side: a share of the patients, at least one, validates.

    Tiles of unknown patients are trained on.

    Raises:
        BadRecipe: fewer than two patients are known.
    """
    known = [example for example in examples if example.tile.ref.has_patient]
    label_of_patient = {example.patient: example.label for example in known}
    if len(label_of_patient) < 2:
        problem = f"its training sources name {len(label_of_patient)} patient(s), so none is left"
        raise BadRecipe("[data]", [f"{problem} for validation; name [[data.validation]]"])
    shares = {
        "train": 1 - share,
        "held_out": share,
    }
    sides = split_patients(label_of_patient, shares)
    train = []
    held_out = []
    for example in examples:
        if sides.get(example.patient) == "held_out":
            held_out.append(example)
        else:
            train.append(example)
    return train, held_out


def _open_sources(
    sources: Sequence[TileSource],
    data: DataPlan,
    base_folder: Path,
) -> list[Example]:
    root = real_path(base_folder / data.root)
    examples: list[Example] = []
    for source in sources:
        examples += open_source(
            source,
            root=root,
            mpp=data.mpp,
            classes=data.classes,
        )
    return examples


def refuse_no_share(task: str, train: Sequence[Example]) -> None:
    """Refuse training tiles that are all drawn with share 0."""
    if not any(example.share for example in train):
        raise BadRecipe(task, [f"share is 0 for all of its {len(train)} training tiles"])


def refuse_small_tiles(
    task: str,
    examples: Sequence[Example],
    min_px: int,
    reason: str,
) -> None:
    """Refuse tiles with a side below `min_px`; `reason` says what needs that size."""
    small = [example for example in examples if min(example.tile.size) < min_px]
    if small:
        counted = count_and_first(small, examples)
        raise BadRecipe(task, [f"{counted} are smaller than {min_px} px ({reason})"])


def count_and_first(part: Sequence[Example], whole: Sequence[Example]) -> str:
    """How many tiles of how many, and the first one's name and size, for a message."""
    width, height = part[0].tile.size
    first = f"{part[0].tile.ref.slide} of {width} x {height} px"
    return f"{len(part)} of {len(whole)} tiles, first {first},"


def probe_side(sides: Sequence[int], grid: int) -> int:
    """Side of the square that is cut from each held-out tile: 256 px, or what the smallest has."""
    return min(PROBE_PX, *sides) // grid * grid
