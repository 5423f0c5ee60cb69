"""A `[[data.train]]` or `[[data.validation]]` table of a recipe: one folder of tiles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    Limits,
    NotNegative,
)
from ...core.units import MAX_MPP, MIN_MPP

Mpp = Annotated[float, Limits(least=MIN_MPP, most=MAX_MPP)]
"""Micrometres per pixel."""


@dataclass(frozen=True)
class TileSource:
    """One folder of tiles: pictures, or a tile set (Parquet files, see `core.tileset`)."""

    images: PathText
    """Folder of pictures, or of a tile set's Parquet files, below the recipe's data root."""
    patient: str | None = None
    """Pattern on the file stem; its first group is the patient. Empty: not known, and all of the
    source's tiles count as one patient, so that they can only be on one side of a split. A folder
    of pictures must state it; rows of a tile set hold their patient."""
    mpp: Mpp | None = None
    """Micrometres per pixel of the files. A folder of pictures must state it; rows hold theirs."""
    points: PathText = ""
    """Folder of `x,y,class` CSV or GeoJSON files of the same stems; empty: nuclei not known. Rows
    bring their own."""
    members: PathText = ""
    """Text file that lists the file names, or the `tile_id`s of a tile set, to take, one a line;
    empty: all."""
    label: str = ""
    """Label of the tiles, e.g. the organ or subtype. Empty: none, or that of the tile set's row."""
    resample: bool = True
    """False: leave the pixels as they are, whatever the recipe's scale (texture only)."""
    share: NotNegative = 1.0
    """How often one of its tiles is drawn, against a tile of share 1."""
    licence: str = ""
    """Licence of the pictures, for the model card."""
    split: str = ""
    """Only rows of this split of a tile set, e.g. `train`; empty: all rows."""
    map: dict[str, str] = field(default_factory=dict)
    """Class names of the source's nuclei to those of the recipe; names not in it stay as they
    are."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_patient(self) -> None:
        if self.patient:
            check_patient_pattern(self.patient)


def check_patient_pattern(pattern: str) -> None:
    """Refuse a text that finds no patient in a file stem.

    Raises:
        ValueError: it is no pattern, or has no group.
    """
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"patient pattern {pattern!r} is no pattern: {error}") from error
    if groups < 1:
        raise ValueError(f"patient pattern {pattern!r} needs one group in parentheses")
