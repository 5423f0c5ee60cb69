"""A class map: class names of files, and the names that replace them."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import BadRecipe
from ..core.recipe import read_toml


def read_class_map(path: Path | None) -> dict[str, str]:
    """A class map: a flat TOML table of names to names; empty without a file.

    Raises:
        BadRecipe: it is not flat.
    """
    if path is None:
        return {}
    values = read_toml(path)
    problems = []
    for key, value in values.items():
        if not isinstance(value, str):
            problems.append(f'{key} must be text, e.g. "{key}" = "epithelial"')
    if problems:
        raise BadRecipe(str(path), problems)
    return values
