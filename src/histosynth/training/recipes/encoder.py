"""What a recipe of the histology encoder may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    NotNegative,
    Share,
    ZeroOrMore,
)
from ...core.seeds import Seed
from ...encoders.info import ENCODER_LIMITS
from .data import DataPlan
from .loop import LearningRate, LoopPlan


@dataclass(frozen=True)
class EncoderPlan:
    """Shape, losses and augmentation of the small encoder.

    Two views of one place get similar features, and features differ from place to place and from
    each other (VICReg, Bardes et al. 2022). Further outputs learn the number of nuclei of each
    class, and how blurred, noisy and compressed a view is: metrics need features that react to
    these.
    """

    widths: tuple[AtLeastOne, ...] = (48, 96, 192, 256)
    """Channels at strides 4, 8, ..."""
    blocks: tuple[ZeroOrMore, ...] = (1, 2, 2, 2)
    """Residual blocks of each stride."""
    project: AtLeastOne = 512
    """Width of the layers between features and the losses; they are not saved."""
    invariance: NotNegative = 25.0
    """Loss weight of the distance of two views of a place."""
    variance: NotNegative = 25.0
    """Loss weight of the spread of each feature."""
    covariance: NotNegative = 1.0
    """Loss weight of what features have in common."""
    nuclei: NotNegative = 10.0
    """Loss weight of the density of nuclei per class."""
    harm: NotNegative = 10.0
    """Loss weight of the degradations of the picture."""
    harmed: Share = 0.4
    """Chance of each of blur, noise and JPEG; both views of a pair are degraded alike."""
    apart: Share = 0.35
    """Second view: moved by up to this share of the crop's side."""
    zoom: NotNegative = 0.15
    """Standard deviation of the log of scale."""
    light: NotNegative = 0.03
    """Standard deviation of the log of each channel's brightness."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_scales(self) -> None:
        ENCODER_LIMITS.check(self.widths, self.blocks)


@dataclass(frozen=True)
class EncoderLoop(LoopPlan):
    """How long, how fast, how often to validate: an encoder."""

    steps: AtLeastOne = 3200
    batch: AtLeastOne = 96
    learning_rate: LearningRate = 1e-3


@dataclass(frozen=True)
class EncoderRecipe:
    """`task = "encoder"`."""

    task: Literal["encoder"] = "encoder"
    """What is trained."""
    loop: EncoderLoop = field(default_factory=EncoderLoop)
    data: DataPlan = field(default_factory=DataPlan)
    model: EncoderPlan = field(default_factory=EncoderPlan)
    name: str = "histo"
    """Name of the encoder that is written."""
    seed: Seed = 0
    """Another seed, other weights to begin with, and crops."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_crop(self) -> None:
        stride = 4 * 2 ** (len(self.model.widths) - 1)
        if self.data.crop % stride:
            raise ValueError(f"data.crop must be a multiple of {stride}, not {self.data.crop}")

    def _check_batch(self) -> None:
        if self.loop.batch < 8:
            required = "loop.batch must be at least 8 to measure how features spread"
            raise ValueError(f"{required}, not {self.loop.batch}")
