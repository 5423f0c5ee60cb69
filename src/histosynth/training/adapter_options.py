"""What a recipe may say of an adapter, and of the guidance that it may learn."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_RANK = 1024
_CROSS = ("attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0")
_ALL = ("to_q", "to_k", "to_v", "to_out.0")
PRESETS = {
    "cross-attention": _CROSS,
    "attention": _ALL,
    "attention+conv": (*_ALL, "conv1", "conv2", "conv_shortcut"),
}
"""Names for kinds of layers; the first is SarcoDiff's."""


@dataclass(frozen=True)
class GuidedPlan:
    """Guidance that an adapter learns instead of tissue; see training/guidance_distillation.py.
    Both 0: it learns tissue.
    """

    nuclei: float = 0.0
    """How far to go beyond the base's answer, away from its answer when no nuclei are told."""
    classes: float = 0.0
    """The same, away from its answer when no kinds are told; needs a base trained with
    `drop_classes`."""
    span: tuple[float, float] = (0.0, 1.0)
    """Times, 1 all noise and 0 none, between which guidance works."""

    def __post_init__(self) -> None:
        if min(self.nuclei, self.classes) < 0:
            raise ValueError("guidance cannot be negative")
        if not 0 <= self.span[0] < self.span[1] <= 1:
            raise ValueError(
                f"span must be two times in [0, 1], the smaller first, not {self.span}"
            )

    def __bool__(self) -> bool:
        return bool(self.nuclei or self.classes)


@dataclass(frozen=True)
class AdapterPlan:
    """A LoRA adapter (Hu et al. 2021)."""

    rank: int = 16
    alpha: float = 16.0
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
    dropout: float = 0.0
    """Chance that an adapter's input is dropped in training."""
    structure: bool = False
    """Train the structure encoder too. Only for a base that has not seen structure."""
    guided: GuidedPlan = field(default_factory=GuidedPlan)

    def __post_init__(self) -> None:
        if not 1 <= self.rank <= MOST_RANK:
            raise ValueError(f"rank must lie in 1..{MOST_RANK}, not {self.rank}")
        if self.alpha <= 0:
            raise ValueError(f"alpha must be positive, not {self.alpha}")
        if not self.targets or "" in self.targets:
            raise ValueError("targets must name at least one kind of layer")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), not {self.dropout}")
        if self.structure and self.guided:
            raise ValueError(
                "an adapter that learns guidance cannot train the structure encoder too"
            )

    @property
    def layers(self) -> tuple[str, ...]:
        """The targets, presets spelt out, each once."""
        spelt = (name for target in self.targets for name in PRESETS.get(target, (target,)))
        return tuple(dict.fromkeys(spelt))
