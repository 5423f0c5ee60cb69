"""Numbers as people read them: as many figures as the interval supports, thousands apart, a true
minus.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...core.estimate import Estimate

THIN = "\u202f"
"""Narrow space that no line breaks at."""
MINUS = "\u2212"
TIMES = "\u00d7"
SMALL = 1e-3
"""Below it numbers are written as powers of ten."""
LARGE = 1e7
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def count(value: int) -> str:
    """A count, thousands apart."""
    return fixed(value, 0)


def fixed(value: float, decimals: int) -> str:
    """With so many decimals; never minus zero."""
    text = f"{value:,.{decimals}f}".replace(",", THIN)
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def number(value: float, figures: int = 3) -> str:
    """With so many significant figures."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if not SMALL <= abs(value) < LARGE:
        return _power(value, figures)
    return fixed(value, max(0, figures - 1 - _order(value)))


@dataclass(frozen=True)
class FormattedEstimate:
    """An estimate in words: the value, its interval in brackets, and why there is none of
    either.
    """

    value: str
    interval: str
    reason: str
    unit: str

    @property
    def text(self) -> str:
        """All of it in one line."""
        return (
            " ".join(part for part in (self.value, self.interval, self.unit) if part) or self.reason
        )


def told(estimate: Estimate) -> FormattedEstimate:
    """An estimate in words; the interval's width says how many figures the value deserves."""
    value = estimate.value
    low = estimate.low
    high = estimate.high
    if not estimate.is_defined:
        return FormattedEstimate("", "", estimate.reason or "not told", "")
    if not (math.isfinite(low) and math.isfinite(high)):
        return FormattedEstimate(
            number(value),
            "",
            estimate.reason or "no interval",
            estimate.unit,
        )
    largest = max(abs(value), abs(low), abs(high))
    if largest and not SMALL <= largest < LARGE:
        texts = [_power(each, 2) if each else "0" for each in (value, low, high)]
    else:
        # as fine as a tenth of the interval, but two figures of what is below 1, three of what is
        # above
        order = _order(largest) if largest else 0
        width = high - low
        fine = -_order(width / 5) if width > 0 else 2 - order
        decimals = min(max(fine, (1 if order < 0 else 2) - order), 4 - order)
        texts = [fixed(each, max(0, decimals)) for each in (value, low, high)]
    return FormattedEstimate(
        texts[0],
        f"({texts[1]} to {texts[2]})",
        estimate.reason,
        estimate.unit,
    )


def _order(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _power(value: float, figures: int) -> str:
    mantissa, exponent = f"{value:.{figures - 1}e}".split("e")
    raised = str(int(exponent)).translate(_RAISED)
    return f"{mantissa.replace('-', MINUS)}{THIN}{TIMES}{THIN}10{raised}"
