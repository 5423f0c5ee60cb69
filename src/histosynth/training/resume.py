"""A run folder keeps its recipe and digests of its inputs, and refuses other ones."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadRecipe, BadRun, NotWritable, ResumeMismatch, first_line
from ..core.links import held, refuse_links_in
from ..core.plain_files import read_plain_text
from ..core.store import ensure_folder, write_json

RECIPE_FILE = "recipe.json"
INPUTS_FILE = "inputs.json"
RUN_FILES = (
    RECIPE_FILE,
    INPUTS_FILE,
    "log.jsonl",
    "state.safetensors",
    "pictures/",
    "weights/",
    "best/",
    "best.json",
)
"""Files and folders of every run, in its run folder."""
_DATA_SHEET = ("datasheet.json", "datasheet.md")
TRACKERS = "trackers"
_PICTURES = "pictures/" + 7 * "[0-9]" + ".png"
CHANGEABLE = frozenset(
    {
        "loop.steps",
        "loop.cooldown",
        "loop.min_learning_rate_share",
        "loop.validate_every",
        "loop.checkpoint_every",
        "loop.log_every",
        "loop.trackers",
        # the batches stay the same; only sums are rounded in another order
        "loop.accumulate",
        "loop.checkpointing",
        # where data and base are; that they are the same is what `remember_inputs` checks
        "base",
        "base_config",
        "data.root",
    }
)
"""Keys of a recipe that may change: so a run is prolonged, or moved to another machine."""


def remember(recipe: Any, run: Path) -> None:
    """Save the recipe in the run folder; a folder begun with another one is refused.

    Args:
        recipe: a frozen dataclass. Keys in `CHANGEABLE` may differ from the saved one's.
        run: the run folder; it is created where it is absent.

    Raises:
        NotWritable: the folder cannot be created or written.
        ResumeMismatch: naming what changed.
        BadRun: the saved recipe cannot be read.
    """
    ensure_folder(run)
    refuse_other_recipe(recipe, run)
    write_json(run / RECIPE_FILE, recipes.as_dict(recipe))


def remember_inputs(run: Path, inputs: Mapping[str, str]) -> None:
    """Save digests of what a run learns from, base and tiles; other ones are refused.

    Args:
        run: the run folder.
        inputs: digests by name.

    Raises:
        ResumeMismatch: naming what changed.
        BadRun: the saved digests cannot be read.
    """
    saved = run / INPUTS_FILE
    if saved.exists():
        before = _read_inputs(saved)
        changed = sorted(name for name in inputs if before.get(name, inputs[name]) != inputs[name])
        if changed:
            raise ResumeMismatch(run, [f"what is in {name}" for name in changed])
    write_json(saved, dict(inputs))


def _read_inputs(saved: Path) -> dict[str, Any]:
    try:
        values = json.loads(read_plain_text(saved))
        if not isinstance(values, dict):
            raise ValueError("it holds no names")
        return values
    except (OSError, ValueError, RecursionError) as error:
        raise BadRun(saved, f"it cannot be read: {first_line(error)}") from error


def refuse_links_of_run(run: Path) -> None:
    """Refuse links under the names of files and folders of a run, before it begins.

    Raises:
        NotWritable: naming the first.
    """
    with held([run]):
        for name in (*RUN_FILES, *_DATA_SHEET, TRACKERS):
            refuse_links_in(run / name)


def refuse_run_folder(recipe: Any, run: Path) -> None:
    """Refuse a run folder that `remember` would refuse, and write nothing.

    Raises:
        NotWritable, ResumeMismatch, BadRun: as `remember`.
    """
    existing = run.absolute()
    while not (existing.exists() or existing.is_symlink()):
        existing = existing.parent
    if not existing.is_dir():
        raise NotWritable(run, f"{existing} is no folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise NotWritable(run, f"{existing} cannot be written")
    refuse_links_of_run(run)
    refuse_other_recipe(recipe, run)


def refuse_other_recipe(recipe: Any, run: Path) -> None:
    """Refuse a run folder that was begun with another recipe.

    Raises:
        ResumeMismatch: naming what changed.
        BadRun: the saved recipe cannot be read.
        NotWritable: no run began in the folder, and a run would replace a file there.
    """
    saved = run / RECIPE_FILE
    if not os.path.lexists(saved):
        foreign = _foreign_file(run)
        # other processes of the same run write the recipe first, and perhaps right now
        if foreign and not os.path.lexists(saved):
            raise NotWritable(
                foreign,
                "it is there already, in a folder in which no training began",
            )
    if not os.path.lexists(saved):
        return
    before = _with_defaults(read_saved_recipe(saved), type(recipe))
    now = _as_json(recipe)
    changed = sorted(set(_differences(before, now)) - CHANGEABLE)
    if changed:
        raise ResumeMismatch(run, changed)


def _foreign_file(run: Path) -> Path | None:
    """A file under the name of one of a run; None where there is none."""
    found = [run / name for name in (*RUN_FILES, *_DATA_SHEET) if not name.endswith("/")]
    for name in ("weights", "best"):
        found += run.glob(f"{name}/*")
    found += run.glob(_PICTURES)
    return next(filter(os.path.lexists, found), None)


def read_saved_recipe(saved: Path) -> dict[str, Any]:
    """The values of a run's recipe.

    Raises:
        BadRun: it cannot be read, or is none.
    """
    try:
        values = json.loads(read_plain_text(saved))
    except OSError as error:
        raise BadRun(saved, f"it cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise BadRun(saved, f"it is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise BadRun(saved, "it holds no recipe")
    return values


def _with_defaults(values: dict[str, Any], recipe_type: type[Any]) -> Any:
    """A recipe of an older version under present names, with today's defaults of newer keys."""
    try:
        recipe = recipes.build(values, recipe_type)
    except BadRecipe:
        return values
    return _as_json(recipe)


def _as_json(recipe: Any) -> Any:
    return json.loads(json.dumps(recipes.as_dict(recipe)))


def _differences(before: object, now: object, at: str = "") -> list[str]:
    """Dotted keys whose values differ."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return [] if before == now else [at.rstrip(".")]
    found = []
    for key in sorted(before.keys() | now.keys()):
        found += _differences(before.get(key), now.get(key), f"{at}{key}.")
    return found
