"""A class map: other people's class names, and the names that stand for them here."""

from __future__ import annotations

from pathlib import Path

from ..core.errors import BadRecipe
from ..core.recipe import read_toml


def read_class_map(path: Path | None) -> dict[str, str]:
    """A class map: a flat TOML table of names to names.

    Raises:
        BadRecipe: it is not flat.
    """
    if path is None:
        return {}
    values = read_toml(path)
    wrong = [key for key, value in values.items() if not isinstance(value, str)]
    if wrong:
        raise BadRecipe(
            str(path), [f'{key} must be text, e.g. "{key}" = "epithelial"' for key in wrong]
        )
    return values
