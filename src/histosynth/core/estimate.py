"""A number with its interval: no metric returns a number without one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; nan where undefined, and then `reason` states why.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        n: number of tiles, nuclei, pairs or cells that were counted.
        interval: how the interval was computed.
        reason: why the value or the interval is nan, and what would help; "" where both are
            numbers.
        unit: of the value, "" for a share or a ratio.
        groups: number of independent groups (patients) in the sample; 0: not known.
    """

    value: float
    low: float
    high: float
    n: int
    interval: str
    reason: str = ""
    unit: str = ""
    groups: int = 0

    @property
    def is_defined(self) -> bool:
        """Whether there is a value."""
        return math.isfinite(self.value)

    @property
    def has_interval(self) -> bool:
        """Whether both ends of the interval are numbers."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def as_text(self, form: str = ".3g") -> str:
        """In one line: the value with its interval, or why one of them is missing.

        Args:
            form: of the numbers, as in `format`.
        """
        if not self.is_defined:
            return self.reason or "not defined"
        value = format(self.value, form)
        if not self.has_interval:
            return f"{value} (no interval: {self.reason})" if self.reason else value
        return f"{value} ({self.low:{form}} to {self.high:{form}})"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: None where a number is not finite."""
        return {name: _finite_or_none(value) for name, value in asdict(self).items()}


def _finite_or_none(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def undefined(
    reason: str,
    *,
    n: int = 0,
    unit: str = "",
    groups: int = 0,
) -> Estimate:
    """An estimate that the sample cannot support; `reason` states how many items it would need."""
    return Estimate(
        math.nan,
        math.nan,
        math.nan,
        n,
        "none",
        reason,
        unit,
        groups,
    )
