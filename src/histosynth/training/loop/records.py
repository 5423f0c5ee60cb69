"""What the first process keeps and says of a run: log, trackers, progress, best weights, when to
stop.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from ...core.tile import Pixels
from .best_weights import Best
from .plan import LoopPlan
from .run_log import RunLog
from .state import TrainState
from .trackers import open_trackers

StepCallback = Callable[[int, Mapping[str, float]], None]
StopRule = Callable[[int, Mapping[str, float]], str | None]


class Records:
    """Of one sitting of a run.

    Args:
        run: its folder.
        plan: how often to log, and whom to tell.
        step: where the sitting begins.
        on_step: told of each step.
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
        self.best = Best(run)
        self.trackers = open_trackers(plan.trackers, run)
        for row in self.log.kept:
            numbers = {key: value for key, value in row.items() if key.startswith("validation_")}
            if stop_rule and numbers:
                stop_rule(int(row["step"]), numbers)

    def stepped(
        self,
        step: int,
        numbers: Mapping[str, float],
        *,
        overflowed: bool,
    ) -> None:
        """A step was taken. One that overflowed is always logged, without what are no numbers."""
        finite = {key: value for key, value in numbers.items() if math.isfinite(value)}
        if self.on_step:
            self.on_step(step, finite)
        if overflowed or step % self.plan.log_every == 0:
            self.trackers.add(step, self.log.add(step, finite))

    def looked(
        self,
        step: int,
        numbers: Mapping[str, float],
        sheet: Pixels,
        file: Path,
    ) -> str:
        """A look was taken, and `run/weights` written; returns why to stop, or nothing."""
        row = self.log.add(step, numbers)
        self.trackers.add(step, row)
        self.trackers.show(step, sheet, file)
        reason = (self.stop_rule(step, row) if self.stop_rule else None) or ""
        if reason:  # weights that end a run, say because they copy, are not its best
            self.log.add(step, {"stopped": reason})
        elif (loss := numbers.get("validation_loss")) is not None:
            self.best.offer(step, loss, self.run / "weights")
        return reason

    def close(self) -> None:
        """Let the trackers write what they hold back."""
        self.trackers.finish()


def step_numbers(
    state: TrainState,
    loss: float,
    norm: float,
    rate: float,
) -> dict[str, float]:
    """What is told of a step: loss, gradient norm, speed; in fp16 the loss scale and overflows so
    far.

    Images a second are items of the recipe's batch: smaller crops count by their pixels.
    """
    numbers = {
        "loss": loss,
        "gradient_norm": norm,
        "steps_per_s": rate,
        "images_per_s": rate * state.plan.batch,
    }
    if state.scaler:
        numbers |= {"skipped": state.scaler.skipped, "loss_scale": state.scaler.scale}
    return numbers
