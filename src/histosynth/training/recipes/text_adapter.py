"""What a recipe of an adapter on a text-conditioned base may hold: `base = "..."` in place of
`start`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    Share,
)
from ...core.seeds import Seed
from .adapter_options import AdapterPlan
from .data import DataPlan, with_shipped_classes
from .diffusion import DiffusionPlan, StructureWidth, check_labels, with_mask_share
from .loop import LearningRate, LoopPlan
from .prompts import Prompts
from .rare_labels import RareLabelOptions


@dataclass(frozen=True)
class TextAdapterLoop(LoopPlan):
    """How long, how fast, how often to validate: an adapter on a text-conditioned base."""

    steps: AtLeastOne = 20_000
    batch: AtLeastOne = 16
    learning_rate: LearningRate = 1e-4


@dataclass(frozen=True)
class TextAdapterPlan(AdapterPlan):
    """A LoRA adapter on a text-conditioned base."""

    targets: tuple[str, ...] = ("cross-attention",)
    structure: bool = True


@dataclass(frozen=True)
class TextAdapterRecipe:
    """`task = "global"` or `"local"` with `base`: an adapter on a text-conditioned base, and the
    structure encoder it needs.

    The base is a folder in diffusers' layout (Stable Diffusion 1 or 2, their inpainting variants,
    PixArt), `owner/name[@revision]` on the hub, or one `.safetensors` file. It is never written to,
    and not copied.
    """

    task: Literal["global", "local"] = "global"
    """What is trained; it is also the name of the adapter."""
    base: PathText = ""
    """Folder, `owner/name[@revision]` on the hub, or a `.safetensors` file."""
    loop: TextAdapterLoop = field(default_factory=TextAdapterLoop)
    data: DataPlan = field(default_factory=DataPlan)
    conditions: DiffusionPlan = field(default_factory=DiffusionPlan)
    prompts: Prompts = field(default_factory=Prompts)
    labels: tuple[str, ...] = ()
    """Labels, such as subtypes, with a prompt of their own; tiles with any other label are
    refused."""
    adapter: TextAdapterPlan = field(default_factory=TextAdapterPlan)
    structure_widths: tuple[StructureWidth, ...] = ()
    """Own widths of the structure encoder, one for each input of the base that takes structure;
    empty: half of its channels, at most 256."""
    rare_labels: RareLabelOptions = field(default_factory=RareLabelOptions)
    stop_copying: Share = 0.1
    """Share of validation pictures that may be suspected copies; more stop the run, 1 never."""
    base_config: PathText = ""
    """For a single file: a folder in diffusers' layout with its tokenizer and configs."""
    prediction: Literal["", "epsilon", "v_prediction"] = ""
    """For a single file: what it predicts, where that cannot be read from it."""
    name: str = "stable"
    """Name of the bundle that is written."""
    seed: Seed = 0
    """Another seed, other crops, masks and noise."""

    def __post_init__(self) -> None:
        check_table(self)
        object.__setattr__(self, "data", with_shipped_classes(self.data))
        conditions = with_mask_share(self.conditions, self.task)
        object.__setattr__(self, "conditions", conditions)

    def _check_base(self) -> None:
        if not self.base.strip():
            raise ValueError(
                "base must name a folder, a repository of the hub, or a .safetensors file"
            )

    def _check_guidance(self) -> None:
        if self.adapter.guided:
            raise ValueError("adapter.guided is for adapters of a base that sees structure")

    def _check_few_steps(self) -> None:
        if self.adapter.few_steps:
            raise ValueError("adapter.few_steps is for adapters of a compact base so far")

    def _check_structure(self) -> None:
        if not self.adapter.structure:
            raise ValueError(
                "adapter.structure must be true: this base sees no structure without it"
            )

    def _check_labels(self) -> None:
        check_labels(self.labels)
