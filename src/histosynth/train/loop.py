"""The one training loop. It knows steps, checkpoints and when to look; never what is trained.

Each step draws its randomness from (seed, step) alone, so a run that was stopped and goes on
is the run that was never stopped, bit for bit on the same machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import BadRun
from ..core.store import ensure_folder, write_text
from ..core.synthetic import write_marked
from ..core.tile import Pixels
from .plan import LoopPlan
from .state import TrainState, refuse_divergence


class TrainTask(Protocol):
    """What the loop needs to be told of a task."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Modules by name; their parameters that require gradients are trained."""

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch (scalar), all randomness from `generator`."""

    def validate(self) -> Mapping[str, float]:
        """Numbers on held-out patients, with fixed noise; lower `loss` is better."""

    def picture(self) -> Pixels:
        """A sheet to look at."""

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """Write the weights in their final format.

        `averaged`: float32, by module and name as in `modules`; the modules hold rounded copies.
        """


Report = Callable[[int, Mapping[str, float]], None]


def fit(
    task: TrainTask,
    plan: LoopPlan,
    run: Path,
    *,
    seed: int,
    report: Report | None = None,
) -> TrainState:
    """Train until `plan.steps`, going on from `run/state.safetensors` if it is there.

    Args:
        task: what to train.
        plan: how long and how fast.
        run: folder for state, log, pictures and the exported weights.
        seed: with the step number, the source of all randomness.
        report: called after each step with its numbers.

    Raises:
        Diverged: a loss, gradient or validation number is none; weights and state stay what they were.
        BadWeights: the state is cut off or of another model.
    """
    state = TrainState(task.modules, plan)
    checkpoint = run / "state.safetensors"
    if checkpoint.exists():
        state.load(checkpoint)
    log = RunLog(run / "log.jsonl", state.step)
    began, first = time.monotonic(), state.step
    while state.step < plan.steps:
        step = state.step
        for module in task.modules.values():
            module.train()
        loss = task.loss(step, step_generator(seed, step))
        refuse_divergence(step, {"loss": loss.item()})
        loss.backward()  # type: ignore[no-untyped-call]
        norm = state.apply_gradients()
        rate = (state.step - first) / (time.monotonic() - began)
        numbers = {"loss": loss.item(), "gradient_norm": norm, "steps_per_s": rate}
        if report:
            report(state.step, numbers)
        if state.step % plan.log_every == 0:
            log.add(state.step, numbers)
        if state.step % plan.validate_every == 0 or state.step == plan.steps:
            log.add(state.step, look(task, state, run))
        if state.step % plan.checkpoint_every == 0 or state.step == plan.steps:
            state.save(checkpoint)
    task.export(run / "weights", state.ema)
    return state


@torch.no_grad()
def look(task: TrainTask, state: TrainState, run: Path) -> dict[str, float]:
    """Validate with the EMA weights and put a picture into the run folder."""
    for module in task.modules.values():
        module.eval()
    with state.averaged():
        numbers = {f"validation_{key}": value for key, value in task.validate().items()}
        refuse_divergence(state.step, numbers)
        sheet = np.ascontiguousarray(task.picture())
        write_marked(run / "pictures" / f"{state.step:07d}.png", sheet, {"verb": "train", "step": state.step})
    task.export(run / "weights", state.ema)
    return numbers


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one step, the same for a resumed run and an uninterrupted one."""
    words = np.random.SeedSequence([seed, step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


class RunLog:
    """`log.jsonl`: one line of numbers a time; lines after the resumed step are dropped."""

    def __init__(self, path: Path, step: int) -> None:
        ensure_folder(path.parent)
        self.path = path
        try:  # a line that is not UTF-8 is one that was spoilt
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        except OSError as error:
            raise BadRun(path, f"it cannot be read: {error.strerror or error}") from error
        kept = [line for line in lines if _step_of(line) <= step]
        write_text(path, "".join(f"{line}\n" for line in kept))

    def add(self, step: int, numbers: Mapping[str, float]) -> None:
        """Append the numbers of a step."""
        row = {"step": step, **{key: round(value, 6) for key, value in numbers.items()}}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")


def _step_of(line: str) -> float:
    """The step a line of the log tells of; infinite for one that was cut off or spoilt."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return float("inf")


def of_module(averaged: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of one module, by their name in it."""
    return {
        key.removeprefix(f"{name}."): value for key, value in averaged.items() if key.startswith(f"{name}.")
    }
