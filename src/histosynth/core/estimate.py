"""A number with its interval: no judge returns a bare one."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval; nan where there is none, and then `reason` says why.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end.
        n: what was counted: tiles, nuclei, pairs or cells.
        interval: how the interval was made.
        reason: why the value or the interval is nan, and what would help; "" where both are
            numbers.
        unit: of the value, "" for a share or a ratio.
        groups: how many independent groups (patients) stand behind it; 0: not known.
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

    def as_dict(self) -> dict[str, Any]:
        """For JSON: None where a number is not finite."""
        plain = asdict(self)
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in plain.items()
        }


def undefined(
    reason: str,
    *,
    n: int = 0,
    unit: str = "",
    groups: int = 0,
) -> Estimate:
    """An estimate that the sample cannot support; `reason` says how many it would take."""
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
