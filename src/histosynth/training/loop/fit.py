"""The one training loop: steps, validations and checkpoints, whatever is trained.

Each step draws its randomness from (seed, step) alone, so a run that was stopped and goes on gives
the run that was never stopped, bit for bit on the same machine. Nor do random numbers depend on how
many processes and parts share a batch: those change the order of sums, and nothing else.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ...core.ahead import ahead
from ...core.folder_lock import GO_ON
from ...core.progress import StepCallback
from ...core.stopping import Stopped, WaitingStop, deferred_stop
from ...core.synthetic import write_synthetic
from ...core.tile import Pixels
from ..recipes.loop import LoopPlan
from .memory import too_little_memory_for
from .microbatches import (
    Part,
    check_divisible,
    enable_checkpointing,
    losses_of_parts,
    parts_of_process,
)
from .processes import Topology, join_processes
from .records import RunRecords, StopRule, step_numbers
from .run_log import RunLog
from .state import TrainState, refuse_divergence

__all__ = [
    "RunLog",
    "StopRule",
    "TrainTask",
    "fit",
    "module_weights",
    "step_generator",
    "validate_and_preview",
]

_STATE_FILE = "state.safetensors"
_STOPPING = "\nIt stops after this step; once more stops it at once.\n"
_WEIGHTS_FOLDER = "weights"


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
        """A preview, (H, W, 3) uint8."""

    def export(self, folder: Path, averaged: Mapping[str, Tensor]) -> None:
        """Write the weights in their final format.

        `averaged`: float32, by module and name as in `modules`; the modules hold rounded copies.
        """


@dataclass(frozen=True)
class _Session:
    """One session of a run: what does not change while it lasts.

    Attributes:
        records: of the first process; None in the others.
        parts: of each batch, that this process computes.
    """

    task: TrainTask
    state: TrainState
    run: Path
    seed: int
    topology: Topology
    parts: Sequence[Part]
    records: RunRecords | None


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
    first alone writes, validates and calls `on_step` and `stop_rule`; weights are the same in all
    of them.

    Args:
        task: what to train.
        plan: how long and how fast.
        run: folder for state, log, pictures and the exported weights, last and best.
        seed: with the step number, the source of all randomness.
        on_step: called after each step with its numbers.
        stop_rule: called after each validation with its numbers; a sentence ends the run there, in
            order. It is `stopped` of the state, which stays so until the run is given more steps.

    Raises:
        Diverged: a loss, gradient or validation number is not finite; weights and state stay what
            they were. In fp16 gradients may overflow for a few steps, which are left out.
        BadWeights: the state is cut off or of another model.
        BadRecipe: a batch cannot be divided as requested, or no network can compute activations
            again.
        NeedsExtra: the optimiser or a tracker is not installed.
        UnavailableError: another process failed.
        Stopped: a signal came, and the step that it came in is saved as a checkpoint.
        TooLittleMemory: a GPU cannot hold a step.
    """
    device = _device_of(task)
    topology = join_processes(device)
    topology.check_device(device)
    check_divisible(task, plan, topology.processes)
    parts = parts_of_process(
        plan,
        process=topology.process,
        processes=topology.processes,
    )
    if plan.checkpointing:
        enable_checkpointing(task.modules)
    state = TrainState(task.modules, plan)
    checkpoint = run / _STATE_FILE
    if checkpoint.exists():
        state.load(checkpoint)
    topology.agree("start", state.digest)

    def open_records() -> RunRecords:
        return RunRecords(
            run,
            plan,
            state.step,
            on_step=on_step,
            stop_rule=stop_rule,
        )

    records = topology.on_first_process(open_records)
    session = _Session(
        task,
        state,
        run,
        seed,
        topology,
        parts,
        records,
    )
    note = _STOPPING if topology.is_first else ""
    try:
        with deferred_stop(note) as waiting_stop:
            _train(session, waiting_stop)
            topology.on_first_process(lambda: task.export(run / _WEIGHTS_FOLDER, state.ema))
    finally:
        if records:
            records.close()
    return state


def _device_of(task: TrainTask) -> torch.device:
    for module in task.modules.values():
        for parameter in module.parameters():
            return parameter.device
    raise ValueError("the task has no parameters")


def _train(session: _Session, waiting_stop: WaitingStop) -> None:
    """Take the steps that are left.

    Raises:
        Stopped: a signal came; the checkpoint of the last step is written.
    """
    state = session.state
    plan = state.plan
    topology = session.topology
    began = time.monotonic()
    first_step = state.step
    with _losses(session) as losses:
        while state.step < plan.steps and not state.stopped:
            loss = state.average_gradients(topology, _backward(session, losses))
            if state.scaler is None:
                refuse_divergence(state.step, {"loss": loss})
            norm = state.apply_gradients()
            if session.records:
                steps_per_s = (state.step - first_step) / (time.monotonic() - began)
                session.records.record_step(
                    state.step,
                    step_numbers(
                        state,
                        loss,
                        norm,
                        steps_per_s,
                    ),
                    overflowed=state.overflowed,
                )
            is_last = state.step == plan.steps
            if state.step % plan.validate_every == 0 or is_last:
                reason = topology.on_first_process(lambda: _validate(session))
                state.stop(topology.broadcast(reason or ""))
            _checkpoint(session, _common_stop(topology, waiting_stop()))


