"""A run folder remembers its recipe, and refuses another one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BadRun, NotWritable, ResumeMismatch, first_line
from ..core.store import ensure_folder, write_json
from .tasks.artefact_recipe import AnyRecipe

RECIPE = "recipe.json"
INPUTS = "inputs.json"
FREE = {
    f"loop.{key}"
    for key in (
        *(
            "steps",
            "cooldown",
            "min_learning_rate_share",
            "validate_every",
            "checkpoint_every",
            "log_every",
            "trackers",
        ),
        *(
            "accumulate",
            "checkpointing",
        ),  # the batches stay the same; only sums are rounded in another order
    )
}
FREE |= {"base", "base_config", "data.root"}
"""What may change: that is how a run is prolonged, watched otherwise, or moved to another machine.
What lies at those places may not: see `remember_inputs`."""


def remember(recipe: AnyRecipe, run: Path) -> None:
    """Save the recipe in the run folder; a folder begun with another one is refused.

    The number of steps and the intervals may change: that is how a run is prolonged.

    Raises:
        NotWritable: the folder cannot be made or written.
        ResumeMismatch: naming what changed.
        BadRun: the recipe kept there cannot be read.
    """
    ensure_folder(run)
    refuse_other(recipe, run)
    write_json(run / RECIPE, recipes.as_dict(recipe))


def remember_inputs(run: Path, inputs: Mapping[str, str]) -> None:
    """Save digests of what a run learns from, base and tiles; other ones under the same names are
    refused.

    Raises:
        ResumeMismatch: naming what changed.
        BadRun: the digests kept there cannot be read.
    """
    saved = run / INPUTS
    if saved.exists():
        try:
            kept = json.loads(saved.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise BadRun(saved, f"it cannot be read: {first_line(error)}") from error
        if changed := sorted(
            name for name in inputs if kept.get(name, inputs[name]) != inputs[name]
        ):
            raise ResumeMismatch(run, [f"what is in {name}" for name in changed])
    write_json(saved, dict(inputs))


def refuse_place(recipe: AnyRecipe, run: Path) -> None:
    """Refuse a run folder that `remember` would refuse, and write nothing.

    Raises:
        NotWritable, ResumeMismatch, BadRun: as `remember`.
    """
    there = run.absolute()
    while not (there.exists() or there.is_symlink()):
        there = there.parent
    if not there.is_dir():
        raise NotWritable(run, f"{there} is no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise NotWritable(run, f"{there} cannot be written")
    refuse_other(recipe, run)


def refuse_other(recipe: AnyRecipe, run: Path) -> None:
    """Refuse a run folder that was begun with another recipe.

    Raises:
        ResumeMismatch: naming what changed.
        BadRun: the recipe kept there cannot be read.
    """
    saved = run / RECIPE
    if not saved.exists():
        return
    try:
        kept = json.loads(saved.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRun(saved, f"it cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BadRun(saved, f"it is no JSON: {error}") from error
    if not isinstance(kept, dict):
        raise BadRun(saved, "it holds no recipe")
    before = _with_defaults(kept, type(recipe))
    now = json.loads(json.dumps(recipes.as_dict(recipe)))
    if changed := sorted(set(_differences(before, now)) - FREE):
        raise ResumeMismatch(run, changed)


def _with_defaults(before: Any, kind: type[AnyRecipe]) -> Any:
    """A recipe of an older version, with what it could not yet say at today's defaults."""
    try:
        return json.loads(json.dumps(recipes.as_dict(recipes.build(before, kind))))
    except BadRecipe:
        return before


def _differences(before: object, now: object, at: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [
            found
            for key in keys
            for found in _differences(before.get(key), now.get(key), f"{at}{key}.")
        ]
    return [] if before == now else [at.rstrip(".")]
