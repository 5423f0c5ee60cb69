"""Parts of a batch: what is drawn for a step never depends on how many share the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar, overload, runtime_checkable

import torch
from torch import Tensor, nn

from ...core.errors import BadRecipe
from .plan import LoopPlan

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """Part `index` of `count` of a batch: every `count`-th item."""

    index: int
    count: int

    @overload
    def take(self, items: Tensor) -> Tensor: ...

    @overload
    def take(self, items: list[Item]) -> list[Item]: ...

    def take(self, items: Tensor | list[Item]) -> Tensor | list[Item]:
        """The part's own of a whole batch's items, along the first axis."""
        return items[self.index :: self.count]


WHOLE_BATCH = Part(0, 1)


class UndividedTask(Protocol):
    """A task whose batches are trained whole, by one process."""

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch (scalar)."""


@runtime_checkable
class DivisibleTask(Protocol):
    """A task whose batches can be cut into parts."""

    @property
    def max_parts(self) -> int:
        """So many parts have an item each, even of the smallest batch."""

    def loss(
        self,
        step: int,
        generator: torch.Generator,
        part: Part = WHOLE_BATCH,
    ) -> Tensor:
        """Loss of one part (scalar). Randomness is drawn for the whole batch, whatever the part.

        The mean of the parts' losses is the batch's loss: a part of fewer items weighs its own
        less.
        """


def parts_of_process(plan: LoopPlan, *, process: int, processes: int) -> tuple[Part, ...]:
    """What one process takes of each batch."""
    many = plan.accumulate * processes
    return tuple(Part(turn * processes + process, many) for turn in range(plan.accumulate))


def check_divisible(task: object, plan: LoopPlan, processes: int) -> None:
    """Refuse more parts than a task's batches can be cut into.

    Raises:
        BadRecipe: saying into how many they can.
    """
    many = plan.accumulate * processes
    if many == 1:
        return
    asked = f"loop.accumulate is {plan.accumulate} on {processes} process(es), {many} parts a batch"
    if not isinstance(task, DivisibleTask):
        why = "but this task's loss is one of a whole batch: it needs accumulate 1 and one process"
    elif plan.batch % many:
        why = f"but loop.batch, {plan.batch}, is no multiple of that"
    elif task.max_parts < many:
        why = f"but batches of its largest crops hold {task.max_parts} item(s)"
    else:
        return
    raise BadRecipe("loop", [f"{asked}, {why}"])


def part_loss(
    task: UndividedTask | DivisibleTask,
    step: int,
    generator: torch.Generator,
    part: Part,
) -> Tensor:
    """Loss of a part, of a task that was not refused."""
    return (
        task.loss(step, generator, part)
        if isinstance(task, DivisibleTask)
        else task.loss(step, generator)
    )


def enable_checkpointing(modules: Mapping[str, nn.Module]) -> None:
    """Let networks compute activations again in the backward pass instead of keeping them.

    Raises:
        BadRecipe: none of them can.
    """
    able = [
        each
        for each in modules.values()
        if getattr(each, "_supports_gradient_checkpointing", False)
    ]
    if not able:
        names = ", ".join(modules)
        raise BadRecipe(
            "loop", [f"checkpointing is true, but none of its networks ({names}) can do so"]
        )
    for each in able:
        each.enable_gradient_checkpointing()  # type: ignore[operator]
