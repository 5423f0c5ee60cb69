"""The root of all errors that histosynth raises on purpose."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..visible import visible

_MAX_NAME = 255
"""Characters of a name in a message; no file has more."""


def listed(names: Iterable[object], max_names: int = 6) -> str:
    """The first names, and how many more there are."""
    items = [_cut(str(name)) for name in names]
    shown = items[:max_names]
    text = ", ".join(shown)
    more = len(items) - max_names
    if more > 0:
        text += f" and {more} more"
    return text


def _cut(name: str) -> str:
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[:_MAX_NAME]}..."


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type's name where the text is empty.

    The full stop or colon at its end is left out: the line becomes part of another sentence.
    """
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return lines[0].rstrip(" .:") or type(error).__name__


class HistosynthError(Exception):
    """Root of all errors. `problem` states what is wrong, `remedy` what to do next.

    Both hold names and texts of strangers, so their hidden characters are shown as escapes.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = visible(problem)
        self.remedy = visible(remedy)
        super().__init__(f"{self.problem} {self.remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all fields: `args` alone are not the arguments of the subclasses."""
        fields = dict(self.__dict__)
        return _restore, (type(self), self.args, fields)

    def lines(self) -> list[str]:
        """The text for people, in one or more lines."""
        return [str(self)]

    def of(self, name: object) -> HistosynthError:
        """The same error; its problem begins with the name of a file unless it holds it already."""
        shown = visible(name)
        if shown not in self.problem:
            self.problem = f"{shown}: {self.problem}"
            self.args = (f"{self.problem} {self.remedy}",)
        return self


def _restore(
    error_class: type[HistosynthError],
    args: tuple[Any, ...],
    fields: dict[str, Any],
) -> HistosynthError:
    error = error_class.__new__(error_class)
    error.args = args
    error.__dict__.update(fields)
    return error
