"""A run folder remembers its recipe, and refuses another one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadRecipe, ResumeMismatch
from ..core.store import ensure_folder, write_json
from .artefact_plan import AnyRecipe


def remember(recipe: AnyRecipe, run: Path) -> None:
    """Save the recipe in the run folder; a folder begun with another one is refused.

    The number of steps and the intervals may change: that is how a run is prolonged.

    Raises:
        ResumeMismatch: naming what changed.
    """
    ensure_folder(run)
    saved, now = run / "recipe.json", recipes.as_dict(recipe)
    if saved.exists():
        before = _with_defaults(json.loads(saved.read_text(encoding="utf-8")), type(recipe))
        free = {
            f"loop.{key}"
            for key in (
                "steps",
                "cooldown",
                "validate_every",
                "checkpoint_every",
                "log_every",
            )
        }
        changed = sorted(set(_differences(before, json.loads(json.dumps(now)))) - free)
        if changed:
            raise ResumeMismatch(run, changed)
    write_json(saved, now)


def _with_defaults(before: Any, kind: type[AnyRecipe]) -> Any:
    """A recipe of an older version, with what it could not yet say at today's defaults."""
    try:
        return json.loads(json.dumps(recipes.as_dict(recipes.build(before, kind))))
    except BadRecipe:
        return before


def _differences(before: object, now: object, at: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = sorted(before.keys() | now.keys())
        return [found for key in keys for found in _differences(before.get(key), now.get(key), f"{at}{key}.")]
    return [] if before == now else [at.rstrip(".")]
