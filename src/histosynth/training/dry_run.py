"""What a training run would do: counts of its data, its cost, its prompts and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tensors.device import pick_device
from .data.sources import Example
from .resume import RUN_FILES
from .tasks.run_cost import Cost
from .tasks.task import Task, TrainRecipe


@dataclass(frozen=True)
class DryRun:
    """What a training run would do."""

    task: str
    tiles: int
    patients: int
    nuclei: int
    validation_tiles: int
    validation_patients: int
    steps: int
    batch: int
    cost: Cost | None = None
    """Of an adapter."""
    prompts: tuple[str, ...] = ()
    """Text prompts of a text-conditioned base."""
    writes: tuple[str, ...] = ()
    """Files and folders, in the run folder."""


def describe_run(
    task: Task[Any, Any],
    recipe: TrainRecipe,
    base_folder: Path,
    *,
    device: str | None = None,
) -> DryRun:
    """Open and check everything a recipe names, and train nothing.

    Args:
        task: what would be trained.
        recipe: of that task.
        base_folder: folder that the recipe's paths start from.
        device: its speed is measured for the cost; None: a GPU if there is one.
    """
    opened = task.check(recipe, base_folder)
    chosen = str(pick_device(device))
    cost = task.cost(recipe, opened, chosen) if task.cost else None
    train = opened.train
    return DryRun(
        task=recipe.task,
        tiles=len(train),
        patients=_count_patients(train),
        nuclei=sum(len(example.nuclei) for example in train if example.nuclei is not None),
        validation_tiles=len(opened.held_out),
        validation_patients=_count_patients(opened.held_out),
        steps=recipe.loop.steps,
        batch=recipe.loop.batch,
        cost=cost,
        prompts=task.prompts(opened),
        writes=(*RUN_FILES, *task.writes),
    )


def _count_patients(examples: Sequence[Example]) -> int:
    return len({example.patient for example in examples})
