"""The `[loop]` table of a recipe: how long, how fast, on how much, how often to validate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TrackerName = Literal["tensorboard", "wandb", "mlflow"]


@dataclass(frozen=True)
class LoopPlan:
    """How long, how fast, how often to validate."""

    steps: int
    batch: int
    """Items a step, over all processes and parts together."""
    learning_rate: float
    warmup: int = 200
    cooldown: float = 0.25
    """Last part of the steps in which the learning rate falls (cosine); 1: all of them after the
    warm-up."""
    min_learning_rate_share: float = 0.05
    """The learning rate at the end, as a share of `learning_rate`."""
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip_norm: float = 1.0
    ema: float = 0.999
    validate_every: int = 1000
    checkpoint_every: int = 500
    log_every: int = 20
    precision: Literal["bf16", "fp32", "fp16"] = "bf16"
    """Number type that the networks compute in. Weights, moments and averages are fp32 always; fp16
    scales its loss."""
    accumulate: int = 1
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
        self._check_counts()
        self._check_rates()
        if self.accumulate < 1 or self.batch % self.accumulate:
            raise ValueError(
                f"accumulate must divide batch, {self.batch}, but is {self.accumulate}"
            )
        if len(set(self.trackers)) < len(self.trackers):
            raise ValueError(f"trackers must be different ones, not {', '.join(self.trackers)}")

    def _check_counts(self) -> None:
        counts = (
            self.steps,
            self.batch,
            self.validate_every,
            self.checkpoint_every,
            self.log_every,
        )
        if min(counts) < 1:
            raise ValueError("steps, batch and the intervals must be at least 1")

    def _check_rates(self) -> None:
        if not 0 <= self.cooldown <= 1 or not 0 <= self.min_learning_rate_share <= 1:
            raise ValueError("cooldown and min_learning_rate_share must lie in [0, 1]")
        if not 0 <= self.ema < 1:
            raise ValueError("ema must lie in [0, 1)")
        if not 0 < self.learning_rate <= 1 or not 0 <= self.weight_decay * self.learning_rate < 1:
            raise ValueError(
                "learning_rate must lie in (0, 1] and weight_decay in [0, 1 / learning_rate)"
            )
        if self.clip_norm <= 0 or self.warmup < 0:
            raise ValueError("clip_norm must be positive and warmup not negative")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas must lie in [0, 1), not {self.betas}")
