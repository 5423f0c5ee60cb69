"""The number type of a run whose recipe leaves it to the device."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from ..tensors.device import DTYPES, dtype_name, pick_device, pick_dtype
from .resume import RECIPE_FILE, read_saved_recipe

_Recipe = TypeVar("_Recipe", bound=Any)


def with_known_precision(
    recipe: _Recipe,
    run: Path | None,
    device: str | None,
) -> _Recipe:
    """A recipe whose `loop.precision` is no longer "auto".

    A run that was begun keeps its number type, also where it goes on on another device.

    Args:
        recipe: of any task.
        run: the run folder; None: there will be none.
        device: where to compute; None: a GPU if there is one.

    Raises:
        BadRun: the saved recipe cannot be read.
    """
    if recipe.loop.precision != "auto":
        return recipe
    precision = _precision_of_run(run) or dtype_name(pick_dtype(pick_device(device)))
    changed: _Recipe = replace(
        recipe,
        loop=replace(recipe.loop, precision=precision),
    )
    return changed


def _precision_of_run(run: Path | None) -> str | None:
    """The number type that a run was begun with; None: it was not begun."""
    if run is None or not os.path.lexists(run / RECIPE_FILE):
        return None
    loop = read_saved_recipe(run / RECIPE_FILE).get("loop")
    precision = loop.get("precision") if isinstance(loop, dict) else None
    return precision if precision in DTYPES else None
