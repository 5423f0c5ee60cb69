"""The forest plot: ratios to real tissue on one log axis, with interval, shape and text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...core.estimate import Estimate
from ...metrics.finding import Finding
from ...metrics.standing import WIDE_FACTOR, Standing, standing

MIN_REACH = 2.0
MAX_REACH = 100.0
"""Limits of the axis on both sides of 1, as factors."""
AXIS_MARGIN = 1.05
TICKS = (
    (6, (0.25, 0.5, 1, 2, 4)),
    (32, (0.03, 0.1, 0.3, 1, 3, 10, 30)),
    (math.inf, (0.01, 0.1, 1, 10, 100)),
)
"""Ratios at the ticks of an axis whose reach is below the first number."""
EDGE_PERCENT = 6.0
"""Percent of the strip kept free at either end, for arrows and half marks."""

LEGEND: tuple[tuple[Standing, str], ...] = (
    ("like", "no difference from real tissue found: the interval contains 1"),
    ("worse", "worse than real tissue, or different where neither direction is better"),
    ("better", "better than real tissue"),
    (
        "wide",
        "too uncertain for a conclusion: the interval reaches from below "
        f"1/{WIDE_FACTOR:g} to above {WIDE_FACTOR:g}, or is of too few patients",
    ),
    ("open", "no interval"),
)


@dataclass(frozen=True)
class Strip:
    """One ratio drawn: positions in percent of the strip's width.

    Attributes:
        mark: position of the ratio.
        span: positions of the interval's ends; None: there is no interval.
        beyond: whether it continues beyond the axis to the left, and to the right.
        standing: decides shape and colour.
        text: the same in words.
    """

    mark: float
    span: tuple[float, float] | None
    beyond: tuple[bool, bool]
    standing: Standing
    text: str


@dataclass(frozen=True)
class Axis:
    """A log axis around 1.

    Attributes:
        reach: it extends from 1 / reach to reach.
    """

    reach: float

    @classmethod
    def of(cls, ratios: Iterable[Estimate]) -> Axis:
        """An axis that contains all ratios and intervals, within `MIN_REACH` and `MAX_REACH`."""
        reach = MIN_REACH
        for ratio in ratios:
            for end in (ratio.value, ratio.low, ratio.high):
                if math.isfinite(end) and end > 0:
                    reach = max(reach, end, 1 / end)
        return cls(min(reach * AXIS_MARGIN, MAX_REACH))

    @property
    def ticks(self) -> Sequence[tuple[float, str]]:
        """(percent, label) of round ratios."""
        ratios = next(ratios for limit, ratios in TICKS if self.reach < limit)
        inside = [ratio for ratio in ratios if 1 / self.reach <= ratio <= self.reach]
        return [(self.position(ratio), f"{ratio:g}") for ratio in inside]

    def position(self, ratio: float) -> float:
        """Percent of the strip; a ratio beyond the axis is placed at its end."""
        end = math.log(self.reach)
        clipped = -end
        if ratio > 0:
            clipped = min(max(math.log(ratio), -end), end)
        return round(
            EDGE_PERCENT + (100 - 2 * EDGE_PERCENT) * (clipped + end) / (2 * end),
            2,
        )

    def strip(self, finding: Finding) -> Strip | None:
        """A finding's ratio drawn, where it has one."""
        ratio = finding.ratio
        if ratio is None or not ratio.is_defined:
            return None
        shape, text = standing(finding)
        span = None
        low = ratio.value
        high = ratio.value
        if shape != "open":
            low = ratio.low
            high = ratio.high
            span = (self.position(low), self.position(high))
        beyond = (low < 1 / self.reach, high > self.reach)
        return Strip(
            self.position(ratio.value),
            span,
            beyond,
            shape,
            text,
        )
