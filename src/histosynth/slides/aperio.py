"""The scale in the description of an Aperio slide."""

from __future__ import annotations

import re

from .length_units import length_um
from .scale import ScaleStatement

_MPP = re.compile(r"\|\s*MPP\s*=([^|]*)", re.IGNORECASE)


def aperio_scale(text: str) -> ScaleStatement:
    """What stands after `MPP = `: with a decimal point or comma, with or without a unit.

    Args:
        text: the value, e.g. `0.2527` or `0,2527`.
    """
    source = f'its description ("MPP = {text.strip()[:40]}")'
    value = length_um(text)
    problem = "an MPP that is not understood" if value is None else ""
    return ScaleStatement(source, value, value, problem)


def scale_of_description(description: str) -> ScaleStatement:
    """The same of a whole description; silent where it holds no MPP."""
    found = _MPP.search(description)
    if found is None:
        return ScaleStatement("its description")
    return aperio_scale(found.group(1))
