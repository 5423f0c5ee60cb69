"""The one training loop. It knows steps, checkpoints and when to look; never what is trained.

Each step draws its randomness from (seed, step) alone, so a run that was stopped and goes on
is the run that was never stopped, bit for bit on the same machine. Nor does what is drawn depend on
how many processes and parts share a batch: those change the order of sums, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core.synthetic import write_synthetic
from ...core.tile import Pixels
from .microbatches import Part, check_divisible, enable_checkpointing, part_loss, parts_of_process
from .plan import LoopPlan
from .processes import Topology, join_processes
from .records import Records, StepCallback, StopRule, step_numbers
from .run_log import RunLog
from .state import TrainState, refuse_divergence

__all__ = [
    "StepCallback",
    "RunLog",
    "StopRule",
    "TrainTask",
    "fit",
    "validate_and_preview",
    "module_weights",
    "step_generator",
]


class TrainTask(Protocol):
    """What the loop needs of a task. Batches of a `microbatches.DivisibleTask` can be divided."""

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


def fit(
    task: TrainTask,
    plan: LoopPlan,
    run: Path,
    *,
    seed: int,
    on_step: StepCallback | None = None,
    stop_rule: StopRule | None = None,
) -> TrainState:
    """Train until `plan.steps`, going on from `run/state.safetensors` if it is there.

    Started several times by `accelerate launch` or `torchrun`, the processes share each batch. The
    first alone writes, validates and is asked `report` and `stop`; weights are the same in all of
    them.

    Args:
        task: what to train.
        plan: how long and how fast.
        run: folder for state, log, pictures and the exported weights, last and best.
        seed: with the step number, the source of all randomness.
        on_step: called after each step with its numbers.
        stop_rule: called after each validation with its numbers; a sentence ends the run there, in
            order. It is `stopped` of the state, which stays so until the run is given more steps.

    Raises:
        Diverged: a loss, gradient or validation number is none; weights and state stay what they
            were. In fp16 a gradient may be none for a few steps, which are left out.
        BadWeights: the state is cut off or of another model.
        BadRecipe: a batch cannot be cut as asked, or no network can compute activations again.
        NeedsExtra: the optimiser or a tracker is not installed.
        UnavailableError: another process failed.
    """
    device = next(each for module in task.modules.values() for each in module.parameters()).device
    place = join_processes(device)
    place.refuse_elsewhere(device)
    check_divisible(task, plan, place.processes)
    parts = parts_of_process(plan, process=place.process, processes=place.processes)
    if plan.checkpointing:
        enable_checkpointing(task.modules)
    state = TrainState(task.modules, plan)
    checkpoint = run / "state.safetensors"
    if checkpoint.exists():
        state.load(checkpoint)
    place.agree("start", state.digest)
    records = place.on_first_process(
        lambda: Records(run, plan, state.step, on_step=on_step, stop_rule=stop_rule)
    )
    try:
        _train(
            task,
            state,
            run,
            seed=seed,
            parts=parts,
            place=place,
            records=records,
        )
        place.on_first_process(lambda: task.export(run / "weights", state.ema))
    finally:
        if records:
            records.close()
    return state


def _train(
    task: TrainTask,
    state: TrainState,
    run: Path,
    *,
    seed: int,
    parts: Sequence[Part],
    place: Topology,
    records: Records | None,
) -> None:
    """Take the steps that are left."""
    plan = state.plan
    began = time.monotonic()
    first = state.step
    while state.step < plan.steps and not state.stopped:
        loss = state.share(place, _backward(task, state, seed, parts))
        if state.scaler is None:
            refuse_divergence(state.step, {"loss": loss})
        norm = state.apply_gradients()
        step = state.step
        last = state.step == plan.steps
        if records:
            rate = (step - first) / (time.monotonic() - began)
            overflowed = bool(state.scaler and state.scaler.row)
            records.stepped(
                step,
                step_numbers(state, loss, norm, rate),
                overflowed=overflowed,
            )
        if step % plan.validate_every == 0 or last:
            reason = place.on_first_process(lambda: _look_and_tell(task, state, run, records))
            state.stop(place.broadcast(reason or ""))
        if step % plan.checkpoint_every == 0 or last or state.stopped:
            place.agree("set of weights", state.digest)
            place.on_first_process(lambda: state.save(run / "state.safetensors"))


def _backward(
    task: TrainTask,
    state: TrainState,
    seed: int,
    parts: Sequence[Part],
) -> float:
    """Gradients of this process' parts of a step's batch; returns their mean loss."""
    for module in task.modules.values():
        module.train()
    losses = []
    for part in parts:
        generator = step_generator(seed, state.step)
        # what a network draws itself, say which features to drop, is of the step too
        torch.manual_seed(generator.initial_seed() ^ part.index)
        loss = part_loss(task, state.step, generator, part)
        state.backward(loss / len(parts))
        losses.append(loss.detach())
    return float(torch.stack(losses).mean())


def _look_and_tell(
    task: TrainTask,
    state: TrainState,
    run: Path,
    records: Records | None,
) -> str:
    numbers, sheet, file = validate_and_preview(task, state, run)
    return records.looked(state.step, numbers, sheet, file) if records else ""


@torch.no_grad()
def validate_and_preview(
    task: TrainTask, state: TrainState, run: Path
) -> tuple[dict[str, float], Pixels, Path]:
    """Validate with the EMA weights; put a picture into the run folder, and the weights.

    Returns:
        Numbers, the picture (H, W, 3) uint8, and its file.
    """
    for module in task.modules.values():
        module.eval()
    with state.averaged():
        numbers = {f"validation_{key}": value for key, value in task.validate().items()}
        refuse_divergence(state.step, numbers)
        sheet = np.ascontiguousarray(task.picture())
        file = run / "pictures" / f"{state.step:07d}.png"
        write_synthetic(file, sheet, {"verb": "train", "step": state.step})
    task.export(run / "weights", state.ema)
    return numbers, sheet, file


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one step, the same for a resumed run and an uninterrupted one."""
    words = np.random.SeedSequence([seed, step]).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(words[0]) << 31 | int(words[1]) >> 1)


def module_weights(averaged: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of one module, by their name in it."""
    return {
        key.removeprefix(f"{name}."): value
        for key, value in averaged.items()
        if key.startswith(f"{name}.")
    }
