"""Limits of numbers in recipes, as metadata of their types: readers and JSON Schemas share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated


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
        fits = self.multiple is None or value % self.multiple == 0
        if fits and self._is_above(value) and self._is_below(value):
            return ""
        return f"must {self._in_words()}, not {value}"

    def _is_above(self, value: float) -> bool:
        if self.above is not None:
            return value > self.above
        return self.least is None or value >= self.least

    def _is_below(self, value: float) -> bool:
        if self.below is not None:
            return value < self.below
        return self.most is None or value <= self.most

    def _in_words(self) -> str:
        if self.most is not None or self.below is not None:
            verb = f"be a multiple of {self.multiple}" if self.multiple else "lie"
            return f"{verb} in {self._interval()}"
        if self.multiple:
            return f"be a multiple of {self.multiple} from {_plain(self.least)}"
        if self.above is not None:
            return "be positive" if self.above == 0 else f"be above {_plain(self.above)}"
        return "not be negative" if self.least == 0 else f"be at least {_plain(self.least)}"

    def _interval(self) -> str:
        """Both ends, e.g. `(0, 1]`."""
        is_open = self.above is not None
        is_open_ended = self.below is not None
        low = _plain(self.above if is_open else self.least)
        high = _plain(self.below if is_open_ended else self.most)
        opening = "(" if is_open else "["
        closing = ")" if is_open_ended else "]"
        return f"{opening}{low}, {high}{closing}"


def _plain(number: float | None) -> str:
    if isinstance(number, float):
        return f"{number:g}"
    return str(number)


Share = Annotated[
    float,
    Limits(least=0, most=1),
]
ShareBelowOne = Annotated[
    float,
    Limits(least=0, below=1),
]
PartOfAll = Annotated[
    float,
    Limits(above=0, below=1),
]
"""Neither nothing nor everything."""
NotNegative = Annotated[
    float,
    Limits(least=0),
]
Positive = Annotated[
    float,
    Limits(above=0),
]
AtLeastOne = Annotated[
    int,
    Limits(least=1),
]
ZeroOrMore = Annotated[
    int,
    Limits(least=0),
]
