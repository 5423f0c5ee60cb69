"""Recipes: TOML files that become frozen dataclasses, with all problems reported at once.

Independent of what the recipes are for: `training/recipes` and the commands define that.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from .errors import BadRecipe
from .plain_files import read_plain_text, refuse_special_file
from .recipe_checks import (
    BROKEN_VALUE,
    RecipeProblems,
    UncheckedError,
    first_type,
    is_broken,
    limits_in,
    type_hints,
)
from .recipe_names import OLD_KEYS, nearest_key
from .recipe_values import (
    check_choice,
    check_limits,
    check_path,
    convert_scalar,
    shown_value,
    suggested,
)
from .toml_text import MAX_TOML_BYTES, parse_toml

_Recipe = TypeVar("_Recipe")

PathText = Annotated[str, "path"]
"""A text of a recipe that names a file or folder, or is the beginning of their names."""


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain values. Files over 1 MiB are refused.

    Raises:
        BadRecipe: it cannot be read or parsed.
    """
    try:
        refuse_special_file(path)
        if path.stat().st_size > MAX_TOML_BYTES:
            problem = f"the file is larger than {MAX_TOML_BYTES} bytes"
            raise BadRecipe(str(path), [problem])
        return parse_toml(read_plain_text(path))
    except (OSError, ValueError) as error:
        raise BadRecipe(str(path), [str(error)]) from error


def load(path: Path, target: type[_Recipe]) -> _Recipe:
    """Read a TOML recipe as the frozen dataclass `target`.

    Raises:
        BadRecipe: with every unknown key, missing key and wrong value in it.
    """
    return build(read_toml(path), target, name=str(path))


def build(
    values: Mapping[str, Any],
    target: type[_Recipe],
    *,
    name: str = "recipe",
) -> _Recipe:
    """Plain values as the frozen dataclass `target`, all nested values checked.

    Raises:
        BadRecipe: with every unknown key, missing key and wrong value in it.
    """
    reader = _Reader(target, [])
    recipe = reader.table(values, target, "")
    if reader.problems:
        raise BadRecipe(name, reader.problems)
    return cast(_Recipe, recipe)


