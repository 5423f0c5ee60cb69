"""The `[data]` table of a recipe: which tiles, at which scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from ... import CLASSES
from ...core.nuclei import ANY
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    Limits,
    NotNegative,
    PartOfAll,
)
from .tiles import Mpp, TileSource

TILE_SET_TRAIN = (TileSource(".", split="train"),)
"""What is trained on where no source is named: a split of the tile set at the root."""
_TILE_SET_VALIDATION = (TileSource(".", split="validation"),)


@dataclass(frozen=True)
class DataPlan:
    """Which tiles, at which scale."""

    root: Path = Path(".")
    """Folder that the sources' paths start from; relative to the recipe file. Where no source is
    named it is a tile set itself, and its splits `train` and `validation` are taken."""
    mpp: Mpp = 0.5
    """Scale that is trained at, um/px: tiles of other scales are resampled to it."""
    train: tuple[TileSource, ...] = ()
    """Tiles that are learned from."""
    validation: tuple[TileSource, ...] = ()
    """Tiles of other patients, for validation. Empty: `held_out` of the patients of `train`."""
    classes: tuple[str, ...] = ()
    """Names of the classes of nuclei, in the order of their indices. Empty: those of the compact
    bundle for tasks that need nuclei; else nuclei are not read."""
    crop: Annotated[int, Limits(least=64, multiple=8)] = 256
    """Side of the training crops, px; diffusion tasks have `conditions.crops` instead."""
    stain_jitter: NotNegative = 0.1
    """Spread of the stains of the training views, as a share of their dyes' amounts."""
    views: AtLeastOne = 16
    """Latent views cached per tile: pose x stain x sub-grid offset."""
    whole: bool = False
    """Leave out the sub-grid offset, which costs a view up to 8 px: then tiles may be as small as
    the crops."""
    held_out: PartOfAll = 0.2
    """Share of the patients that validate, where no source of validation tiles is named."""

    def __post_init__(self) -> None:
        check_table(self)
        if not self.train and not self.validation:
            object.__setattr__(self, "train", TILE_SET_TRAIN)
            object.__setattr__(self, "validation", _TILE_SET_VALIDATION)

    def _check_classes(self) -> None:
        if len(set(self.classes)) < len(self.classes) or ANY in self.classes:
            raise ValueError(f"classes must be different names, and none of them {ANY}")

    def _check_sources(self) -> None:
        if self.validation and not self.train:
            raise ValueError("sources of validation tiles are named, and none of training tiles")


def with_shipped_classes(data: DataPlan) -> DataPlan:
    """The same, with the classes of the compact bundle where none are named."""
    return data if data.classes else replace(data, classes=CLASSES)
