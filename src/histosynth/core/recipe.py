"""Recipes: TOML files that become frozen dataclasses, with all problems reported at once.

Independent of what the recipes are for: `training/tasks` and the commands define that.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar, Union, cast, get_args, get_origin

from .errors import BadRecipe
from .plain_files import read_plain_text, refuse_special_file
from .toml_text import MAX_TOML_BYTES, parse_toml

_Recipe = TypeVar("_Recipe")

OLD_KEYS = {
    "any_kind": "any_class",
    "drop_kinds": "drop_classes",
    "few": "rare_labels",
    "floor": "min_learning_rate_share",
    "hole_share": "mask_share",
    "kind_weight": "class_weight",
    "kinds": "classes",
    "least_patients": "min_patients",
}
"""Keys of files written by earlier versions, and their present names."""
PathText = Annotated[str, "path"]
"""A text of a recipe that names a file or folder, or is the beginning of their names."""
_MAX_TEXT = 4_096
"""Characters of a text; no path is longer."""
_MAX_NAME_BYTES = 255
"""Of a part of a path, on every file system in use."""
_MAX_WHOLE = 2**63
_SHOWN = 80
"""Characters of a wrong value in a message."""


class _UncheckedError(Exception):
    """A check read a table that has problems of its own."""


class _Broken:
    """Stands for a table with problems: checks that do not read it can still be made."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _UncheckedError

    def __bool__(self) -> NoReturn:
        raise _UncheckedError


_BROKEN = _Broken()


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
    problems: list[str] = []
    recipe = _build_table(values, target, "", problems)
    if problems:
        raise BadRecipe(name, problems)
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


def _build_table(
    values: Any,
    target: Any,
    prefix: str,
    problems: list[str],
) -> Any:
    """A table as the dataclass `target`; `_BROKEN` where it or a table in it has problems.

    Args:
        values: the table, or anything else that a file may hold in its place.
        target: the dataclass.
        prefix: keys that lead to the table, each followed by a dot.
        problems: problems found are added.
    """
    table_name = prefix.removesuffix(".") or "the file"
    if not isinstance(values, Mapping):
        problems.append(f"{table_name} must be a table")
        return _BROKEN
    values = _with_current_names(values, target)
    fields = _fields_of(target)
    for key in values:
        if key not in fields:
            problems.append(f"unknown key {prefix}{key} (known: {', '.join(fields)})")
    arguments = _convert_fields(values, target, prefix, problems)
    if arguments is None:
        return _BROKEN
    try:
        table = target(**arguments)
    except ValueError as error:  # a check in the dataclass' own __post_init__
        problems.append(f"{table_name}: {error}")
        return _BROKEN
    except _UncheckedError:
        return _BROKEN
    if any(_holds_broken(value) for value in arguments.values()):
        return _BROKEN
    return table


def _fields_of(target: Any) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(target) if field.init}


def _convert_fields(
    values: Mapping[str, Any],
    target: Any,
    prefix: str,
    problems: list[str],
) -> dict[str, Any] | None:
    """Arguments of `target`; None where a value of its own is wrong or missing.

    Tables in it that have problems are `_BROKEN`, so that checks that do not read them can be made.
    """
    hints = typing.get_type_hints(target, include_extras=True)
    arguments: dict[str, Any] = {}
    is_complete = True
    for name, field in _fields_of(target).items():
        if name in values:
            count_before = len(problems)
            converted = _convert(values[name], hints[name], f"{prefix}{name}", problems)
            has_problem = len(problems) > count_before
            if has_problem and not _holds_broken(converted):
                is_complete = False
            arguments[name] = converted
        elif _is_required(field):
            problems.append(f"missing key {prefix}{name}")
            is_complete = False
    if not is_complete:
        return None
    return arguments


def _is_required(field: dataclasses.Field[Any]) -> bool:
    has_default = field.default is not dataclasses.MISSING
    has_factory = field.default_factory is not dataclasses.MISSING
    return not has_default and not has_factory


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


