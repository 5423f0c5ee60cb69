"""Parts of a batch: random numbers of a step never depend on how many parts it is divided into."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar, overload, runtime_checkable

import torch
from torch import Tensor, nn

from ...core.errors import BadRecipe
from ..recipes.loop import LoopPlan

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Part:
    """Part `index` of `count` of a batch: every `count`-th item."""

    index: int
    count: int

    @overload
    def take(self, items: Tensor) -> Tensor: ...

    @overload
    def take(self, items: list[_Item]) -> list[_Item]: ...

    def take(self, items: Tensor | list[_Item]) -> Tensor | list[_Item]:
        """This part of a whole batch's items, along the first axis."""
        return items[self.index :: self.count]


WHOLE_BATCH = Part(0, 1)


class UndividedTask(Protocol):
    """A task whose batches are trained whole, by one process."""

    def loss(self, step: int, generator: torch.Generator) -> Tensor:
        """Loss of one batch (scalar)."""


@runtime_checkable
class DivisibleTask(Protocol):
    """A task whose batches can be divided into parts."""

    @property
    def max_parts(self) -> int:
        """Number of parts that have an item each, even of the smallest batch."""

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


@runtime_checkable
class PreparingTask(DivisibleTask, Protocol):
    """A task that can prepare a batch while its networks still learn from the one before."""

    def prepare(
        self,
        step: int,
        generator: torch.Generator,
        part: Part = WHOLE_BATCH,
    ) -> Any:
        """A part of a batch, from the generator alone: networks may change meanwhile."""

    def prepared_loss(self, prepared: Any) -> Tensor:
        """Loss of what `prepare` gave, as that of `loss`."""


def parts_of_process(
    plan: LoopPlan,
    *,
    process: int,
    processes: int,
) -> tuple[Part, ...]:
    """The parts of each batch that one process computes."""
    count = plan.accumulate * processes
    indices = range(process, count, processes)
    return tuple(Part(index, count) for index in indices)


def check_divisible(
    task: object,
    plan: LoopPlan,
    processes: int,
) -> None:
    """Refuse more parts than a task's batches can be divided into.

    Raises:
        BadRecipe: with the number of parts that they can be divided into.
    """
    count = plan.accumulate * processes
    if count == 1:
        return
    reason = _why_indivisible(task, plan, count)
    if reason:
        requested = (
            f"loop.accumulate is {plan.accumulate} on {processes} process(es), "
            f"{count} parts a batch"
        )
        raise BadRecipe("loop", [f"{requested}, {reason}"])


def _why_indivisible(
    task: object,
    plan: LoopPlan,
    count: int,
) -> str:
    """Why a task's batches cannot be divided into so many parts; "" where they can."""
    if not isinstance(task, DivisibleTask):
        return "but this task's loss is one of a whole batch: it needs accumulate 1 and one process"
    if plan.batch % count:
        return f"but loop.batch, {plan.batch}, is no multiple of that"
    if task.max_parts < count:
        return f"but batches of its largest crops hold {task.max_parts} item(s)"
    return ""


def losses_of_parts(
    task: UndividedTask | DivisibleTask,
    batches: Iterable[tuple[int, torch.Generator]],
    parts: Sequence[Part],
) -> Iterator[Callable[[], Tensor]]:
    """What computes the loss of each part of each batch, in their order.

    What goes through them prepares batches, if the task can: so a thread may do that ahead.

    Args:
        task: that `check_divisible` let pass.
        batches: number and generator of the step of each; every part begins with a copy of it.
        parts: of each batch.
    """
    for step, generator in batches:
        for part in parts:
            own = generator.clone_state()
            if isinstance(task, PreparingTask):
                yield partial(task.prepared_loss, task.prepare(step, own, part))
            elif isinstance(task, DivisibleTask):
                yield partial(task.loss, step, own, part)
            else:
                yield partial(task.loss, step, own)


def enable_checkpointing(modules: Mapping[str, nn.Module]) -> None:
    """Let networks compute activations again in the backward pass instead of keeping them.

    Raises:
        BadRecipe: none of them can.
    """
    able = []
    for module in modules.values():
        if getattr(module, "_supports_gradient_checkpointing", False):
            able.append(module)
    if not able:
        names = ", ".join(modules)
        problem = f"checkpointing is true, but none of its networks ({names}) can do so"
        raise BadRecipe("loop", [problem])
    for module in able:
        module.enable_gradient_checkpointing()  # type: ignore[operator]
