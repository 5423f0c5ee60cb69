"""What a recipe of the histology encoder may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ....core.seeds import check_recipe_seed
from ...data.plan import DataPlan
from ...loop.plan import LoopPlan


@dataclass(frozen=True)
class EncoderPlan:
    """Shape, losses and augmentation of the small encoder.

    Two views of one place get similar features, and features differ from place to place and from
    each other (VICReg, Bardes et al. 2022). Further outputs learn the number of nuclei of each
    class, and how blurred, noisy and compressed a view is: metrics need features that react to
    these.
    """

    widths: tuple[int, ...] = (48, 96, 192, 256)
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    project: int = 512
    """Width of the layers between features and the losses; they are not saved."""
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    nuclei: float = 10.0
    """Loss weight of the density of nuclei per class."""
    harm: float = 10.0
    """Loss weight of the degradations of the picture."""
    harmed: float = 0.4
    """Chance of each of blur, noise and JPEG; both views of a pair are degraded alike."""
    apart: float = 0.35
    """Second view: moved by up to this share of the crop's side."""
    zoom: float = 0.15
    light: float = 0.03
    """Standard deviations: of the log of scale (zoom), of the log of each channel's brightness
    (light)."""

    def __post_init__(self) -> None:
        if len(self.widths) != len(self.blocks) or min(self.widths, default=0) < 1:
            raise ValueError("widths must be positive, and blocks as many")
        weights = (
            self.invariance,
            self.variance,
            self.covariance,
            self.nuclei,
            self.harm,
        )
        if min(*weights, self.zoom, self.light) < 0:
            raise ValueError("weights and spreads must not be negative")
        if not 0 <= self.harmed <= 1 or not 0 <= self.apart <= 1 or self.project < 1:
            raise ValueError("apart and harmed must lie in [0, 1] and project be at least 1")


@dataclass(frozen=True)
class EncoderRecipe:
    """`task = "encoder"`."""

    task: Literal["encoder"]
    loop: LoopPlan
    data: DataPlan
    model: EncoderPlan = field(default_factory=EncoderPlan)
    name: str = "histo"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        stride = 4 * 2 ** (len(self.model.widths) - 1)
        if self.data.crop % stride:
            raise ValueError(f"data.crop must be a multiple of {stride}, not {self.data.crop}")
        if self.loop.batch < 8:
            required = "loop.batch must be at least 8 to measure how features spread"
            raise ValueError(f"{required}, not {self.loop.batch}")
