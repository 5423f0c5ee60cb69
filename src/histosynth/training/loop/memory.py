"""Steps that a GPU cannot hold: in how many parts they would fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

from ...core.errors import TooLittleMemory
from ...core.number_format import counted
from ...tensors.gpu_memory import first_that_fits, release_memory, too_little_memory
from ..recipes.loop import LoopPlan
from .microbatches import DivisibleTask, Part, UndividedTask


class _Task(UndividedTask, Protocol):
    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Those that learn."""


def too_little_memory_for(
    task: _Task,
    plan: LoopPlan,
    processes: int,
) -> TooLittleMemory:
    """The error, with what to change in the recipe; more and more parts are tried until they fit.

    Args:
        task: whose step was too large.
        plan: of the loop.
        processes: that share each batch.
    """
    _forget_gradients(task)
    fits = None
    if isinstance(task, DivisibleTask):
        counts = []
        for count in range(plan.accumulate + 1, plan.batch + 1):
            if plan.batch % (count * processes) == 0 and count * processes <= task.max_parts:
                counts.append(count)
        fits = first_that_fits(counts, lambda count: _try_part(task, count * processes))
    remedy = "Set loop.checkpointing = true, train on smaller crops or a smaller batch."
    if fits is not None:
        remedy = f"One of {fits} parts a process fits: set loop.accumulate = {fits} or more."
    elif plan.checkpointing:
        remedy = "Train on smaller crops, a smaller batch or another GPU."
    parts = counted(plan.accumulate, "part")
    parameter = next(parameter for each in task.modules.values() for parameter in each.parameters())
    return too_little_memory(
        parameter.device,
        f"a step of loop.batch {plan.batch} in {parts} a process",
        remedy,
    )


def _try_part(task: DivisibleTask, count: int) -> None:
    """Forward and backward pass of one of `count` parts of a batch; nothing is learnt."""
    generator = torch.Generator().manual_seed(0)
    try:
        loss = task.loss(0, generator, Part(0, count))
        loss.backward()  # type: ignore[no-untyped-call]
    finally:
        _forget_gradients(task)  # type: ignore[arg-type]


def _forget_gradients(task: _Task) -> None:
    for module in task.modules.values():
        module.zero_grad(set_to_none=True)
    release_memory()
