"""From a recipe to a run folder: checks and builds the task, and starts the one loop."""

from __future__ import annotations

from typing import Any

import torch

from ..core.progress import StepCallback
from .loop.fit import fit
from .loop.state import TrainState
from .resume import remember
from .tasks.task import RunContext, Task, TrainRecipe


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
    """
    opened = task.check(recipe, context.base_folder)
    remember(recipe, context.run)
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
