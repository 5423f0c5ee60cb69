"""`train`: a recipe file in, a run folder out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadOption
from ..core.progress import ProgressCallback
from ..training.dry_run import DryRun, describe_run
from ..training.loop.processes import join_processes
from ..training.resume import refuse_run_folder
from ..training.run import run_task
from ..training.tasks import find_task
from ..training.tasks.task import Task, TrainRecipe
from .train_context import run_context


def read_train_recipe(path: Path) -> TrainRecipe:
    """Read a training recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    return _read(path, base=None, root=None)[1]


def _read(
    path: Path,
    *,
    base: str | None,
    root: Path | None,
) -> tuple[Task[Any, Any], TrainRecipe]:
    """The task and the recipe of a file, with another base or folder of tiles if they are given."""
    values = recipes.read_toml(path)
    task = find_task(values, str(path))
    recipe = recipes.build(values, task.recipe, name=str(path))
    if base is not None:
        if not task.takes_base:
            raise BadOption(
                "--base",
                base,
                "left out: this recipe names no text-conditioned base",
            )
        folder = Path(base).expanduser()
        recipe = replace(recipe, base=str(folder.resolve()) if folder.exists() else base)
    if root is not None:
        data = replace(recipe.data, root=root.expanduser().resolve())
        recipe = replace(recipe, data=data)
    return task, recipe


def dry_run(
    path: Path,
    run: Path | None = None,
    *,
    device: str | None = None,
    base: str | None = None,
    root: Path | None = None,
) -> DryRun:
    """Open and check everything a recipe names, and train nothing.

    Args:
        path: the recipe.
        run: folder that the run would have; refused as `train` refuses it, and not touched.
        device: its speed is measured for the cost.
        base: see `train`.
        root: see `train`.
    """
    task, recipe = _read(path, base=base, root=root)
    if run is not None:
        refuse_run_folder(recipe, run)
    return describe_run(
        task,
        recipe,
        path.parent,
        device=device,
    )


def train(
    path: Path,
    run: Path,
    *,
    on_step: Callable[[int, Mapping[str, float]], None] | None = None,
    on_encoded: ProgressCallback | None = None,
    device: str | None = None,
    base: str | None = None,
    root: Path | None = None,
) -> dict[str, Any]:
    """Train as a recipe describes; a run that was begun in the folder goes on.

    Args:
        path: the recipe.
        run: folder of the run.
        on_step: called after each step with its numbers.
        on_encoded: called with the tiles encoded so far and in all.
        device: where to compute; None: a GPU if there is one.
        base: in place of the recipe's base; from the current folder.
        root: in place of `data.root`; from the current folder.
    """
    task, recipe = _read(path, base=base, root=root)
    # each of several processes has a device of its own
    join_processes(device or os.environ.get("HISTOSYNTH_DEVICE"))
    context = run_context(
        run,
        path.parent,
        device=device,
        on_encoded=on_encoded,
    )
    state = run_task(
        task,
        recipe,
        context,
        on_step=on_step,
    )
    result = {
        "task": recipe.task,
        "steps": state.step,
        "weights": str(run / "weights"),
    }
    if state.stopped:
        result["stopped"] = state.stopped
    return result