@contextmanager
def _losses(session: _Session) -> Iterator[Iterator[Callable[[], Tensor]]]:
    """Inside the block: the loss of each part of each step that is left, one after the other.

    A GPU would wait while a batch is prepared: there a thread prepares the next one meanwhile.
    """
    steps = range(session.state.step, session.state.plan.steps)
    losses = losses_of_parts(
        session.task,
        ((step, step_generator(session.seed, step)) for step in steps),
        session.parts,
    )
    if not prepares_ahead(_device_of(session.task)):
        yield losses
        return
    with ahead(losses) as found:
        yield found


def prepares_ahead(device: torch.device) -> bool:
    """Whether the CPU is free to prepare a batch while networks on this device learn."""
    return device.type == "cuda"


def _checkpoint(session: _Session, stop: Stopped | None) -> None:
    """Save the state where it is due, or before a signal ends the run.

    A run that is at its end goes on, for it only has to write its weights.

    Raises:
        Stopped: the signal, after the state was saved.
    """
    state = session.state
    plan = state.plan
    topology = session.topology
    is_end = state.step == plan.steps or bool(state.stopped)
    if state.step % plan.checkpoint_every == 0 or is_end or stop:
        topology.agree("set of weights", state.digest)
        topology.on_first_process(lambda: state.save(session.run / _STATE_FILE))
    if stop is None or is_end:
        return
    stop.state(
        f"the checkpoint of step {state.step:,} of {plan.steps:,} is in {session.run}",
        GO_ON,
    )
    raise stop


def _common_stop(topology: Topology, own: Stopped | None) -> Stopped | None:
    """A signal that any of the processes received: they end after the same step."""
    if topology.processes == 1:
        return own
    share = torch.tensor([float(own is not None)])
    topology.mean_(share)
    if not float(share):
        return None
    return own or Stopped(signal.SIGTERM)


def _backward(
    session: _Session,
    losses: Iterator[Callable[[], Tensor]],
) -> float:
    """Gradients of this process' parts of a step's batch; returns their mean loss."""
    state = session.state
    for module in session.task.modules.values():
        module.train()
    found = []
    seed = step_generator(session.seed, state.step).initial_seed()
    for part in session.parts:
        loss_of_part = next(losses)
        # what a network draws itself, for instance which features to drop, is of the step too
        torch.manual_seed(seed ^ part.index)
        try:
            loss = loss_of_part()
            state.backward(loss / len(session.parts))
        except torch.OutOfMemoryError:
            loss = None
        if loss is None:  # here the traceback, which holds the tensors, is gone
            raise too_little_memory_for(session.task, state.plan, session.topology.processes)
        found.append(loss.detach())
    return float(torch.stack(found).mean())


def _validate(session: _Session) -> str:
    """Validate and record it; returns why to stop, or ""."""
    state = session.state
    numbers, picture, file = validate_and_preview(
        session.task,
        state,
        session.run,
    )
    if session.records is None:
        return ""
    return session.records.record_validation(
        state.step,
        numbers,
        picture,
        file,
    )


@torch.no_grad()
def validate_and_preview(
    task: TrainTask,
    state: TrainState,
    run: Path,
) -> tuple[dict[str, float], Pixels, Path]:
    """Validate with the EMA weights; put a picture into the run folder, and the weights.

    Returns:
        Numbers, the picture (H, W, 3) uint8, and its file.
    """
    for module in task.modules.values():
        module.eval()
    with state.ema_weights():
        numbers = {f"validation_{key}": value for key, value in task.validate().items()}
        refuse_divergence(state.step, numbers)
        picture = np.ascontiguousarray(task.picture())
        file = run / "pictures" / f"{state.step:07d}.png"
        write_synthetic(file, picture, {"verb": "train", "step": state.step})
    task.export(run / _WEIGHTS_FOLDER, state.ema)
    return numbers, picture, file


def step_generator(seed: int, step: int) -> torch.Generator:
    """The generator of one step, the same for a resumed run and an uninterrupted one."""
    sequence = np.random.SeedSequence([seed, step])
    high, low = (int(word) for word in sequence.generate_state(2, np.uint32))
    return torch.Generator().manual_seed(high << 31 | low >> 1)


def module_weights(averaged: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of one module, by their name in it."""
    prefix = f"{name}."
    weights = {}
    for key, value in averaged.items():
        if key.startswith(prefix):
            weights[key.removeprefix(prefix)] = value
    return weights
