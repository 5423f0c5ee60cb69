"""Labels with few tiles or patients: how tiles are drawn, and the data sheet that counts them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from ...core.store import write_json, write_text
from ..data.sources import Example
from ..recipes.rare_labels import RareLabelOptions
from .data_sheet import counted_tiles, data_sheet, sheet_markdown
from .patient_table import read_patient_traits
from .weights import draws_by_label, draws_markdown, refuse_rare, shares_by_label


class TrainingSides(Protocol):
    """Training and validation tiles."""

    @property
    def train(self) -> Sequence[Example]:
        """Tiles that give gradients."""

    @property
    def held_out(self) -> Sequence[Example]:
        """Tiles of other patients."""


def balance_examples(examples: Sequence[Example], options: RareLabelOptions) -> list[Example]:
    """The same tiles, with the shares that `options.balance` gives.

    Raises:
        BadRecipe: a label has fewer patients than `options.min_patients`, and none may.
    """
    labels = [example.label for example in examples]
    patients = [example.patient for example in examples]
    refuse_rare(
        labels,
        patients,
        options.min_patients,
        options.allow_rare,
        key="rare_labels.allow_rare",
    )
    shares = shares_by_label(
        labels,
        [example.share for example in examples],
        strength=options.balance,
    )
    balanced = []
    for example, share in zip(examples, shares, strict=True):
        balanced.append(replace(example, share=float(share)))
    return balanced


def write_data_sheet(
    options: RareLabelOptions,
    base_folder: Path,
    run: Path,
    sides: TrainingSides,
) -> None:
    """Write `datasheet.json` and `datasheet.md`: counts of patients and tiles, and how often each
    label is drawn.

    Raises:
        BadTable: the recipe's table of patients cannot be read.
        SplitLeak: a patient is on both sides.
    """
    traits = None
    if options.table:
        traits = read_patient_traits(base_folder / options.table)
    tiles = counted_tiles(sides.train, "train")
    tiles += counted_tiles(sides.held_out, "validation")
    sheet = data_sheet(
        tiles,
        traits,
        private=options.private,
    )
    draws = draws_by_label(
        [example.label for example in sides.train],
        [example.patient for example in sides.train],
        [example.share for example in sides.train],
    )
    rows = [row.as_dict() for row in draws]
    write_json(run / "datasheet.json", {**sheet, "draws": rows})
    write_text(run / "datasheet.md", f"{sheet_markdown(sheet)}\n{draws_markdown(draws)}")
