"""The root of all refusals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def some(names: Iterable[object], most: int = 6) -> str:
    """The first few names, and how many more there are."""
    items = [str(name) for name in names]
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def first_line(error: BaseException) -> str:
    """The first line of an exception's text, or its type's name where the text is empty.

    The full stop or colon at its end is left out: the line becomes part of another sentence.
    """
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return lines[0].rstrip(" .:") or type(error).__name__


class HistosynthError(Exception):
    """Root of every refusal. `problem` says what is wrong, `remedy` what to do next."""

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{problem} {remedy}")

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes as it is: `args` alone do not make it again."""
        return _made_again, (type(self), self.args, dict(self.__dict__))

    def of(self, name: object) -> HistosynthError:
        """The same refusal, saying of which file it speaks if it does not yet."""
        if str(name) not in self.problem:
            self.problem = f"{name}: {self.problem}"
            self.args = (f"{self.problem} {self.remedy}",)
        return self


def _made_again(
    kind: type[HistosynthError], args: tuple[Any, ...], fields: dict[str, Any]
) -> HistosynthError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error
