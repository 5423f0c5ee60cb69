"""`train`: a recipe file in, a run folder out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ..core.progress import ProgressCallback, StepCallback
from ..training.dry_run import DryRun, describe_run
from ..training.loop.processes import join_processes
from ..training.resume import refuse_run_folder
from ..training.run import run_task
from .train_context import run_context
from .train_options import DEFAULT_OPTIONS, TrainOptions, read_task


def train(
    recipe: Path | str,
    out: Path | str,
    *,
    base: str | None = None,
    root: Path | None = None,
    device: str | None = None,
    threads: int | None = None,
    on_step: StepCallback | None = None,
    on_encoded: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Train as a recipe describes, as `histosynth train` does.

    A run that was stopped continues when it is called again.

    Args:
        recipe: TOML file; its paths start from its folder.
        out: folder of the run.
        base: in place of the recipe's base; from the current folder.
        root: in place of the recipe's `data.root`; from the current folder.
        device: where to compute; None: a GPU if there is one.
        threads: of torch on the CPU; None: torch's default.
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
        threads=threads,
    )
    return run_training(
        Path(recipe),
        Path(out),
        options,
        on_step=on_step,
        on_encoded=on_encoded,
    )


def run_training(
    recipe: Path,
    out: Path,
    options: TrainOptions,
    *,
    on_step: StepCallback | None = None,
    on_encoded: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Train as a recipe describes; see `train`."""
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    task, parsed = read_task(recipe, options)
    # each of several processes has a device of its own
    join_processes(options.device or os.environ.get("HISTOSYNTH_DEVICE"))
    context = run_context(out, recipe.parent, device=options.device, on_encoded=on_encoded)
    state = run_task(task, parsed, context, on_step=on_step)
    result = {
        "task": parsed.task,
        "steps": state.step,
        "weights": str(out / "weights"),
    }
    if state.stopped:
        result["stopped"] = state.stopped
    return result


def dry_run(
    recipe: Path,
    out: Path | None = None,
    options: TrainOptions = DEFAULT_OPTIONS,
) -> DryRun:
    """Open and check everything a recipe names, and train nothing.

    Args:
        recipe: TOML file.
        out: folder that the run would have; refused as `train` refuses it, and not touched.
        options: the device's speed is measured for the cost.
    """
    task, parsed = read_task(recipe, options)
    if out is not None:
        refuse_run_folder(parsed, out)
    return describe_run(task, parsed, recipe.parent, device=options.device)


def is_first_process() -> bool:
    """Whether this is the process that reports, of several that a launcher started."""
    rank = os.environ.get("RANK", "")
    return not rank or int(rank) == 0
