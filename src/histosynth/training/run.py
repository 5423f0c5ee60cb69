"""From a recipe to a run folder: checks and builds the task, and starts the one loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from ..core.folder_lock import GO_ON, own_folder
from ..core.progress import StepCallback
from ..core.store import remove_file
from ..tensors.denormals import denormals_as_zero
from .loop.fit import fit
from .loop.processes import join_processes
from .loop.state import TrainState
from .precision import with_known_precision
from .resume import refuse_links_of_run, remember
from .tasks.task import RunContext, Task, TrainRecipe

_OLD_LEFTOVER = re.compile(r"\.state-[a-z0-9_]{8}\.safetensors")


def run_task(
    task: Task[Any, Any],
    recipe: TrainRecipe,
    context: RunContext,
    *,
    on_step: StepCallback | None = None,
) -> TrainState:
    """Train as a recipe describes; a run that was begun in the folder goes on.

    Args:
        task: what is trained.
        recipe: of that task.
        context: run folder, device, and what the caller hands in.
        on_step: called after each step with its numbers.

    Raises:
        BadRecipe: the recipe's tiles, start or settings cannot be trained.
        ResumeMismatch: the folder holds a run of another recipe.
        NotWritable: the folder cannot be written.
        FolderInUse: another run trains in it.
    """
    recipe = with_known_precision(recipe, context.run, context.device)
    opened = task.check(recipe, context.base_folder)
    with ExitStack() as stack:
        join_processes(context.device).on_first_process(
            lambda: stack.enter_context(_own_run(context.run))
        )
        remember(recipe, context.run)
        stack.enter_context(denormals_as_zero())
        torch.manual_seed(recipe.seed)
        training = task.build(recipe, opened, context)
        return fit(
            training.train_task,
            recipe.loop,
            context.run,
            seed=recipe.seed,
            on_step=on_step,
            stop_rule=training.stop,
        )


@contextmanager
def _own_run(run: Path) -> Iterator[None]:
    """Hold a run folder, and remove half-written states of earlier releases: they are large."""
    with own_folder(run) as work:
        refuse_links_of_run(run)
        work.done = f"the last checkpoint in {run} is whole"
        work.remedy = GO_ON
        for leftover in run.glob(".state-*.safetensors"):
            if _OLD_LEFTOVER.fullmatch(leftover.name):
                remove_file(leftover)
        yield
