"""What a file of annotations holds, whichever tool wrote it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from ..core.arrays import Float64Array
from .scale import CoordinateScale

Point = tuple[float, float]
Polygon = tuple[Float64Array, ...]
"""The outline, then what is cut out of it, each (N, 2) px."""
DETECTION = "detection"
CELL = "cell"
ANNOTATION = "annotation"
UNSTATED = ""
"""Object type of an object that states none."""


class MarkedObject(NamedTuple):
    """One object of a file.

    Attributes:
        name: of its class; `any` where none is stated.
        object_type: QuPath's, e.g. `detection`, `cell`, `annotation` or `tile`; "" if none.
        points: (x, y) px of each.
        polygons: of a shape of several parts, each part.
        nucleus: polygons of the nucleus, where the file has it apart from the cell.
    """

    name: str
    object_type: str = UNSTATED
    points: tuple[Point, ...] = ()
    polygons: tuple[Polygon, ...] = ()
    nucleus: tuple[Polygon, ...] = ()


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """All objects of a file, in its order and its pixels.

    Attributes:
        form: name of the file's form, as in `FORMS`.
        objects: with at least a point or a polygon each.
        corner_px: 0.5 where coordinates count from the first pixel's corner, 0 from its centre.
        scale: that the file states for its coordinates; None: none.
        left_out: objects that are no points or polygons, by what they are, with their number.
    """

    form: str
    objects: list[MarkedObject]
    corner_px: float
    scale: CoordinateScale | None = None
    left_out: Counter[str] = field(default_factory=Counter)
