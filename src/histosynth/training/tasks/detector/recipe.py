"""What a recipe of the centroid detector may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ....core.seeds import check_recipe_seed
from ...data.plan import DataPlan
from ...loop.plan import LoopPlan


@dataclass(frozen=True)
class DetectorPlan:
    """Shape, losses and augmentation of the centroid detector."""

    widths: tuple[int, ...] = (24, 64, 112, 160)
    """Channels at strides 2, 4, 8, ..."""
    blocks: tuple[int, ...] = (1, 2, 2, 1)
    sigma_px: float = 2.5
    """Spread of the heat around a nucleus."""
    peak_weight: float = 9.0
    """A nucleus' centre counts this much more than empty ground."""
    class_weight: float = 0.5
    rarity: float = 0.5
    """0: every nucleus counts alike in distinguishing classes; 1: every class does."""
    zoom: float = 0.12
    light: float = 0.05
    noise: float = 6.0
    """Standard deviations: of the log of scale, of the log of each channel's light, of grey
    levels."""
    aside: float = 0.12
    """Share of training patients without a gradient: the threshold is chosen on them."""

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or min(self.widths, default=0) < 1:
            raise ValueError("widths must be positive, and blocks as many")
        if not 0 <= self.aside < 1 or not 0 <= self.rarity <= 1:
            raise ValueError("aside must lie in [0, 1) and rarity in [0, 1]")
        if (
            self.sigma_px <= 0
            or min(
                self.peak_weight,
                self.class_weight,
                self.zoom,
                self.light,
                self.noise,
            )
            < 0
        ):
            raise ValueError("sigma_px must be positive, weights and spreads not negative")


@dataclass(frozen=True)
class DetectorRecipe:
    """`task = "detector"`."""

    task: Literal["detector"]
    loop: LoopPlan
    data: DataPlan
    model: DetectorPlan = field(default_factory=DetectorPlan)
    name: str = "centroids"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        if not self.data.classes:
            raise ValueError("data.classes must name the classes to distinguish")
        stride = 2 ** len(self.model.widths)
        if self.data.crop % stride:
            raise ValueError(f"data.crop must be a multiple of {stride}, not {self.data.crop}")
