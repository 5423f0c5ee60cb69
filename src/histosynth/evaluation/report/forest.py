"""The forest plot: ratios to real tissue on one log axis, each with its interval, its shape and
its words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ...core.estimate import Estimate
from ...metrics.finding import Finding

Standing = Literal["like", "worse", "better", "wide", "open"]
"""Where a ratio stands to 1; each has a shape of its own."""

WIDE = 2.0
"""An interval that holds both this and its inverse tells nothing."""
LEAST = 2.0
MOST = 100.0
"""How far the axis reaches on both sides of 1, as a factor."""
TICKS = (
    (6, (0.25, 0.5, 1, 2, 4)),
    (32, (0.03, 0.1, 0.3, 1, 3, 10, 30)),
    (math.inf, (0.01, 0.1, 1, 10, 100)),
)
"""Round ratios for axes that reach less far than so."""
EDGE = 6.0
"""Percent of the strip kept free at either end, for arrows and the halves of marks."""

KEY: tuple[tuple[Standing, str], ...] = (
    ("like", "not told apart from real tissue: the interval holds 1"),
    ("worse", "worse than real tissue, or different where neither way is better"),
    ("better", "better than real tissue"),
    (
        "wide",
        f"too uncertain to tell: the interval reaches from below 1/{WIDE:g} to above {WIDE:g}",
    ),
    ("open", "no interval"),
)


@dataclass(frozen=True)
class Strip:
    """One ratio drawn: places in percent of the strip's width.

    Attributes:
        at: of the mark.
        span: of the interval's ends; None: there is none.
        beyond: whether it goes on beyond the axis to the left, and to the right.
        standing: gives shape and colour.
        words: says the same.
    """

    at: float
    span: tuple[float, float] | None
    beyond: tuple[bool, bool]
    standing: Standing
    words: str


def standing(finding: Finding) -> tuple[Standing, str]:
    """How a finding's ratio stands to real tissue, and in words."""
    ratio = finding.ratio
    if ratio is None or not (math.isfinite(ratio.low) and math.isfinite(ratio.high)):
        return "open", "no interval"
    if ratio.low <= 1 <= ratio.high:
        if ratio.low < 1 / WIDE and ratio.high > WIDE:
            return "wide", "too uncertain to tell"
        return "like", "not told apart"
    above = ratio.low > 1
    if finding.better == "real":
        return "worse", "above real" if above else "below real"
    worse = above != (finding.better == "high")
    return ("worse", "worse than real") if worse else ("better", "better than real")


@dataclass(frozen=True)
class Axis:
    """A log axis about 1.

    Attributes:
        reach: it goes from 1 / reach to reach.
    """

    reach: float

    @classmethod
    def of(cls, ratios: Iterable[Estimate]) -> Axis:
        """Wide enough for all of them, within reason."""
        ends = [end for ratio in ratios for end in (ratio.value, ratio.low, ratio.high)]
        far = [max(end, 1 / end) for end in ends if math.isfinite(end) and end > 0]
        return cls(min(max([LEAST, *far]) * 1.05, MOST))

    @property
    def ticks(self) -> Sequence[tuple[float, str]]:
        """(percent, label) of round ratios."""
        round_ones = next(ratios for below, ratios in TICKS if self.reach < below)
        return [
            (self.place(ratio), f"{ratio:g}")
            for ratio in round_ones
            if 1 / self.reach <= ratio <= self.reach
        ]

    def place(self, ratio: float) -> float:
        """Percent of the strip; what lies beyond the axis is put at its end."""
        end = math.log(self.reach)
        inside = min(max(math.log(ratio), -end), end) if ratio > 0 else -end
        return round(EDGE + (100 - 2 * EDGE) * (inside + end) / (2 * end), 2)

    def strip(self, finding: Finding) -> Strip | None:
        """A finding's ratio drawn, where it has one."""
        ratio = finding.ratio
        if ratio is None or not ratio.is_defined:
            return None
        kind, words = standing(finding)
        span = None if kind == "open" else (self.place(ratio.low), self.place(ratio.high))
        ends = (ratio.value, ratio.value) if kind == "open" else (ratio.low, ratio.high)
        beyond = ends[0] < 1 / self.reach, ends[1] > self.reach
        return Strip(self.place(ratio.value), span, beyond, kind, words)
