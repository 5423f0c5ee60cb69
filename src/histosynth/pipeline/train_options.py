"""Options of `train`, and the recipe that it reads with them. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ..core import recipe as recipes
from ..core.errors import BadOption, BadRecipe
from ..core.paths import real_path
from ..core.shipped_recipes import NamedRecipe, find_recipe
from ..training.recipes import RECIPES, TEXT_ADAPTER_TASK, find_task_name
from ..training.recipes.places import missing_places

if TYPE_CHECKING:
    from ..training.tasks.task import TrainRecipe


@dataclass(frozen=True)
class TrainOptions:
    """Options of a training run that are no part of its recipe.

    Attributes:
        base: in place of the recipe's base; from the current folder.
        root: in place of the recipe's `data.root`; from the current folder.
        device: where to compute; None: a GPU if there is one.
        dtype: number type, in place of the recipe's `loop.precision`.
        threads: of torch on the CPU; None: torch's default.
    """

    base: str | None = None
    root: Path | None = None
    device: str | None = None
    dtype: str | None = None
    threads: int | None = None


DEFAULT_OPTIONS = TrainOptions()
_KEYS_OF_PLACES = ("task", "base", "start", "data")
"""Keys of a recipe that name folders and files, or decide which others do."""


@dataclass(frozen=True)
class ChosenRecipe:
    """A recipe of training that was read, and whose folders exist.

    Attributes:
        task_name: key of `training.tasks.TASKS`.
        recipe: the dataclass of that task.
        base_folder: folder that its paths start from.
    """

    task_name: str
    recipe: TrainRecipe
    base_folder: Path


def read_train_recipe(recipe: Path | str) -> TrainRecipe:
    """Read a training recipe.

    Args:
        recipe: a file; as text also the name of one in the package.

    Raises:
        BadRecipe: with all its problems.
    """
    named = _named(recipe)
    values = _values(named.path)
    _, recipe_read = _build(values, named.path)
    return cast("TrainRecipe", recipe_read)


def choose_recipe(recipe: Path | str, options: TrainOptions = DEFAULT_OPTIONS) -> ChosenRecipe:
    """The recipe of a file, with the options' base, folder of tiles and number type.

    Args:
        recipe: a file; as text also the name of one in the package, whose paths start from the
            current folder.
        options: base, root and number type replace the recipe's.

    Raises:
        BadRecipe: with all the recipe's problems, and all folders and files that it names and that
            do not exist.
        BadOption: the task takes no base, or the number type is none that is known.
    """
    named = _named(recipe)
    values = _values(named.path)
    name = str(named.path)
    try:
        task_name, built = _build(values, named.path)
    except BadRecipe as refused:
        more = _missing_of_parts(values, named, options)
        raise BadRecipe(name, [*refused.problems, *more]) from None
    built = _with_options(task_name, built, options)
    problems = missing_places(built, named.base_folder)
    if problems:
        raise BadRecipe(name, problems)
    return ChosenRecipe(
        task_name,
        built,
        named.base_folder,
    )


def _with_options(task_name: str, built: Any, options: TrainOptions) -> Any:
    """A recipe with the options' base, root and number type in place of its own."""
    if options.base is not None:
        if task_name != TEXT_ADAPTER_TASK:
            raise BadOption(
                "--base",
                options.base,
                "left out: this recipe names no text-conditioned base",
            )
        built = replace(built, base=_resolved_base(options.base))
    if options.root is not None:
        root = options.root.expanduser()
        data = replace(built.data, root=real_path(root))
        built = replace(built, data=data)
    if options.dtype is not None:
        from ..tensors.device import dtype_name

        loop = replace(built.loop, precision=dtype_name(options.dtype))
        built = replace(built, loop=loop)
    return built


def _missing_of_parts(
    values: dict[str, Any],
    named: NamedRecipe,
    options: TrainOptions,
) -> list[str]:
    """Folders and files that do not exist, of a recipe whose other keys have problems; none where
    the keys that name them have problems themselves.
    """
    parts = {key: values[key] for key in _KEYS_OF_PLACES if key in values}
    try:
        task_name, built = _build(parts, named.path)
    except BadRecipe:
        return []
    return missing_places(_with_options(task_name, built, options), named.base_folder)


def _named(recipe: Path | str) -> NamedRecipe:
    if isinstance(recipe, Path):
        return NamedRecipe(recipe, recipe.parent)
    return find_recipe(recipe)


def _values(path: Path) -> dict[str, Any]:
    """The values of a recipe file.

    Raises:
        BadRecipe: it cannot be read, or is one of `prepare run`.
    """
    values = recipes.read_toml(path)
    if "slides" in values and "data" not in values:
        problem = "it is a recipe of `prepare run`, which --dry-run checks, and not of training"
        raise BadRecipe(str(path), [problem])
    return values


def _build(values: dict[str, Any], path: Path) -> tuple[str, Any]:
    name = str(path)
    task_name = find_task_name(values, name)
    built = recipes.build(
        values,
        RECIPES[task_name],
        name=name,
    )
    return task_name, built


def _resolved_base(base: str) -> str:
    """A folder's full path; any other name, e.g. of a repository, as it is."""
    folder = Path(base).expanduser()
    return str(real_path(folder)) if folder.exists() else base
