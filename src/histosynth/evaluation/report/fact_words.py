"""Keys and estimates among facts, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ...core.estimate import Estimate
from ...core.number_format import format_count, format_estimate, spelt_unit

_ESTIMATE_KEYS = {field.name for field in fields(Estimate)}
_NUMBERS = ("value", "low", "high")


def key_in_words(key: str) -> str:
    """A key with the unit that its end names spelt: `reach_um`, reach (micrometres)."""
    name, _, unit = key.rpartition("_")
    spelt = spelt_unit(unit)
    if not name or spelt == unit:
        return key.replace("_", " ")
    words = name.replace("_", " ")
    return f"{words} ({spelt})"


def estimate_in_words(value: Mapping[str, Any]) -> str:
    """An estimate in JSON as tables show it, with its n; "" where the value is none."""
    if value.keys() != _ESTIMATE_KEYS:
        return ""
    numbers = dict(value)
    for name in _NUMBERS:
        number = numbers[name]
        if number is None:
            numbers[name] = math.nan
        elif not isinstance(number, int | float):
            return ""
    estimate = Estimate(**numbers)
    shown = format_estimate(estimate)
    if not shown.value:
        return shown.reason
    parts = [
        shown.value,
        shown.interval,
        spelt_unit(shown.unit),
    ]
    text = " ".join(filter(None, parts))
    count = format_count(estimate.n)
    return f"{text}, n {count}"
