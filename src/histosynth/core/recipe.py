"""Recipes: TOML files that become frozen dataclasses, with all problems reported at once.

Independent of what the recipes are for: `training/tasks` and the commands define that.
"""

from __future__ import annotations

import dataclasses
import math
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

from .errors import BadRecipe

Recipe = TypeVar("Recipe")
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
_MAX_RECIPE_BYTES = 1 << 20


class _UnjudgedError(Exception):
    """A check looked into a table that has problems of its own."""


class _Broken:
    """Stands for a table with problems: checks that do not look into it can still be made."""

    def __getattr__(self, name: str) -> typing.NoReturn:
        raise _UnjudgedError

    def __bool__(self) -> typing.NoReturn:
        raise _UnjudgedError


_BROKEN = _Broken()


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as plain values. Files over 1 MiB are refused.

    Raises:
        BadRecipe: it cannot be read or parsed.
    """
    try:
        if path.stat().st_size > _MAX_RECIPE_BYTES:
            raise BadRecipe(str(path), [f"the file is larger than {_MAX_RECIPE_BYTES} bytes"])
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadRecipe(str(path), [str(error)]) from error


def load(path: Path, target: type[Recipe]) -> Recipe:
    """Read a TOML recipe as the frozen dataclass `target`.

    Raises:
        BadRecipe: with every unknown key, missing key and wrong value in it.
    """
    return build(read_toml(path), target, name=str(path))


def build(values: Mapping[str, Any], target: type[Recipe], *, name: str = "recipe") -> Recipe:
    """Plain values as the frozen dataclass `target`, checked through to the leaves."""
    problems: list[str] = []
    made = _construct(values, target, "", problems)
    if problems:
        raise BadRecipe(name, problems)
    return typing.cast(Recipe, made)


def as_dict(recipe: Any) -> dict[str, Any]:
    """A recipe as plain values, paths as text: what is saved beside every output."""
    return {field.name: _plain(getattr(recipe, field.name)) for field in dataclasses.fields(recipe)}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return as_dict(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def _construct(
    values: Any,
    target: Any,
    at: str,
    problems: list[str],
) -> Any:
    """The table as `target`, or `_BROKEN` where it or a table in it has problems; they are
    added.
    """
    if not isinstance(values, Mapping):
        problems.append(f"{at.rstrip('.') or 'the file'} must be a table")
        return _BROKEN
    values = _with_current_names(values, target)
    hints = typing.get_type_hints(target)
    fields = {field.name: field for field in dataclasses.fields(target) if field.init}
    unknown = [key for key in values if key not in fields]
    problems += [f"unknown key {at}{key} (known: {', '.join(fields)})" for key in unknown]
    made: dict[str, Any] = {}
    right = True  # its own values; tables in it that are broken may still let a check pass
    for name, field in fields.items():
        before = len(problems)
        if name in values:
            made[name] = _convert(values[name], hints[name], f"{at}{name}", problems)
            right = right and (len(problems) == before or _holds_broken(made[name]))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(f"missing key {at}{name}")
            right = False
    if not right:
        return _BROKEN
    try:
        whole = target(**made)
    except ValueError as error:  # a dataclass' own __post_init__ check
        problems.append(f"{at.rstrip('.') or 'the file'}: {error}")
        return _BROKEN
    except _UnjudgedError:
        return _BROKEN
    return _BROKEN if any(map(_holds_broken, made.values())) else whole


def _with_current_names(values: Mapping[str, Any], target: Any) -> Mapping[str, Any]:
    """The same table with keys of earlier versions under their present names.

    An old key is taken only where `target` has no field of that name and its new name is not given.
    """
    fields = {field.name for field in dataclasses.fields(target)}
    renamed: dict[str, Any] = {}
    for key, value in values.items():
        current = OLD_KEYS.get(key, key)
        is_old = key not in fields and current in fields and current not in values
        renamed[current if is_old else key] = value
    return renamed


def _holds_broken(value: Any) -> bool:
    return value is _BROKEN or (isinstance(value, tuple) and any(item is _BROKEN for item in value))


def _convert(
    value: Any,
    hint: Any,
    at: str,
    problems: list[str],
) -> Any:
    origin = get_origin(hint)
    args = get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _convert(
            value,
            next(arg for arg in args if arg is not type(None)),
            at,
            problems,
        )
    if origin is typing.Literal:
        if value not in args:
            problems.append(f"{at} is {value!r}, not one of {', '.join(map(repr, args))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            problems.append(f"{at} must be a list")
            return None
        hints = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(hints) != len(value):
            problems.append(f"{at} must hold {len(hints)} values, not {len(value)}")
            return None
        return tuple(
            _convert(item, item_hint, f"{at}[{index}]", problems)
            for index, (item, item_hint) in enumerate(zip(value, hints, strict=True))
        )
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            problems.append(f"{at} must be a table, not {value!r}")
            return None
        return {
            str(key): _convert(item, args[1], f"{at}.{key}", problems)
            for key, item in value.items()
        }
    if dataclasses.is_dataclass(hint):
        return _construct(value, hint, f"{at}.", problems)
    return _scalar(value, hint, at, problems)


def _scalar(
    value: Any,
    hint: Any,
    at: str,
    problems: list[str],
) -> Any:
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**63 else math.inf
    if hint is float and isinstance(value, float) and not math.isfinite(value):
        problems.append(f"{at} must be a finite number, not {value}")
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        problems.append(f"{at} must be {hint.__name__}, not {value!r}")
    return value
