"""Checks of recipes: limits of numbers, and checks of a table that report all their problems."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, NoReturn, Union, get_args, get_origin

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


BROKEN = Broken()


@dataclass(frozen=True)
class Limits:
    """Limits of a number, as metadata of its type: `Annotated[int, Limits(least=1)]`.

    Attributes:
        least: the smallest value.
        most: the largest value.
        above: every value is larger.
        below: every value is smaller.
        multiple: every value is a multiple of it.
    """

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None
    multiple: int | None = None

    def problem_of(self, value: float) -> str:
        """Why a number is outside, e.g. `must be at least 1, not 0`; "" if it is inside."""
        inside = (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )
        fits = self.multiple is None or value % self.multiple == 0
        if inside and fits:
            return ""
        return f"must {self._in_words()}, not {value}"

    def _in_words(self) -> str:
        multiple = f"be a multiple of {self.multiple} " if self.multiple else ""
        low = self.least if self.above is None else self.above
        high = self.most if self.below is None else self.below
        if low is not None and high is not None:
            opening = "[" if self.above is None else "("
            closing = "]" if self.below is None else ")"
            return f"{multiple or 'lie '}in {opening}{_plain(low)}, {_plain(high)}{closing}"
        if multiple:
            return f"{multiple}from {_plain(low or 0)}"
        if self.above is not None:
            return "be positive" if self.above == 0 else f"be above {_plain(self.above)}"
        return "not be negative" if low == 0 else f"be at least {_plain(low or 0)}"


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


Share = Annotated[float, Limits(least=0, most=1)]
NotNegative = Annotated[float, Limits(least=0)]
Positive = Annotated[float, Limits(above=0)]
Count = Annotated[int, Limits(least=1)]
CountOrZero = Annotated[int, Limits(least=0)]


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
    """Whether a value is `BROKEN`, or a tuple that holds it."""
    if isinstance(value, tuple):
        return any(item is BROKEN for item in value)
    return value is BROKEN


def _outside_limits(
    value: Any,
    hint: Any,
    key: str,
) -> Iterator[str]:
    """Problems of the numbers in a value, by the limits in its type."""
    if value is None or is_broken(value):
        return
    origin = get_origin(hint)
    arguments = get_args(hint)
    if origin is Annotated:
        limits = [each for each in arguments[1:] if isinstance(each, Limits)]
        problems = [each.problem_of(value) for each in limits]
        yield from (f"{key} {problem}" for problem in problems if problem)
    elif origin in (Union, UnionType):
        first = next(each for each in arguments if each is not type(None))
        yield from _outside_limits(value, first, key)
    elif origin is tuple:
        for index, item in enumerate(value):
            item_hint = arguments[0] if arguments[-1] is Ellipsis else arguments[index]
            yield from _outside_limits(item, item_hint, f"{key}[{index}]")
    elif origin in (dict, Mapping):
        for name, item in value.items():
            yield from _outside_limits(item, arguments[1], f"{key}.{name}")
