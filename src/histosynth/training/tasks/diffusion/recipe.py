"""What a recipe of a compact base, or of an adapter on one, may hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from ....core.recipe import PathText
from ....core.seeds import check_recipe_seed
from ...data.plan import DataPlan
from ...loop.plan import LoopPlan
from .adapter_options import AdapterPlan

_CROP_MULTIPLE = 16
_MIN_CROP_PX = 64
_MAX_LONGEST = 8
_SHARES = (
    "mask_share",
    "full_share",
    "drop_nuclei",
    "drop_classes",
    "drop_style",
    "drop_label",
    "drop_all",
)


@dataclass(frozen=True)
class BasePlan:
    """Shape of a compact base and its structure encoder."""

    widths: tuple[int, ...] = (96, 160, 192)
    layers: int = 2
    head: int = 32
    fine: int = 32
    """Channels of structure concatenated to the latents."""
    structure_widths: tuple[int, ...] = (96, 128, 128)
    labels: tuple[str, ...] = ()
    sees_structure: bool = True
    """False: the base learns tissue alone, and the adapters bring the structure (the paper's
    way)."""

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.structure_widths):
            raise ValueError("widths must name at least one scale, and structure_widths as many")
        if any(width % 32 or width < 32 for width in self.widths):
            raise ValueError(f"widths must be multiples of 32 from 32, not {self.widths}")
        check_structure_widths(self.structure_widths)
        if self.layers < 1 or self.fine < 0 or not 1 <= self.head <= self.widths[-1]:
            raise ValueError(
                f"layers must be at least 1, fine not negative, head in 1..{self.widths[-1]}"
            )
        check_labels(self.labels)


def check_structure_widths(widths: tuple[int, ...]) -> None:
    """Refuse channels that the structure encoder cannot have.

    Raises:
        ValueError: one is not a multiple of 8.
    """
    if any(width % 8 or width < 8 for width in widths):
        raise ValueError(f"structure_widths must be multiples of 8 from 8, not {widths}")


def check_labels(labels: tuple[str, ...]) -> None:
    """Refuse labels that are empty or there twice.

    Raises:
        ValueError: they are.
    """
    if len(set(labels)) < len(labels) or "" in labels:
        raise ValueError("labels must be different names")


@dataclass(frozen=True)
class DiffusionPlan:
    """What batches hold, and what counts in their loss."""

    mask_share: float
    """Share of batches with masks; the others are whole tiles (everything is to be filled)."""
    full_share: float = 0.25
    """Share of items in batches with masks whose mask covers everything."""
    crops: tuple[int, ...] = (256,)
    """Crop sides, one drawn per batch; the batch keeps its number of pixels."""
    crop_shares: tuple[float, ...] = (1.0,)
    longest: float = 1.0
    """Above 1: tiles that are not square are cut to shapes of the crop's area, with an aspect ratio
    of at most this, one shape per batch; for tiles of very different sides."""
    batch_px: int = 0
    """loop.batch counts crops of this side; 0: of 256 px on a compact base, else of the largest
    side."""
    drop_nuclei: float = 0.12
    drop_classes: float = 0.0
    """Share of items whose nuclei have no class, some of them or all."""
    drop_style: float = 0.08
    """Share of items without style; on a text-conditioned base, without a prompt (classifier-free
    guidance)."""
    drop_label: float = 0.3
    drop_all: float = 0.0
    """Share of items with neither nuclei nor style, in addition to those that lose both by chance:
    the unconditional branch of a text-conditioned base (Brooks et al. 2023)."""
    style_noise: float = 0.25
    """Noise on the style vector in its standard deviations: it must not identify a tile."""
    nucleus_weights: dict[str, float] = field(default_factory=dict)
    """Loss weight per class; see losses.py for the defaults."""
    min_snr: float = 0.0
    """Gamma of min-SNR weighting; 0: the network's own units."""
    times: Literal["", "logit-normal", "uniform"] = ""
    """How noise levels are drawn; empty: logit-normal for flow, each step alike for epsilon and
    v."""
    time_mean: float = 0.3
    time_spread: float = 1.1

    def __post_init__(self) -> None:
        self._check_crops()
        wrong = [name for name in _SHARES if not 0 <= getattr(self, name) <= 1]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} must lie in [0, 1]")
        amounts = (
            self.style_noise,
            self.time_spread,
            self.min_snr,
            *self.nucleus_weights.values(),
        )
        if min(amounts) < 0:
            raise ValueError(
                "style_noise, time_spread, min_snr and nucleus_weights must not be negative"
            )

    def _check_crops(self) -> None:
        if len(self.crops) != len(self.crop_shares) or abs(sum(self.crop_shares) - 1) > 1e-6:
            raise ValueError("crop_shares must name one share per crop, summing to 1")
        if min(self.crop_shares, default=0.0) < 0:
            raise ValueError(f"crop_shares must not be negative, not {self.crop_shares}")
        if not 1 <= self.longest <= _MAX_LONGEST:
            raise ValueError(f"longest must lie in [1, {_MAX_LONGEST}], not {self.longest}")
        if self.batch_px < 0:
            raise ValueError("batch_px must not be negative")
        if any(side % _CROP_MULTIPLE or side < _MIN_CROP_PX for side in self.crops):
            raise ValueError(f"crops must be multiples of 16 from 64, not {self.crops}")

    def drawn_crops(self) -> list[int]:
        """Crop sides with a share above 0."""
        pairs = zip(self.crops, self.crop_shares, strict=True)
        return [side for side, share in pairs if share]


class AdapterRecipe(Protocol):
    """What the recipes of adapters have, whichever base they are for."""

    @property
    def task(self) -> str:
        """`global` or `local`: also the adapter's name."""

    @property
    def loop(self) -> LoopPlan:
        """The `[loop]` table."""

    @property
    def data(self) -> DataPlan:
        """The `[data]` table."""

    @property
    def conditions(self) -> DiffusionPlan:
        """The `[conditions]` table."""

    @property
    def adapter(self) -> AdapterPlan:
        """The `[adapter]` table."""


@dataclass(frozen=True)
class DiffusionRecipe:
    """`task = "base"`, `"global"` or `"local"`."""

    task: Literal["base", "global", "local"]
    start: PathText
    """base: folder of the autoencoder. Adapters: folder of the bundle. `compact`: the shipped
    ones."""
    loop: LoopPlan
    data: DataPlan
    conditions: DiffusionPlan
    base: BasePlan = field(default_factory=BasePlan)
    adapter: AdapterPlan = field(default_factory=AdapterPlan)
    name: str = "compact"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        if not self.data.classes:
            raise ValueError("data.classes must name the classes of nuclei")
        if self.task == "base" and self.adapter.guided:
            raise ValueError(
                "adapter.guided is for adapters: a base has no base to learn guidance from"
            )
