"""What a file of annotations holds, whichever tool wrote it: columns, not an object a nucleus."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import BoolArray, Float64Array, IndexArray
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
    """One object of a file, as it is read.

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
class MeasuredShapes:
    """Polygons, measured.

    Attributes:
        owners: (N) rows of their objects, ascending.
        centres: (N, 6) float64 from `measure_polygons`: centroid x, y in px, area and variances in
            px2.
        corners: (N) number of their corners.
    """

    owners: IndexArray
    centres: Float64Array
    corners: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.owners)


@dataclass(frozen=True, eq=False)
class AnnotationFile:
    """All objects of a file, in its order and its pixels.

    Attributes:
        form: name of the file's form, as in `FORM_FACTS`.
        names: of classes, each once.
        name_ids: (N) class of each object, index of `names`.
        object_types: each once.
        type_ids: (N) type of each object, index of `object_types`.
        points: (P, 2) float64 px.
        point_owners: (P) rows of their objects, ascending.
        polygons: all parts of all shapes.
        nuclei: the largest part of each outline of a nucleus that a cell has.
        bounds: (4) left, top, right, bottom of points and polygons; None: there are none.
        corner_px: 0.5 where coordinates count from the first pixel's corner, 0 from its centre.
        point_shapes: (P, 3) area in um2, elongation and angle of points, nan where one is not
            given; None: the file gives none.
        kept: corners of polygons by their row in `polygons`, where they were wanted.
        scale: that the file states for its coordinates; None: none.
        left_out: objects that are no points or polygons, by what they are, with their number.
    """

    form: str
    names: tuple[str, ...]
    name_ids: IndexArray
    object_types: tuple[str, ...]
    type_ids: IndexArray
    points: Float64Array
    point_owners: IndexArray
    polygons: MeasuredShapes
    nuclei: MeasuredShapes
    bounds: Float64Array | None
    corner_px: float
    point_shapes: Float64Array | None = None
    kept: dict[int, Polygon] = field(default_factory=dict)
    scale: CoordinateScale | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.name_ids)

    def is_of(self, *object_types: str) -> BoolArray:
        """(N) bool: objects of one of these types."""
        chosen = [text in object_types for text in self.object_types]
        found: BoolArray = np.array([*chosen, False], np.bool_)[self.type_ids]
        return found

    def has_nucleus(self) -> BoolArray:
        """(N) bool: objects with an outline of the nucleus."""
        found = np.zeros(len(self), np.bool_)
        found[self.nuclei.owners] = True
        return found

    def counts_by_type(self, of: BoolArray) -> Counter[str]:
        """Number of the chosen objects (N) by type."""
        counts = np.bincount(self.type_ids[of], minlength=len(self.object_types))
        found = dict(zip(self.object_types, counts.tolist(), strict=True))
        return +Counter(found)
