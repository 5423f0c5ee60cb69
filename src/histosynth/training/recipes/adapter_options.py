"""What a recipe may hold of an adapter, and of the guidance that it may learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from ...core.recipe import PathText
from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    Limits,
    NotNegative,
    Positive,
    Share,
    ShareBelowOne,
)

MAX_RANK = 1024
AddedStrength = Annotated[float, Limits(least=-1.0, most=10.0)]
"""Of guidance, beside another one; below 0 it leads the other way."""
_CROSS_ATTENTION = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
PRESETS = {
    "cross-attention": _CROSS_ATTENTION,
    "attention": _ATTENTION,
    "attention+conv": (*_ATTENTION, "conv1", "conv2", "conv_shortcut"),
}
"""Names for groups of layers; the first is SarcoDiff's."""


@dataclass(frozen=True)
class GuidedPlan:
    """Guidance that an adapter learns instead of tissue; see guidance_distillation.py. Both 0: it
    learns tissue.
    """

    nuclei: NotNegative = 0.0
    """Strength of guidance away from the base's output without nuclei."""
    nuclei_of: dict[str, AddedStrength] = field(default_factory=dict)
    """By class, what is added to `nuclei` around nuclei of this class: above 0 they become rounder,
    darker and easier to find, below 0 less so."""
    classes: NotNegative = 0.0
    """Strength of guidance away from the base's output for nuclei without classes; needs a base
    trained with `drop_classes`."""
    span: tuple[Share, Share] = (0.0, 1.0)
    """Times, 1 all noise and 0 none, between which guidance works."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_span(self) -> None:
        low, high = self.span
        if not low < high:
            raise ValueError(f"span must be two times, the smaller first, not {self.span}")

    def __bool__(self) -> bool:
        return bool(self.nuclei or self.classes or any(self.nuclei_of.values()))

    def strengths_of(self, classes: Sequence[str]) -> tuple[float, ...]:
        """Strength away from the output without nuclei, around nuclei of each class."""
        return tuple(self.nuclei + self.nuclei_of.get(name, 0.0) for name in classes)


@dataclass(frozen=True)
class FewStepsPlan:
    """Few steps that an adapter learns to take where another takes many; see
    few_steps_distillation.py. `steps` of 0: it learns tissue or guidance.
    """

    steps: Annotated[int, Limits(least=0, most=8)] = 0
    """Euler's steps of the new adapter, `global-few-steps` or `local-few-steps`."""
    teacher_steps: Annotated[int, Limits(least=1, most=100)] = 8
    """UniPC's steps of the adapter that it learns from, a multiple of `steps`."""
    start: PathText = ""
    """Folder of an adapter of few steps to begin with, of the same rank and layers, whatever its
    teacher was. Empty: a new one."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_teacher_steps(self) -> None:
        if self.start and not self.steps:
            raise ValueError("few_steps.start needs few_steps.steps")
        if self.steps and self.teacher_steps % self.steps:
            raise ValueError(
                f"teacher_steps must be a multiple of steps, {self.steps}, not {self.teacher_steps}"
            )

    def __bool__(self) -> bool:
        return self.steps > 0


@dataclass(frozen=True)
class AdapterPlan:
    """A LoRA adapter (Hu et al. 2021)."""

    rank: Annotated[int, Limits(least=1, most=MAX_RANK)] = 16
    """Rank of the two matrices of a layer."""
    alpha: Positive = 16.0
    """The adapter is scaled by alpha / rank."""
    targets: tuple[str, ...] = (
        "conv1",
        "conv2",
        "conv_shortcut",
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
    )
    """Layers by the end of their names, or presets: `cross-attention`, `attention`,
    `attention+conv`."""
    dropout: ShareBelowOne = 0.0
    """Chance that an adapter's input is dropped in training."""
    structure: bool = False
    """Train the structure encoder too. Only for a base that was trained without structure."""
    shapes: bool = False
    """Learn to follow sizes and shapes of nuclei: those of the training tiles are measured, and
    the adapter gets a structure encoder of its own, which starts as the base's. Guidance is then
    added to what tissue teaches."""
    guided: GuidedPlan = field(default_factory=GuidedPlan)
    few_steps: FewStepsPlan = field(default_factory=FewStepsPlan)
    """Learn to do in few steps what the adapter of `start` does in many."""
    start: PathText = ""
    """Folder of an adapter to begin with, of the same task, base, rank and layers: `weights/` of a
    run. `compact`: the one in the package. Empty: a new one."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_targets(self) -> None:
        if not self.targets or "" in self.targets:
            raise ValueError("targets must name at least one layer or preset")

    def _check_what_is_learned(self) -> None:
        if self.structure and self.guided:
            raise ValueError(
                "an adapter that learns guidance cannot train the structure encoder too"
            )

    def _check_few_steps(self) -> None:
        if not self.few_steps:
            return
        if not self.start:
            raise ValueError("few_steps needs start, the adapter to learn from")
        if self.guided or self.structure:
            raise ValueError(
                "an adapter that learns few steps has the guidance and the structure encoder of "
                "the one that it learns from: leave guided and structure out"
            )

    @property
    def trains_structure(self) -> bool:
        """Whether the adapter gets a structure encoder of its own."""
        return not self.few_steps and (self.structure or self.shapes)

    @property
    def layers(self) -> tuple[str, ...]:
        """The targets with presets expanded, each once."""
        expanded: list[str] = []
        for target in self.targets:
            expanded += PRESETS.get(target, (target,))
        return tuple(dict.fromkeys(expanded))
