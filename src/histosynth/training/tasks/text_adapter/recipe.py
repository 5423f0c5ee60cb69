"""What a recipe of an adapter on a text-conditioned base may hold: `base = "..."` in place of
`start`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ....core.recipe import PathText
from ....core.seeds import check_recipe_seed
from ...balance.rare_labels import RareLabelOptions
from ...data.plan import DataPlan
from ...data.prompts import Prompts
from ...loop.plan import LoopPlan
from ..diffusion.adapter_options import AdapterPlan
from ..diffusion.recipe import DiffusionPlan, check_labels, check_structure_widths


def _cross_attention_with_structure() -> AdapterPlan:
    return AdapterPlan(targets=("cross-attention",), structure=True)


@dataclass(frozen=True)
class TextAdapterRecipe:
    """`task = "global"` or `"local"` with `base`: an adapter on a text-conditioned base, and the
    structure encoder it needs.

    The base is a folder in diffusers' layout (Stable Diffusion 1 or 2, their inpainting variants,
    PixArt), `owner/name[@revision]` on the hub, or one `.safetensors` file. It is never written to,
    and not copied.
    """

    task: Literal["global", "local"]
    base: PathText
    loop: LoopPlan
    data: DataPlan
    conditions: DiffusionPlan
    prompts: Prompts = field(default_factory=Prompts)
    labels: tuple[str, ...] = ()
    """Labels, such as subtypes, with a prompt of their own; tiles with any other label are
    refused."""
    adapter: AdapterPlan = field(default_factory=_cross_attention_with_structure)
    structure_widths: tuple[int, ...] = ()
    """Own widths of the structure encoder, one for each input of the base that takes structure;
    empty: half of its channels, at most 256."""
    rare_labels: RareLabelOptions = field(default_factory=RareLabelOptions)
    stop_copying: float = 0.1
    """Share of validation pictures that may be suspected copies; more stop the run, 1 never."""
    base_config: PathText = ""
    """For a single file: a folder in diffusers' layout with its tokenizer and configs."""
    prediction: Literal["", "epsilon", "v_prediction"] = ""
    """For a single file: what it predicts, where that cannot be read from it."""
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
        check_labels(self.labels)
        if not 0 <= self.stop_copying <= 1:
            raise ValueError("stop_copying must lie in [0, 1]")
        check_structure_widths(self.structure_widths)
