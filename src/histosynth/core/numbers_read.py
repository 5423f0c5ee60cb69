"""Numbers in JSON and TOML of others, which may be infinite, no numbers, texts, true or endless.

JSON as Python reads it holds `Infinity` and `NaN`, `1e400` is infinite, and `int` of it is no
`ValueError`. So values are checked, and never converted.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

_MAX_WHOLE = 2**63


def is_whole(value: Any, *, least: int = 0) -> TypeGuard[int]:
    """Whether a value is a whole number of at most 63 bits, true and false left out.

    Args:
        value: of any type.
        least: the smallest number taken.
    """
    is_int = isinstance(value, int) and not isinstance(value, bool)
    return is_int and least <= value < _MAX_WHOLE


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value is a finite number, whole or not, that a float can hold."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return abs(value) < _MAX_WHOLE
    return isinstance(value, float) and math.isfinite(value)
