"""What a recipe may say of adapters on a base of another make: `base = "..."` in place of
`start`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ...core.seeds import check_recipe_seed
from ..adapter_options import AdapterPlan
from ..data.prompts import Prompts
from ..loop.plan import LoopPlan
from ..recipes import DataPlan, DiffusionPlan


def _cross_attention() -> AdapterPlan:
    return AdapterPlan(targets=("cross-attention",), structure=True)


@dataclass(frozen=True)
class RareLabelOptions:
    """Fairness to labels of which there is little."""

    balance: float = 0.0
    """0: tiles are drawn as their sources say; 1: each label as often as any other."""
    min_patients: int = 3
    """Patients that a label must have; a model of fewer learns them, not the label."""
    allow_rare: bool = False
    """Train on labels with fewer all the same."""
    table: str = ""
    """CSV with the column patient and any of sex, ancestry, site, age: what the data sheet
    counts."""
    private: bool = False
    """Do not tell counts of fewer than five patients."""

    def __post_init__(self) -> None:
        if not 0 <= self.balance <= 1 or self.min_patients < 1:
            raise ValueError("balance must lie in [0, 1], min_patients be at least 1")


@dataclass(frozen=True)
class StableRecipe:
    """`task = "global"` or `"local"` with `base`: an adapter, and the structure encoder it needs,
    on a base.

    The base is a folder in diffusers' layout (Stable Diffusion 1 or 2, their inpainting siblings,
    PixArt), `owner/name[@revision]` on the hub, or one `.safetensors` file. It is never written to,
    and not copied.
    """

    task: Literal["global", "local"]
    base: str
    loop: LoopPlan
    data: DataPlan
    conditions: DiffusionPlan
    prompts: Prompts = field(default_factory=Prompts)
    labels: tuple[str, ...] = ()
    """Labels, say subtypes, that get a prompt of their own; tiles with any other label are
    refused."""
    adapter: AdapterPlan = field(default_factory=_cross_attention)
    structure_widths: tuple[int, ...] = ()
    """Own widths of the structure encoder, one a place of the base that takes structure; empty:
    half of its channels, at most 256."""
    rare_labels: RareLabelOptions = field(default_factory=RareLabelOptions)
    stop_copying: float = 0.1
    """Share of validation pictures that may be suspected copies; more end the run, 1 never."""
    base_config: str = ""
    """For a single file: a folder in diffusers' layout whose tokenizer (and configs) are meant."""
    prediction: Literal["", "epsilon", "v_prediction"] = ""
    """For a single file: what it predicts, where its make does not tell."""
    name: str = "stable"
    seed: int = 0

    def __post_init__(self) -> None:
        check_recipe_seed(self.seed)
        if not self.base.strip():
            raise ValueError(
                "base must name a folder, a repository of the hub, or a .safetensors file"
            )
        if not self.data.classes:
            raise ValueError("data.classes must name the classes of nuclei")
        if self.adapter.guided:
            raise ValueError("adapter.guided is for adapters of a base that sees structure")
        if not self.adapter.structure:
            raise ValueError(
                "adapter.structure must be true: this base sees no structure without it"
            )
        if len(set(self.labels)) < len(self.labels) or "" in self.labels:
            raise ValueError("labels must be different names")
        if not 0 <= self.stop_copying <= 1:
            raise ValueError("stop_copying must lie in [0, 1]")
        if any(width % 8 or width < 8 for width in self.structure_widths):
            raise ValueError(
                f"structure_widths must be multiples of 8 from 8, not {self.structure_widths}"
            )
