"""Fairness to labels of which there is little: how tiles are drawn, and the data sheet that counts
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ...core.store import write_json, write_text
from ..data.sources import Example
from .data_sheet import counted, data_sheet, sheet_markdown
from .patient_table import read_patient_traits
from .weights import draws_by_label, draws_markdown, refuse_rare, shares_by_label


@dataclass(frozen=True)
class RareLabelOptions:
    """The `[rare_labels]` table of a recipe: labels with few tiles or patients."""

    balance: float = 0.0
    """0: tiles are drawn with the shares of their sources; 1: each label as often as any other."""
    min_patients: int = 3
    """Patients that a label must have; a model of fewer learns them, not the label."""
    allow_rare: bool = False
    """Train on labels with fewer patients all the same."""
    table: str = ""
    """CSV with the column patient and any of sex, ancestry, site, age: what the data sheet
    counts."""
    private: bool = False
    """Leave out counts of fewer than five patients."""

    def __post_init__(self) -> None:
        if not 0 <= self.balance <= 1 or self.min_patients < 1:
            raise ValueError("balance must lie in [0, 1], min_patients be at least 1")


class Sides(Protocol):
    """Training and validation tiles."""

    @property
    def train(self) -> Sequence[Example]:
        """Those that give gradients."""

    @property
    def held_out(self) -> Sequence[Example]:
        """Those of other patients."""


def balance_examples(examples: Sequence[Example], plan: RareLabelOptions) -> list[Example]:
    """The same tiles, drawn as `plan.balance` says.

    Raises:
        BadRecipe: a label has fewer patients than `plan.min_patients`, and none may.
    """
    labels = [each.label for each in examples]
    patients = [each.tile.ref.patient for each in examples]
    refuse_rare(
        labels,
        patients,
        plan.min_patients,
        plan.allow_rare,
        key="rare_labels.allow_rare",
    )
    shares = shares_by_label(
        labels,
        [each.share for each in examples],
        strength=plan.balance,
    )
    return [replace(each, share=float(share)) for each, share in zip(examples, shares, strict=True)]


def write_data_sheet(
    options: RareLabelOptions,
    base_folder: Path,
    run: Path,
    sides: Sides,
) -> None:
    """Write `datasheet.json` and `datasheet.md`: whose tiles they are, and how often each label is
    drawn.

    Raises:
        BadTable: the recipe's table of patients cannot be read.
        SplitLeak: a patient stands on both sides.
    """
    people = read_patient_traits(base_folder / options.table) if options.table else None
    tiles = [*counted(sides.train, "train"), *counted(sides.held_out, "validation")]
    sheet = data_sheet(tiles, people, private=options.private)
    drawn = draws_by_label(
        [each.label for each in sides.train],
        [each.tile.ref.patient for each in sides.train],
        [each.share for each in sides.train],
    )
    write_json(run / "datasheet.json", {**sheet, "draws": [each.as_dict() for each in drawn]})
    write_text(run / "datasheet.md", f"{sheet_markdown(sheet)}\n{draws_markdown(drawn)}")
