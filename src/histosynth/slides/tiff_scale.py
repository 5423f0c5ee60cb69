"""The scale that the tags of a TIFF page state."""

from __future__ import annotations

import re
from typing import Any

from .length_units import um_per_unit
from .scale import ScaleStatement

_UM_PER_RESOLUTION_UNIT = {2: 25_400.0, 3: 10_000.0}
_TAGS = "its tags XResolution and YResolution"


def scales_of_tags(page: Any) -> tuple[ScaleStatement, ...]:
    """What the resolution of a TIFF page states, and ImageJ's description of its unit."""
    tags = _by_resolution_unit(page)
    imagej = _by_imagej(page)
    if imagej is None:
        return (tags,)
    # without a unit in the tags, the numbers in them are those per unit of ImageJ
    return (imagej,) if tags.problem else (imagej, tags)


def _by_resolution_unit(page: Any) -> ScaleStatement:
    """Pixels per inch or centimetre, as baseline TIFF has it."""
    unit = int(page.tags.valueof("ResolutionUnit") or 0)
    factor = _UM_PER_RESOLUTION_UNIT.get(unit)
    resolution = page.tags.valueof("XResolution")
    is_number = bool(resolution and resolution[1] and resolution[0] > resolution[1])
    if factor is None and is_number:
        problem = f"{resolution[0] / resolution[1]:.6g} px per unit, the unit not stated,"
        return ScaleStatement(_TAGS, problem=problem, is_habit=True)
    return _scale(_TAGS, page, factor)


def _by_imagej(page: Any) -> ScaleStatement | None:
    """Pixels per unit, the unit named in ImageJ's description; None where ImageJ wrote nothing."""
    description = page.description
    if not description.startswith("ImageJ="):
        return None
    found = re.search(r"^unit=(.*)$", description, re.MULTILINE)
    if found is None:
        return None
    name = found.group(1).strip()
    source = f'{_TAGS}, per "{name}" of ImageJ'
    factor = um_per_unit(name)
    if factor is None:
        stated = _scale(source, page, 1.0)
        problem = f"a unit that is no length ({name!r})"
        return None if stated.is_silent else ScaleStatement(source, problem=problem)
    return _scale(source, page, factor)


def _scale(
    source: str,
    page: Any,
    um_per_resolution_unit: float | None,
) -> ScaleStatement:
    """Both resolutions, in pixels per unit, as um/px; silent where either is absent."""
    x = page.tags.valueof("XResolution")
    y = page.tags.valueof("YResolution")
    is_stated = um_per_resolution_unit is not None and x and y and x[0] and y[0]
    if um_per_resolution_unit is None or not is_stated:
        return ScaleStatement(source, is_habit=True)
    return ScaleStatement(
        source,
        x=float(um_per_resolution_unit * (x[1] / x[0])),
        y=float(um_per_resolution_unit * (y[1] / y[0])),
        is_habit=True,
    )