def as_dict(recipe: Any) -> dict[str, Any]:
    """A recipe as plain values, paths as text: what is saved next to every output."""
    return {field.name: _plain(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value


@dataclass(frozen=True)
class _Reader:
    """Reads one recipe.

    Attributes:
        recipe_type: dataclass of the whole recipe.
        problems: those found so far.
    """

    recipe_type: Any
    problems: list[str]

    def table(
        self,
        values: Any,
        target: Any,
        prefix: str,
    ) -> Any:
        """A table as the dataclass `target`; `BROKEN_VALUE` where it or a table in it has problems.

        Args:
            values: the table, or anything else that a file may hold in its place.
            target: the dataclass.
            prefix: keys that lead to the table, each followed by a dot.
        """
        table_name = prefix.removesuffix(".") or "the file"
        if not isinstance(values, Mapping):
            self.problems.append(f"{table_name} must be a table")
            return BROKEN_VALUE
        values = _with_current_names(values, target)
        fields = _fields_of(target)
        for key in values:
            if key not in fields:
                self._unknown_key(key, prefix, target)
        arguments = {}
        for name, field in fields.items():
            if name in values:
                arguments[name] = self._field(values[name], target, f"{prefix}{name}")
            elif _is_required(field):
                self.problems.append(f"missing key {prefix}{name}")
                arguments[name] = BROKEN_VALUE
        return self._checked_table(target, arguments, table_name)

    def _checked_table(
        self,
        target: Any,
        arguments: Mapping[str, Any],
        table_name: str,
    ) -> Any:
        """The dataclass of these arguments; the checks that read a broken one are left out."""
        has_broken = any(is_broken(value) for value in arguments.values())
        try:
            table = target(**arguments)
        except RecipeProblems as error:
            self.problems.extend(f"{table_name}: {problem}" for problem in error.problems)
            return BROKEN_VALUE
        except ValueError as error:  # a check in the dataclass' own __post_init__
            self.problems.append(f"{table_name}: {error}")
            return BROKEN_VALUE
        except (UncheckedError, TypeError):
            if not has_broken:
                raise
            return BROKEN_VALUE
        return BROKEN_VALUE if has_broken else table

    def _unknown_key(
        self,
        key: str,
        prefix: str,
        target: Any,
    ) -> None:
        meant = nearest_key(key, prefix, self.recipe_type, target)
        known = f" (known: {', '.join(_fields_of(target))})"
        hint = suggested(meant) or known
        self.problems.append(f"unknown key {prefix}{key}{hint}")

    def _field(
        self,
        value: Any,
        target: Any,
        key: str,
    ) -> Any:
        """The value of a field; `BROKEN_VALUE` where it is wrong itself."""
        count_before = len(self.problems)
        name = key.rpartition(".")[2]
        converted = self._convert(value, type_hints(target)[name], key)
        has_problem = len(self.problems) > count_before
        return BROKEN_VALUE if has_problem and not is_broken(converted) else converted

    def _convert(
        self,
        value: Any,
        hint: Any,
        key: str,
    ) -> Any:
        """A plain value as the type `hint`."""
        origin = get_origin(hint)
        if origin is Annotated:
            return self._annotated(value, hint, key)
        if origin in (Union, types.UnionType):
            return self._optional(value, hint, key)
        if origin is typing.Literal:
            check_choice(value, get_args(hint), key, self.problems)
            return value
        if origin is tuple:
            return self._list(value, hint, key)
        if origin in (dict, Mapping):
            return self._map(value, hint, key)
        if dataclasses.is_dataclass(hint):
            return self.table(value, hint, f"{key}.")
        return convert_scalar(value, hint, key, self.problems)

    def _annotated(
        self,
        value: Any,
        hint: Any,
        key: str,
    ) -> Any:
        """A path, or a number within limits."""
        inner = get_args(hint)[0]
        limits = limits_in(hint)
        if not limits:
            check_path(value, key, self.problems)
        count_before = len(self.problems)
        converted = self._convert(value, inner, key)
        if len(self.problems) == count_before:
            for each in limits:
                check_limits(converted, each, key, self.problems)
        return converted

    def _optional(
        self,
        value: Any,
        hint: Any,
        key: str,
    ) -> Any:
        """`X | None`; of a union of more types the first counts."""
        if value is None and type(None) in get_args(hint):
            return None
        return self._convert(value, first_type(hint), key)

    def _list(
        self,
        value: Any,
        hint: Any,
        key: str,
    ) -> tuple[Any, ...] | None:
        """A list as a tuple, of one type and any length or of as many types as items."""
        hints = list(get_args(hint))
        if not isinstance(value, list | tuple):
            meant = _meant_list(value, hints[0], key)
            self.problems.append(f"{key} must be a list{suggested(meant)}")
            return None
        if hints[-1] is Ellipsis:
            hints = [hints[0]] * len(value)
        if len(hints) != len(value):
            self.problems.append(f"{key} must hold {len(hints)} values, not {len(value)}")
            return None
        pairs = enumerate(zip(value, hints, strict=True))
        return tuple(
            self._convert(item, item_hint, f"{key}[{index}]") for index, (item, item_hint) in pairs
        )

    def _map(
        self,
        value: Any,
        hint: Any,
        key: str,
    ) -> dict[str, Any] | None:
        """A table of any keys, all values of one type."""
        if not isinstance(value, Mapping):
            self.problems.append(f"{key} must be a table, not {shown_value(value)}")
            return None
        item_hint = get_args(hint)[1]
        return {
            str(name): self._convert(item, item_hint, f"{key}.{name}")
            for name, item in value.items()
        }


def _fields_of(target: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(target) if field.init}


def _is_required(field: dataclasses.Field[Any]) -> bool:
    has_default = field.default is not dataclasses.MISSING
    has_factory = field.default_factory is not dataclasses.MISSING
    return not has_default and not has_factory


def _meant_list(value: Any, item_hint: Any, key: str) -> str:
    """The list, as TOML, that one value in its place stands for; "" for none."""
    if isinstance(value, Mapping):
        return f"[[{key}]]" if dataclasses.is_dataclass(item_hint) and "[" not in key else ""
    text = shown_value(value)
    is_short_text = isinstance(value, str) and text == f"'{value}'"
    if is_short_text and '"' not in value:
        return f'["{value}"]'
    return f"[{text}]" if type(value) in (int, float) else ""


def _with_current_names(values: Mapping[str, Any], target: Any) -> Mapping[str, Any]:
    """The same table with keys of earlier versions under their present names.

    An old key is taken only where `target` has no field of that name and its new name is not given.
    """
    names = {field.name for field in dataclasses.fields(target)}
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        current = OLD_KEYS.get(key)
        if key not in names and current in names and current not in values:
            renamed[current] = value
        else:
            renamed[key] = value
    return renamed
