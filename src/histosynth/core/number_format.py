"""Numbers as text: as many digits as the interval supports, separated thousands."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .estimate import Estimate

NARROW_SPACE = "\u202f"
"""Separates thousands; no line breaks at it."""
MINUS = "\u2212"
TIMES = "\u00d7"
MIN_DECIMAL = 1e-3
"""Numbers below it are written as powers of ten."""
MAX_DECIMAL = 1e7
MISSING = "–"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


SPELT_UNITS = {
    "um": "micrometres",
    "um2": "square micrometres",
    "per mm2": "per square millimetre",
    "sd": "standard deviations of real tiles",
    "real sd": "standard deviations of real nuclei",
    "log10": "powers of ten",
    "log10 of a share": "power of ten of the share",
    "doses/um": "doses per micrometre",
    "dB": "decibels",
    "px": "pixels",
    "mpp": "micrometres per pixel",
}
"""Units of estimates and axes as people read them; all others are words already."""


def spelt_unit(unit: str) -> str:
    """A unit in words."""
    return SPELT_UNITS.get(unit, unit)


def format_count(value: int) -> str:
    """A count with separated thousands."""
    return format_fixed(value, 0)


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun, whose plural ends in s unless another is given, for plain text."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def format_fixed(value: float, decimals: int) -> str:
    """A number with so many decimals; never minus zero."""
    text = f"{value:,.{decimals}f}".replace(",", NARROW_SPACE)
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def format_number(value: float, figures: int = 3) -> str:
    """A number with so many significant figures."""
    if not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if not MIN_DECIMAL <= abs(value) < MAX_DECIMAL:
        return _power_of_ten(value, figures)
    return format_fixed(value, max(0, figures - 1 - _order(value)))


@dataclass(frozen=True)
class FormattedEstimate:
    """An estimate as text: value, interval in brackets, or the reason why one is missing."""

    value: str
    interval: str
    reason: str
    unit: str

    @property
    def text(self) -> str:
        """All parts in one line."""
        parts = [part for part in (self.value, self.interval, self.unit) if part]
        return " ".join(parts) or self.reason


def format_estimate(estimate: Estimate) -> FormattedEstimate:
    """An estimate as text; the width of its interval decides the number of digits."""
    if not estimate.is_defined:
        return FormattedEstimate(
            "",
            "",
            estimate.reason or "undefined",
            "",
        )
    if not estimate.has_interval:
        reason = estimate.reason or "no interval"
        return FormattedEstimate(
            format_number(estimate.value),
            "",
            reason,
            estimate.unit,
        )
    value, low, high = _same_digits(
        estimate.value,
        estimate.low,
        estimate.high,
    )
    return FormattedEstimate(
        value,
        f"({low} to {high})",
        estimate.reason,
        estimate.unit,
    )


def _same_digits(
    value: float,
    low: float,
    high: float,
) -> list[str]:
    """A value and the ends of its interval with the same number of decimals."""
    numbers = (value, low, high)
    largest = max(abs(number) for number in numbers)
    if largest and not MIN_DECIMAL <= largest < MAX_DECIMAL:
        return [_power_of_ten(number, 2) if number else "0" for number in numbers]
    decimals = max(0, _decimals(largest, high - low))
    return [format_fixed(number, decimals) for number in numbers]


def _decimals(largest: float, width: float) -> int:
    """Decimals down to a tenth of the interval, within two (below 1: or three) to five figures."""
    order = _order(largest) if largest else 0
    fine = -_order(width / 5) if width > 0 else 2 - order
    least = (1 if order < 0 else 2) - order
    return min(max(fine, least), 4 - order)


def _order(value: float) -> int:
    return math.floor(math.log10(abs(value)))


def _power_of_ten(value: float, figures: int) -> str:
    mantissa, exponent = f"{value:.{figures - 1}e}".split("e")
    raised = str(int(exponent)).translate(_RAISED)
    return f"{mantissa.replace('-', MINUS)}{NARROW_SPACE}{TIMES}{NARROW_SPACE}10{raised}"
