"""The `[data]` table of a recipe: which tiles, at which scale."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...core.nuclei import ANY
from ...core.units import check_mpp
from .sources import TileSource

_MIN_CROP_PX = 64
_CROP_MULTIPLE = 8


@dataclass(frozen=True)
class DataPlan:
    """Which tiles, at which scale."""

    root: Path
    """Folder that the sources' paths start from; relative to the recipe file."""
    mpp: float
    train: tuple[TileSource, ...]
    validation: tuple[TileSource, ...]
    classes: tuple[str, ...] = ()
    """Names of the classes of nuclei, in the order of their indices."""
    crop: int = 256
    """Side of the training crops, px; diffusion tasks have `conditions.crops` instead."""
    stain_jitter: float = 0.1
    views: int = 16
    """Latent views cached per tile: pose x stain x sub-grid offset."""
    whole: bool = False
    """Leave out the sub-grid offset, which costs a view up to 8 px: then tiles may be as small as
    the crops."""

    def __post_init__(self) -> None:
        check_mpp(self.mpp)
        if self.views < 1 or self.stain_jitter < 0:
            raise ValueError("views must be at least 1 and stain_jitter not negative")
        if len(set(self.classes)) < len(self.classes) or ANY in self.classes:
            raise ValueError(f"classes must be different names, and none of them {ANY}")
        if not self.train or not self.validation:
            raise ValueError(
                "at least one source of training and one of validation tiles must be named"
            )
        if self.crop % _CROP_MULTIPLE or self.crop < _MIN_CROP_PX:
            raise ValueError(f"crop must be a multiple of 8 of at least 64, not {self.crop}")
