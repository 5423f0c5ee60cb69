"""The `[loop]` table of a recipe: how long, how fast, on how much, how often to validate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from ...core.recipe_checks import check_table
from ...core.recipe_limits import (
    AtLeastOne,
    Limits,
    NotNegative,
    Positive,
    Share,
    ShareBelowOne,
    ZeroOrMore,
)

TrackerName = Literal["tensorboard", "wandb", "mlflow"]
LearningRate = Annotated[float, Limits(above=0, most=1)]
Decay = ShareBelowOne


@dataclass(frozen=True)
class LoopPlan:
    """How long, how fast, how often to validate. The defaults are those of adapters."""

    steps: AtLeastOne = 1500
    """Batches that are learned from."""
    batch: AtLeastOne = 6
    """Items a step, over all processes and parts together."""
    learning_rate: LearningRate = 5e-4
    """The largest one, between warm-up and cooldown."""
    warmup: ZeroOrMore = 200
    """Steps in which the learning rate rises."""
    cooldown: Share = 0.25
    """Last part of the steps in which the learning rate falls (cosine); 1: all of them after the
    warm-up."""
    min_learning_rate_share: Share = 0.05
    """The learning rate at the end, as a share of `learning_rate`."""
    weight_decay: NotNegative = 0.01
    """Of AdamW."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Of AdamW."""
    clip_norm: Positive = 1.0
    """Largest norm of the gradient of a step."""
    ema: Decay = 0.999
    """Decay a step of the average of the weights, which is validated and written."""
    validate_every: AtLeastOne = 1000
    """Steps between validations, each with a sheet of pictures."""
    checkpoint_every: AtLeastOne = 500
    """Steps between checkpoints, from which a run that was killed continues."""
    log_every: AtLeastOne = 20
    """Steps between lines of log.jsonl."""
    precision: Literal["auto", "bf16", "fp32", "fp16"] = "auto"
    """Number type that the networks compute in; auto: bf16 where the device has instructions for
    it, else fp32, which is 3 times as fast there. Weights, moments and averages are fp32 always;
    fp16 scales its loss."""
    accumulate: AtLeastOne = 1
    """Parts that a process divides its share of a batch into: less memory, the same batch."""
    checkpointing: bool = False
    """Compute activations again instead of keeping them: less memory, a third slower, the same
    numbers."""
    optimiser: Literal["adamw", "fused", "adamw8bit"] = "fused"
    """AdamW: array by array; in one kernel; or with moments of 8 bits (bitsandbytes)."""
    trackers: tuple[TrackerName, ...] = ("tensorboard",)
    """Trackers besides log.jsonl: tensorboard if it is installed; wandb and mlflow, both
    offline."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_decay(self) -> None:
        if not self.weight_decay * self.learning_rate < 1:
            raise ValueError(
                f"weight_decay must be below 1 / learning_rate, not {self.weight_decay}"
            )

    def _check_parts(self) -> None:
        if self.batch % self.accumulate:
            raise ValueError(
                f"accumulate must divide batch, {self.batch}, but is {self.accumulate}"
            )

    def _check_trackers(self) -> None:
        if len(set(self.trackers)) < len(self.trackers):
            raise ValueError(f"trackers must be different ones, not {', '.join(self.trackers)}")
