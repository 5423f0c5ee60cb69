"""`train`: a recipe file in, a run folder out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..core.progress import ProgressCallback, StepCallback
from ..training.dry_run import DryRun, describe_run
from ..training.loop.processes import join_processes
from ..training.precision import with_known_precision
from ..training.resume import refuse_run_folder
from ..training.run import run_task
from ..training.tasks import TASKS
from .progress_bars import ProgressOption, shown_stages
from .train_context import run_context
from .train_options import DEFAULT_OPTIONS, ChosenRecipe, TrainOptions, choose_recipe


def train(
    recipe: Path | str,
    out: Path | str,
    *,
    base: str | None = None,
    root: Path | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    progress: ProgressOption = False,
    on_step: StepCallback | None = None,
    on_encoded: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Train as a recipe describes, as `histosynth train` does.

    A run that was stopped continues when it is called again.

    Args:
        recipe: TOML file; its paths start from its folder. Or, as text, the name of a recipe in the
            package (`histosynth train --list`); its paths start from the current folder.
        out: folder of the run.
        base: in place of the recipe's base; from the current folder.
        root: in place of the recipe's `data.root`; from the current folder.
        device: where to compute; None: a GPU if there is one.
        dtype: number type, in place of the recipe's: "bf16", "fp32" or "fp16".
        threads: of torch on the CPU; None: torch's default.
        progress: True: a bar of the steps; or a function, called with (done, total).
        on_step: called after each step with its number and values such as the loss.
        on_encoded: called with the tiles encoded so far and in all.

    Returns:
        `task`, `steps`, the folder of the `weights`, and `stopped` with the reason if the run ended
        early.

    Raises:
        BadRecipe: with all the recipe's problems.
        BadOption: an option cannot be used.
        ResumeMismatch, BadRun: `out` was begun with another recipe, or cannot be continued.
        Diverged: the loss is no longer finite.
    """
    options = TrainOptions(
        base=base,
        root=root,
        device=device,
        dtype=dtype,
        threads=threads,
    )
    chosen = choose_recipe(recipe, options)
    with shown_stages(progress, "encoding tiles", "training") as (encoding, training):
        return run_training(
            chosen,
            Path(out),
            options,
            on_step=_counting_steps(chosen.recipe.loop.steps, on_step, training),
            on_encoded=on_encoded or encoding,
        )


def _counting_steps(
    total: int,
    on_step: StepCallback | None,
    on_progress: ProgressCallback,
) -> StepCallback:
    """A callback per step that also reports (done, total)."""

    def report(step: int, numbers: Mapping[str, float]) -> None:
        on_progress(step, total)
        if on_step is not None:
            on_step(step, numbers)

    return report


def run_training(
    chosen: ChosenRecipe,
    out: Path,
    options: TrainOptions,
    *,
    on_step: StepCallback | None = None,
    on_encoded: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Train as a recipe that was read describes; see `train`."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    recipe = chosen.recipe
    # each of several processes has a device of its own
    join_processes(options.device or os.environ.get("HISTOSYNTH_DEVICE"))
    context = run_context(
        out,
        chosen.base_folder,
        device=options.device,
        on_encoded=on_encoded,
    )
    task = TASKS[chosen.task_name]
    state = run_task(task, recipe, context, on_step=on_step)
    result = {
        "task": recipe.task,
        "steps": state.step,
        "weights": str(out / "weights"),
    }
    if state.stopped:
        result["stopped"] = state.stopped
    return result


def dry_run(
    recipe: Path | str,
    out: Path | None = None,
    options: TrainOptions = DEFAULT_OPTIONS,
) -> DryRun:
    """Open and check everything a recipe names, and train nothing.

    Args:
        recipe: as `train` takes it.
        out: folder that the run would have; refused as `train` refuses it, and not touched.
        options: the device's speed is measured for the cost.
    """
    chosen = choose_recipe(recipe, options)
    return plan_training(chosen, out, device=options.device)


def plan_training(
    chosen: ChosenRecipe,
    out: Path | None,
    *,
    device: str | None = None,
) -> DryRun:
    """Open and check everything that a recipe names which was read; see `dry_run`."""
    recipe = with_known_precision(chosen.recipe, out, device)
    if out is not None:
        refuse_run_folder(recipe, out)
    task = TASKS[chosen.task_name]
    return describe_run(
        task,
        recipe,
        chosen.base_folder,
        device=device,
    )


def is_first_process() -> bool:
    """Whether this is the process that reports, of several that a launcher started."""
    rank = os.environ.get("RANK", "")
    return not rank or int(rank) == 0
