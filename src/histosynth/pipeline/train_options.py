"""Options of `train`, and the recipe that it reads with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core import recipe as recipes
from ..core.errors import BadOption
from ..core.paths import real_path
from ..training.tasks import find_task
from ..training.tasks.task import Task, TrainRecipe


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training run that are no part of its recipe.

    Attributes:
        base: in place of the recipe's base; from the current folder.
        root: in place of the recipe's `data.root`; from the current folder.
        device: where to compute; None: a GPU if there is one.
        threads: of torch on the CPU; None: torch's default.
    """

    base: str | None = None
    root: Path | None = None
    device: str | None = None
    threads: int | None = None


DEFAULT_OPTIONS = TrainOptions()


def read_train_recipe(path: Path) -> TrainRecipe:
    """Read a training recipe.

    Raises:
        BadRecipe: with all its problems.
    """
    _, recipe = read_task(path, DEFAULT_OPTIONS)
    return recipe


def read_task(
    path: Path,
    options: TrainOptions,
) -> tuple[Task[Any, Any], TrainRecipe]:
    """The task and the recipe of a file, with the options' base and folder of tiles.

    Raises:
        BadRecipe: with all the recipe's problems.
        BadOption: the task takes no base.
    """
    values = recipes.read_toml(path)
    task = find_task(values, str(path))
    recipe = recipes.build(values, task.recipe, name=str(path))
    if options.base is not None:
        if not task.takes_base:
            raise BadOption(
                "--base",
                options.base,
                "left out: this recipe names no text-conditioned base",
            )
        recipe = replace(recipe, base=_resolved_base(options.base))
    if options.root is not None:
        root = options.root.expanduser()
        data = replace(recipe.data, root=real_path(root))
        recipe = replace(recipe, data=data)
    return task, recipe


def _resolved_base(base: str) -> str:
    """A folder's full path; any other name, e.g. of a repository, as it is."""
    folder = Path(base).expanduser()
    return str(real_path(folder)) if folder.exists() else base
