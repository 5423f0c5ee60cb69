"""What a recipe of the centroid detector may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    NotNegative,
    Positive,
    Share,
    ShareBelowOne,
    ZeroOrMore,
)
from ...core.seeds import Seed
from ...detectors.info import DETECTOR_LIMITS, NetworkName
from .data import DataPlan, with_shipped_classes
from .loop import LearningRate, LoopPlan

TeacherName = Literal["", "centroids"]


@dataclass(frozen=True)
class DetectorPlan:
    """Shape, losses and augmentation of the centroid detector."""

    network: NetworkName = "centroids"
    """`fast` begins at stride 4 and normalises nothing."""
    teacher: TeacherName = ""
    """A detector of the package: what it finds is learned in place of the tiles' nuclei."""
    widths: tuple[AtLeastOne, ...] = (24, 64, 112, 160)
    """Channels at strides 2, 4, 8, ...; of `fast` at 4, 8, 16, ..."""
    blocks: tuple[ZeroOrMore, ...] = (1, 2, 2, 1)
    """Residual blocks of each stride."""
    sigma_px: Positive = 2.5
    """Spread of the heat around a nucleus."""
    peak_weight: NotNegative = 9.0
    """A nucleus' centre counts this much more than empty ground."""
    class_weight: NotNegative = 0.5
    """Weight of the loss of the class, against that of the place."""
    rarity: Share = 0.5
    """0: every nucleus counts alike in distinguishing classes; 1: every class does."""
    zoom: NotNegative = 0.12
    """Standard deviation of the log of scale, in augmentation."""
    light: NotNegative = 0.05
    """Standard deviation of the log of each channel's light."""
    noise: NotNegative = 6.0
    """Standard deviation of grey levels."""
    aside: ShareBelowOne = 0.12
    """Share of training patients without a gradient: the threshold is chosen on them."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_scales(self) -> None:
        DETECTOR_LIMITS.check(self.widths, self.blocks)


@dataclass(frozen=True)
class DetectorLoop(LoopPlan):
    """How long, how fast, how often to validate: a detector."""

    steps: AtLeastOne = 4000
    batch: AtLeastOne = 8
    learning_rate: LearningRate = 1e-3


@dataclass(frozen=True)
class DetectorRecipe:
    """`task = "detector"`."""

    task: Literal["detector"] = "detector"
    """What is trained."""
    loop: DetectorLoop = field(default_factory=DetectorLoop)
    data: DataPlan = field(default_factory=DataPlan)
    model: DetectorPlan = field(default_factory=DetectorPlan)
    name: str = "centroids"
    """Name of the detector that is written."""
    seed: Seed = 0
    """Another seed, other weights to begin with, and crops."""

    def __post_init__(self) -> None:
        check_table(self)
        object.__setattr__(self, "data", with_shipped_classes(self.data))

    def _check_crop(self) -> None:
        first_stride = {"centroids": 2, "fast": 4}[self.model.network]
        stride = first_stride * 2 ** (len(self.model.widths) - 1)
        if self.data.crop % stride:
            raise ValueError(f"data.crop must be a multiple of {stride}, not {self.data.crop}")
