"""Recipes inside the package, by name, and what a user means who names a recipe."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .errors import BadRecipe
from .plain_files import read_plain_text
from .recipe_names import nearest_name
from .recipe_values import suggested

RECIPES_FOLDER = Path(__file__).parent.parent / "recipes"
SCHEMAS = {
    "train": RECIPES_FOLDER / "train.schema.json",
    "prepare": RECIPES_FOLDER / "prepare.schema.json",
}
"""JSON Schemas of recipes, by the verb that reads them."""
_SCHEMA_LINE = "#:schema ./"
_ENDING = ".toml"


@dataclass(frozen=True)
class NamedRecipe:
    """A recipe file, and where its relative paths start from.

    Attributes:
        path: the file.
        base_folder: folder of the file; of a recipe in the package, the current folder.
    """

    path: Path
    base_folder: Path


@dataclass(frozen=True)
class ShippedRecipe:
    """A recipe inside the package.

    Attributes:
        name: as users give it.
        path: the file.
        verb: that reads it, `train` or `prepare`: a key of `SCHEMAS`.
        about: what it is for, from the comment at its head.
    """

    name: str
    path: Path
    verb: str
    about: str


@cache
def shipped_recipes() -> dict[str, ShippedRecipe]:
    """The recipes inside the package by name, in the order of names."""
    found = {}
    for path in sorted(RECIPES_FOLDER.glob(f"*{_ENDING}")):
        schema, comment, *_ = read_plain_text(path).splitlines()
        about = comment.removeprefix("# ")
        verb = schema.removeprefix(_SCHEMA_LINE).partition(".")[0]
        found[path.stem] = ShippedRecipe(path.stem, path, verb, about)
    return found


def find_recipe(text: str) -> NamedRecipe:
    """The recipe that a user names: one in the package by its name, else a file.

    A file of the same name as one in the package is `./NAME`.

    Raises:
        BadRecipe: there is neither.
    """
    shipped = shipped_recipes()
    if text in shipped:
        return NamedRecipe(shipped[text].path, Path())
    path = Path(text)
    if not os.path.lexists(path):
        raise BadRecipe(text, [_absent(path)])
    return NamedRecipe(path, path.parent)


def _absent(path: Path) -> str:
    """Why a name is none, with what the user may have meant."""
    shipped = shipped_recipes()
    stem = path.name.removesuffix(_ENDING)
    problem = "there is no such file, and no recipe of this name in the package"
    if stem in shipped:
        return problem + suggested(stem)
    names = [*shipped]
    if path.parent.is_dir():
        names += [entry.name for entry in path.parent.glob(f"*{_ENDING}")]
    return problem + suggested(nearest_name(path.name, names))


def recipe_for_user(name: str) -> str:
    """The text of a recipe in the package, to be kept as a file of the user's own.

    Its first line names the schema in the package by its full address, which editors read offline.

    Raises:
        BadRecipe: there is none of this name.
    """
    shipped = shipped_recipes()
    if name not in shipped:
        known = ", ".join(shipped)
        meant = suggested(nearest_name(name, [*shipped]))
        raise BadRecipe(name, [f"the package holds no such recipe{meant}; it holds {known}"])
    recipe = shipped[name]
    text = read_plain_text(recipe.path)
    schema = SCHEMAS[recipe.verb]
    old = f"{_SCHEMA_LINE}{schema.name}\n"
    return text.replace(old, f"#:schema {schema.as_uri()}\n", 1)
