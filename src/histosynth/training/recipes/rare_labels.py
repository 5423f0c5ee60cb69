"""The `[rare_labels]` table of a recipe."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    Share,
)


@dataclass(frozen=True)
class RareLabelOptions:
    """The `[rare_labels]` table of a recipe: labels with few tiles or patients."""

    balance: Share = 0.0
    """0: tiles are drawn with the shares of their sources; 1: each label as often as any other."""
    min_patients: AtLeastOne = 3
    """Patients that a label must have; a model of fewer learns them, not the label."""
    allow_rare: bool = False
    """Train on labels with fewer patients all the same."""
    table: PathText = ""
    """CSV with the column patient and any of sex, ancestry, site, age: what the data sheet
    counts."""
    private: bool = False
    """Leave out counts of fewer than five patients."""

    def __post_init__(self) -> None:
        check_table(self)
