"""The records of a run, which the first process keeps: log, trackers, best weights, stop rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...core.progress import StepCallback
from ...core.tile import Pixels
from ..recipes.loop import LoopPlan
from .best_weights import BestWeights
from .run_log import RunLog
from .state import TrainState
from .trackers import open_trackers

StopRule = Callable[[int, Mapping[str, Any]], str | None]
"""Called with a step and its validation numbers; a sentence ends the run."""


class RunRecords:
    """The records of one session of a run.

    Args:
        run: its folder.
        plan: how often to log, and to which trackers.
        step: where the session begins.
        on_step: called after each step.
        stop_rule: called after each validation. Validations of earlier sessions are replayed to it
            first, from the log, so that it decides as if the run had never been interrupted.
    """

    def __init__(
        self,
        run: Path,
        plan: LoopPlan,
        step: int,
        *,
        on_step: StepCallback | None,
        stop_rule: StopRule | None,
    ) -> None:
        self.run = run
        self.plan = plan
        self.on_step = on_step
        self.stop_rule = stop_rule
        self.log = RunLog(run / "log.jsonl", step)
        self.best = BestWeights(run)
        self.trackers = open_trackers(plan.trackers, run)
        self._replay_validations()

    def _replay_validations(self) -> None:
        if self.stop_rule is None:
            return
        for row in self.log.earlier_rows:
            numbers = {key: value for key, value in row.items() if key.startswith("validation_")}
            if numbers:
                self.stop_rule(int(row["step"]), numbers)

    def record_step(
        self,
        step: int,
        numbers: Mapping[str, float],
        *,
        overflowed: bool,
    ) -> None:
        """Record a step. One that overflowed is always logged, without its infinite numbers."""
        finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
        if self.on_step:
            self.on_step(step, finite)
        if overflowed or step % self.plan.log_every == 0:
            row = self.log.append(step, finite)
            self.trackers.log(step, row)

    def record_validation(
        self,
        step: int,
        numbers: Mapping[str, float],
        picture: Pixels,
        file: Path,
    ) -> str:
        """Record a validation, after `run/weights` was written.

        Args:
            step: of the run.
            numbers: of the validation.
            picture: (H, W, 3) uint8.
            file: where the picture lies.

        Returns:
            Why to stop; "" to go on.
        """
        row = self.log.append(step, numbers)
        self.trackers.log(step, row)
        self.trackers.log_picture(step, picture, file)
        reason = self.stop_rule(step, row) if self.stop_rule else None
        if reason:
            # weights that end a run, for instance because they copy, are not its best
            self.log.append(step, {"stopped": reason})
            return reason
        loss = numbers.get("validation_loss")
        if loss is not None:
            self.best.offer(step, loss, self.run / "weights")
        return ""

    def close(self) -> None:
        """Let the trackers write what they hold back."""
        self.trackers.close()


def step_numbers(
    state: TrainState,
    loss: float,
    norm: float,
    steps_per_s: float,
) -> dict[str, float]:
    """The numbers of a step: loss, gradient norm, speed; in fp16 the loss scale and overflows so
    far.

    Images a second are items of the recipe's batch: smaller crops count by their pixels.
    """
    numbers = {
        "loss": loss,
        "gradient_norm": norm,
        "steps_per_s": steps_per_s,
        "images_per_s": steps_per_s * state.plan.batch,
    }
    if state.scaler:
        numbers["skipped"] = state.scaler.skipped
        numbers["loss_scale"] = state.scaler.scale
    return numbers