def _holds_broken(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(item is _BROKEN for item in value)
    return value is _BROKEN


def _convert(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> Any:
    """A plain value as the type `hint`; problems found are added."""
    origin = get_origin(hint)
    if origin is Annotated:
        _check_path(value, key, problems)
        return _convert(value, get_args(hint)[0], key, problems)
    if origin in (Union, types.UnionType):
        return _convert_optional(value, hint, key, problems)
    if origin is typing.Literal:
        return _convert_choice(value, hint, key, problems)
    if origin is tuple:
        return _convert_list(value, hint, key, problems)
    if origin in (dict, Mapping):
        return _convert_map(value, hint, key, problems)
    if dataclasses.is_dataclass(hint):
        return _build_table(value, hint, f"{key}.", problems)
    return _convert_scalar(value, hint, key, problems)


def _convert_optional(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> Any:
    """`X | None`; of a union of more types the first counts."""
    options = get_args(hint)
    if value is None and type(None) in options:
        return None
    first = next(option for option in options if option is not type(None))
    return _convert(value, first, key, problems)


def _convert_choice(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> Any:
    choices = get_args(hint)
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        problems.append(f"{key} is {_shown(value)}, not one of {listed}")
    return value


def _convert_list(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> tuple[Any, ...] | None:
    """A list as a tuple, of one type and any length or of as many types as items."""
    if not isinstance(value, list | tuple):
        problems.append(f"{key} must be a list")
        return None
    hints = list(get_args(hint))
    if hints[-1] is Ellipsis:
        hints = [hints[0]] * len(value)
    if len(hints) != len(value):
        problems.append(f"{key} must hold {len(hints)} values, not {len(value)}")
        return None
    items = []
    for index, (item, item_hint) in enumerate(zip(value, hints, strict=True)):
        items.append(_convert(item, item_hint, f"{key}[{index}]", problems))
    return tuple(items)


def _convert_map(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> dict[str, Any] | None:
    """A table of any keys, all values of one type."""
    if not isinstance(value, Mapping):
        problems.append(f"{key} must be a table, not {_shown(value)}")
        return None
    item_hint = get_args(hint)[1]
    converted = {}
    for name, item in value.items():
        converted[str(name)] = _convert(item, item_hint, f"{key}.{name}", problems)
    return converted


def _convert_scalar(
    value: Any,
    hint: Any,
    key: str,
    problems: list[str],
) -> Any:
    if hint is Path and isinstance(value, str):
        _check_text(value, key, problems)
        _check_path(value, key, problems)
        return Path(value)
    if hint is float:
        value = _finite_number(value, key, problems)
    is_bool_as_int = hint is int and isinstance(value, bool)
    if not isinstance(value, hint) or is_bool_as_int:
        problems.append(f"{key} must be {hint.__name__}, not {_shown(value)}")
    elif hint is int and abs(value) >= _MAX_WHOLE:
        problems.append(f"{key} is a whole number of more than 63 bits")
    elif hint is str:
        _check_text(value, key, problems)
    return value


def _finite_number(value: Any, key: str, problems: list[str]) -> Any:
    value = _whole_to_float(value)
    if isinstance(value, float) and not math.isfinite(value):
        problems.append(f"{key} must be a finite number, not {value}")
    return value


def _shown(value: Any) -> str:
    """A wrong value for a message, cut where it is long."""
    if isinstance(value, int) and abs(value) >= _MAX_WHOLE:
        return "a whole number of more than 63 bits"  # Python refuses to write very long ones
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _check_text(value: str, key: str, problems: list[str]) -> None:
    if "\0" in value:
        problems.append(f"{key} holds a NUL character")
    if len(value) > _MAX_TEXT:
        problems.append(f"{key} holds {len(value):,} characters, over the limit of {_MAX_TEXT:,}")


def _check_path(value: Any, key: str, problems: list[str]) -> None:
    """Problems of a path that no file system can have."""
    if not isinstance(value, str):
        return
    longest = max(len(part.encode("utf-8", "surrogatepass")) for part in value.split("/"))
    if longest > _MAX_NAME_BYTES and len(value) <= _MAX_TEXT:
        problems.append(f"{key} names a file of {longest:,} bytes; {_MAX_NAME_BYTES} are the most")


def _whole_to_float(value: Any) -> Any:
    """A whole number as a float, infinite if it is too large; any other value unchanged."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    return float(value) if abs(value) < 2**63 else math.inf
