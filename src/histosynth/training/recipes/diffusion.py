"""What a recipe of a compact base, or of an adapter on one, may hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, Protocol

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    Limits,
    NotNegative,
    Share,
    ZeroOrMore,
)
from ...core.seeds import Seed
from .adapter_options import AdapterPlan
from .data import DataPlan, with_shipped_classes
from .loop import LoopPlan

_MASK_SHARES = {
    "base": 0.35,
    "global": 0.0,
    "local": 1.0,
}
"""Usual shares of batches with masks, by task."""
_OWN_ENCODER_SHARE = 0.25
"""That of `global` with a structure encoder of its own, which must not forget masks."""


StructureWidth = Annotated[int, Limits(least=8, multiple=8)]
"""Channels that the structure encoder can have."""


@dataclass(frozen=True)
class BasePlan:
    """Shape of a compact base and its structure encoder."""

    widths: tuple[Annotated[int, Limits(least=32, multiple=32)], ...] = (96, 160, 192)
    """Channels of each scale of the U-Net."""
    layers: AtLeastOne = 2
    """Residual blocks of each scale."""
    head: AtLeastOne = 32
    """Channels of a head of attention."""
    fine: ZeroOrMore = 32
    """Channels of structure concatenated to the latents."""
    structure_widths: tuple[StructureWidth, ...] = (96, 128, 128)
    """Channels of each scale of the structure encoder."""
    labels: tuple[str, ...] = ()
    """Labels of tiles that the base learns; tiles with any other label are refused."""
    sees_structure: bool = True
    """False: the base learns tissue alone, and the adapters bring the structure (the paper's
    way)."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_scales(self) -> None:
        if not self.widths or len(self.widths) != len(self.structure_widths):
            raise ValueError("widths must name at least one scale, and structure_widths as many")

    def _check_head(self) -> None:
        if self.head > self.widths[-1]:
            raise ValueError(f"head must be at most {self.widths[-1]}, not {self.head}")

    def _check_labels(self) -> None:
        check_labels(self.labels)


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

    mask_share: Share | None = None
    """Share of batches with masks; the others are whole tiles (everything is to be filled).
    Left out: 0.35 for a base, 1 for `local`, 0 for `global`, and 0.25 for a `global` with
    `adapter.shapes`: its own structure encoder would forget what stands beside known pixels."""
    full_share: Share = 0.25
    """Share of items in batches with masks whose mask covers everything."""
    crops: tuple[Annotated[int, Limits(least=64, multiple=16)], ...] = (256,)
    """Crop sides, one drawn per batch; the batch keeps its number of pixels."""
    crop_shares: tuple[NotNegative, ...] = ()
    """How often each crop side is drawn; they sum to 1. Empty: all alike."""
    longest: Annotated[float, Limits(least=1, most=8)] = 1.0
    """Above 1: tiles that are not square are cut to shapes of the crop's area, with an aspect ratio
    of at most this, one shape per batch; for tiles of very different sides."""
    batch_px: ZeroOrMore = 0
    """loop.batch counts crops of this side; 0: of 256 px on a compact base, else of the largest
    side."""
    drop_nuclei: Share = 0.12
    """Share of items without nuclei."""
    drop_classes: Share = 0.0
    """Share of items whose nuclei have no class, some of them or all."""
    drop_shapes: Share = 0.3
    """Share of items in which the shapes of some nuclei are not given, or of all; for
    `adapter.shapes`."""
    drop_style: Share = 0.08
    """Share of items without style; on a text-conditioned base, without a prompt (classifier-free
    guidance)."""
    drop_label: Share = 0.3
    """Share of items without label."""
    drop_all: Share = 0.0
    """Share of items with neither nuclei nor style, in addition to those that lose both by chance:
    the unconditional branch of a text-conditioned base (Brooks et al. 2023)."""
    style_noise: NotNegative = 0.25
    """Noise on the style vector in its standard deviations: it must not identify a tile."""
    nucleus_weights: dict[str, NotNegative] = field(default_factory=dict)
    """Loss weight per class; classes that are not named get the default of their name."""
    min_snr: NotNegative = 0.0
    """Gamma of min-SNR weighting; 0: the network's own units."""
    times: Literal["", "logit-normal", "uniform"] = ""
    """How noise levels are drawn; empty: logit-normal for flow, each step alike for epsilon and
    v."""
    time_mean: float = 0.3
    """Mean of the logit of the time, 1 all noise, for `logit-normal`."""
    time_spread: NotNegative = 1.1
    """Its standard deviation."""

    def __post_init__(self) -> None:
        check_table(self)
        if not self.crop_shares:
            count = len(self.crops)
            object.__setattr__(self, "crop_shares", (1 / count,) * count)

    def _check_crops(self) -> None:
        if not self.crops:
            raise ValueError("crops must name at least one side")
        shares = self.crop_shares
        if shares and (len(self.crops) != len(shares) or abs(sum(shares) - 1) > 1e-6):
            raise ValueError("crop_shares must name one share per crop, summing to 1")

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
    """What the recipes of a compact base, and of an adapter on one, share."""

    task: Literal["base", "global", "local"] = "global"
    """What is trained; it is also the name of an adapter."""
    start: PathText = "compact"
    """Folder of the bundle with the base. `compact`: the one in the package."""
    loop: LoopPlan = field(default_factory=LoopPlan)
    data: DataPlan = field(default_factory=DataPlan)
    conditions: DiffusionPlan = field(default_factory=DiffusionPlan)
    base: BasePlan = field(default_factory=BasePlan)
    adapter: AdapterPlan = field(default_factory=AdapterPlan)
    name: str = "compact"
    """Name of the bundle that is written."""
    seed: Seed = 0
    """Another seed, other crops, masks and noise."""

    def __post_init__(self) -> None:
        check_table(self)
        object.__setattr__(self, "data", with_shipped_classes(self.data))
        conditions = with_mask_share(
            self.conditions,
            self.task,
            has_own_encoder=self.adapter.shapes,
        )
        object.__setattr__(self, "conditions", conditions)

    def _check_guidance(self) -> None:
        if self.task == "base" and self.adapter.guided:
            raise ValueError(
                "adapter.guided is for adapters: a base has no base to learn guidance from"
            )

    def _check_few_steps(self) -> None:
        if self.task != "global" and self.adapter.few_steps:
            raise ValueError(
                "adapter.few_steps is for `global`: a completion begins with copied tissue, at a "
                "time of each cell"
            )


@dataclass(frozen=True)
class CompactAdapterRecipe(DiffusionRecipe):
    """`task = "global"` or `"local"`: an adapter on a bundle's base."""

    task: Literal["global", "local"] = "global"


@dataclass(frozen=True)
class BaseLoop(LoopPlan):
    """How long, how fast, how often to validate: a base."""

    steps: AtLeastOne = 20_000
    batch: AtLeastOne = 8


@dataclass(frozen=True)
class BaseRecipe(DiffusionRecipe):
    """`task = "base"`: a compact base on the latents of an autoencoder."""

    task: Literal["base"] = "base"
    start: PathText = "compact"
    """Folder of the autoencoder. `compact`: the one in the package."""
    loop: BaseLoop = field(default_factory=BaseLoop)


def with_mask_share(
    conditions: DiffusionPlan,
    task: str,
    *,
    has_own_encoder: bool = False,
) -> DiffusionPlan:
    """The same, with the usual share of batches with masks where none is stated."""
    if conditions.mask_share is not None:
        return conditions
    share = _MASK_SHARES[task]
    if task == "global" and has_own_encoder:
        share = _OWN_ENCODER_SHARE
    return replace(conditions, mask_share=share)
