"""Checks of the tables of a recipe, which report all their problems."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin

from .recipe_limits import Limits

_CHECK_PREFIX = "_check_"
"""Methods of a dataclass that begin so are its checks."""


class RecipeProblems(ValueError):
    """All problems that the checks of one table found."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class UncheckedError(Exception):
    """A check read a value that has problems of its own."""


class Broken:
    """Stands for a value with problems: checks that do not read it can still run."""

    def __getattr__(self, name: str) -> NoReturn:
        raise UncheckedError

    def __bool__(self) -> NoReturn:
        raise UncheckedError

    def __eq__(self, other: object) -> NoReturn:
        raise UncheckedError

    def __repr__(self) -> NoReturn:
        raise UncheckedError

    def __format__(self, form: str) -> NoReturn:
        raise UncheckedError

    __hash__ = None  # type: ignore[assignment]


BROKEN_VALUE = Broken()


@cache
def type_hints(target: Any) -> dict[str, Any]:
    """Types of the fields of a dataclass, with their metadata."""
    return typing.get_type_hints(target, include_extras=True)


def check_table(table: Any) -> None:
    """Check a dataclass whole: limits in the types of its fields, and its methods `_check_...`.

    Its `__post_init__` calls this. A check that reads a broken value is left out.

    Raises:
        RecipeProblems: with all problems.
    """
    problems: list[str] = []
    for name, hint in type_hints(table.__class__).items():
        problems += _outside_limits(getattr(table, name), hint, name)
    for check in _checks_of(table):
        try:
            check()
        except RecipeProblems as error:
            problems += error.problems
        except ValueError as error:
            problems.append(str(error))
        except (UncheckedError, TypeError):
            if not _holds_broken_value(table):
                raise
    if problems:
        raise RecipeProblems(tuple(problems))


def _checks_of(table: Any) -> Iterator[Callable[[], None]]:
    """The checks of a table, in the order in which its class defines them."""
    names = [name for each in reversed(type(table).__mro__) for name in vars(each)]
    for name in dict.fromkeys(names):
        if name.startswith(_CHECK_PREFIX):
            yield getattr(table, name)


def _holds_broken_value(table: Any) -> bool:
    return any(is_broken(getattr(table, field.name)) for field in dataclasses.fields(table))


def is_broken(value: Any) -> bool:
    """Whether a value is `BROKEN_VALUE`, or a tuple that holds it."""
    if isinstance(value, tuple):
        return any(item is BROKEN_VALUE for item in value)
    return value is BROKEN_VALUE


def _outside_limits(
    value: Any,
    hint: Any,
    key: str,
) -> Iterator[str]:
    """Problems of the numbers in a value, by the limits in its type."""
    if value is None or is_broken(value):
        return
    origin = get_origin(hint)
    if origin is Annotated:
        for each in limits_in(hint):
            problem = each.problem_of(value)
            if problem:
                yield f"{key} {problem}"
    elif origin in (Union, UnionType):
        yield from _outside_limits(value, first_type(hint), key)
    elif origin in (tuple, dict, Mapping):
        for item_key, item, item_hint in _items_of(value, hint, key):
            yield from _outside_limits(item, item_hint, item_key)


def limits_in(hint: Any) -> list[Limits]:
    """The limits in the metadata of a type."""
    return [each for each in get_args(hint)[1:] if isinstance(each, Limits)]


def first_type(hint: Any) -> Any:
    """Of a union the first type that is not None."""
    return next(each for each in get_args(hint) if each is not type(None))


def _items_of(
    value: Any,
    hint: Any,
    key: str,
) -> Iterator[tuple[str, Any, Any]]:
    """Key, value and type of each item of a tuple or map."""
    arguments = get_args(hint)
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield f"{key}.{name}", item, arguments[1]
        return
    is_any_length = arguments[-1] is Ellipsis
    for index, item in enumerate(value):
        item_hint = arguments[0] if is_any_length else arguments[index]
        yield f"{key}[{index}]", item, item_hint
