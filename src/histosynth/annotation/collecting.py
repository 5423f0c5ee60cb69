"""Objects of a file into columns, one by one as they are read, each polygon measured at once."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import Float64Array, IndexArray
from .measuring import COLUMNS, measure_polygons
from .objects import CELL, DETECTION, AnnotationFile, MarkedObject, MeasuredShapes, Point, Polygon
from .scale import CoordinateScale

MAX_OBJECTS = 5_000_000
"""Most points and polygons of a file."""
_BATCH = 4096
"""Polygons that are measured together."""
_BATCH_CORNERS = 1 << 18
_NO_TYPE = -1
"""Type of a row whose object is not known yet, or has no place."""


class _Texts:
    """Texts by number, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number_of(self, text: str) -> int:
        """The number of a text, a new one if need be."""
        number = self._numbers.get(text)
        if number is None:
            number = len(self.texts)
            self._numbers[text] = number
            self.texts.append(text)
        return number


class _Shapes:
    """Polygons of objects, measured a batch at a time."""

    def __init__(self) -> None:
        self.owners = array("q")
        self.corners = array("q")
        self.bounds = [
            np.full(
                2,
                np.inf,
            ),
            np.full(
                2,
                -np.inf,
            ),
        ]
        self._waiting: list[Polygon] = []
        self._waiting_corners = 0
        self._measured: list[Float64Array] = []

    def add(self, row: int, polygon: Polygon) -> int:
        """Add a polygon of the object in a row; returns the number of its corners."""
        corners = sum(
            map(
                len,
                polygon,
            )
        )
        self.owners.append(row)
        self.corners.append(corners)
        self._waiting.append(polygon)
        self._waiting_corners += corners
        if len(self._waiting) >= _BATCH or self._waiting_corners > _BATCH_CORNERS:
            self.measure()
        return corners

    def measure(self) -> None:
        """Measure those that wait."""
        if not self._waiting:
            return
        self._measured.append(measure_polygons(self._waiting))
        corners = np.concatenate([*chain.from_iterable(self._waiting)])
        low, high = self.bounds
        self.bounds = [
            np.minimum(
                low,
                corners.min(axis=0),
            ),
            np.maximum(
                high,
                corners.max(axis=0),
            ),
        ]
        self._waiting = []
        self._waiting_corners = 0

    def centres(self) -> Float64Array:
        """(N, 6) of all polygons."""
        self.measure()
        return np.concatenate(
            [
                np.empty((0, COLUMNS)),
                *self._measured,
            ]
        )


class ObjectCollector:
    """Objects of one file, in columns.

    Args:
        most_drawn: corners of shapes that people drew are kept up to so many; centroids always.
        most_detected: the same for shapes that were detected.
    """

    def __init__(self, *, most_drawn: int = 0, most_detected: int = 0) -> None:
        self.left_out: Counter[str] = Counter()
        self.count = 0
        self._to_keep = {False: most_drawn, True: most_detected}
        self._names = _Texts()
        self._types = _Texts()
        self._name_ids = array("i")
        self._type_ids = array("i")
        self._points = array("d")
        self._point_owners = array("q")
        self._point_shapes = array("d")
        self._polygons = _Shapes()
        self._nuclei = _Shapes()
        self._kept: dict[int, Polygon] = {}

    @property
    def is_full(self) -> bool:
        """Whether the file holds more than is taken; what is added is then only counted."""
        return self.count > MAX_OBJECTS

    def reserve(self) -> int:
        """A row for an object that is read in parts."""
        self._name_ids.append(0)
        self._type_ids.append(_NO_TYPE)
        return len(self._name_ids) - 1

    def settle(
        self,
        row: int,
        found: MarkedObject,
        taken: int = 0,
    ) -> None:
        """Class, type and remaining parts of the object in a row, which holds `taken` already."""
        self.count += not (found.points or found.polygons or taken)
        if self.is_full:
            return
        self._name_ids[row] = self._names.number_of(found.name)
        self._type_ids[row] = self._types.number_of(found.object_type)
        self.add_points(
            row,
            found.points,
        )
        self.add_polygons(
            row,
            found.polygons,
            found.object_type,
        )
        if found.nucleus:
            self._nuclei.add(
                row,
                _largest(found.nucleus),
            )

    def add(self, found: MarkedObject, row: int | None = None) -> None:
        """An object that is read whole, in a new row or in one that it has."""
        if row is None:
            row = -1 if self.is_full else self.reserve()
        self.settle(
            row,
            found,
        )

    def add_point(
        self,
        name: str,
        object_type: str,
        point: Point,
        shape: tuple[float, float, float] | None = None,
    ) -> None:
        """An object of one point; a file gives all of its points a shape, or none."""
        self.count += 1
        if self.is_full:
            return
        self._point_owners.append(len(self._name_ids))
        self._points.extend(point)
        if shape is not None:
            self._point_shapes.extend(shape)
        self._name_ids.append(self._names.number_of(name))
        self._type_ids.append(self._types.number_of(object_type))

    def add_points(self, row: int, points: Iterable[Point]) -> None:
        """Points of the object in a row."""
        for point in points:
            self.count += 1
            if not self.is_full:
                self._points.extend(point)
                self._point_owners.append(row)

    def add_polygons(
        self,
        row: int,
        polygons: Iterable[Polygon],
        object_type: str = "",
    ) -> None:
        """Polygons of the object in a row; its type is "" while it is not known."""
        is_detected = object_type in (
            DETECTION,
            CELL,
        )
        for polygon in polygons:
            self.count += 1
            if self.is_full:
                continue
            number = len(self._polygons.owners)
            corners = self._polygons.add(
                row,
                polygon,
            )
            self._to_keep[is_detected] -= corners
            if self._to_keep[is_detected] >= 0:
                self._kept[number] = polygon

    def rename(self, name_of: Callable[[str], str]) -> None:
        """Change every name, once all of the file is known."""
        names = _Texts()
        numbers = [names.number_of(name_of(text)) for text in self._names.texts]
        ids = _ints(self._name_ids)
        renamed = (
            np.array(
                numbers,
                np.intc,
            )[ids]
            if numbers
            else ids
        )
        self._names = names
        self._name_ids = array(
            "i",
            renamed.tobytes(),
        )

    def as_file(
        self,
        form: str,
        corner_px: float,
        scale: CoordinateScale | None = None,
    ) -> AnnotationFile:
        """All that was added."""
        type_ids = _ints(self._type_ids)
        is_object = type_ids != _NO_TYPE
        rows = np.cumsum(is_object) - 1
        points = np.frombuffer(self._points).reshape(
            -1,
            2,
        )
        owners, order = _in_order(
            self._point_owners,
            rows,
        )
        polygons, polygon_order = _in_order(
            self._polygons.owners,
            rows,
        )
        nuclei, nucleus_order = _in_order(
            self._nuclei.owners,
            rows,
        )
        places = {int(old): new for new, old in enumerate(polygon_order)} if self._kept else {}
        corners = _longs(self._polygons.corners)[polygon_order]
        return AnnotationFile(
            form,
            names=tuple(self._names.texts),
            name_ids=_ints(self._name_ids)[is_object].astype(np.intp),
            object_types=tuple(self._types.texts),
            type_ids=type_ids[is_object].astype(np.intp),
            points=points[order],
            point_shapes=self._shapes_of_points(order),
            point_owners=owners,
            polygons=MeasuredShapes(
                polygons,
                self._polygons.centres()[polygon_order],
                corners,
            ),
            nuclei=MeasuredShapes(
                nuclei, self._nuclei.centres()[nucleus_order], _longs(self._nuclei.corners)
            ),
            bounds=self._bounds(points),
            corner_px=corner_px,
            kept={places[number]: polygon for number, polygon in self._kept.items()},
            scale=scale,
            left_out=self.left_out,
        )

    def _shapes_of_points(self, order: IndexArray) -> Float64Array | None:
        """(P, 3) of the points in this order; None: the file gives none."""
        if not self._point_shapes:
            return None
        return np.frombuffer(self._point_shapes).reshape(-1, 3)[order]

    def _bounds(self, points: Float64Array) -> Float64Array | None:
        """(4) left, top, right, bottom of points and polygons."""
        self._polygons.measure()
        low, high = self._polygons.bounds
        if len(points):
            low = np.minimum(
                low,
                points.min(axis=0),
            )
            high = np.maximum(
                high,
                points.max(axis=0),
            )
        is_any = bool(len(points) or len(self._polygons.owners))
        return (
            np.concatenate(
                [
                    low,
                    high,
                ]
            )
            if is_any
            else None
        )


def _ints(numbers: array[int]) -> NDArray[np.intc]:
    return np.frombuffer(
        numbers,
        np.intc,
    )


def _longs(numbers: array[int]) -> NDArray[np.int64]:
    return np.frombuffer(
        numbers,
        np.int64,
    )


def _in_order(owners: array[int], rows: IndexArray) -> tuple[IndexArray, IndexArray]:
    """Rows of objects, ascending, and the order that makes them so: children can come first."""
    old = _longs(owners)
    found = rows[old] if len(old) else old.astype(np.intp)
    order = np.argsort(
        found,
        kind="stable",
    )
    return found[order], order


def _largest(polygons: tuple[Polygon, ...]) -> Polygon:
    if len(polygons) == 1:
        return polygons[0]
    areas = measure_polygons(polygons)[:, 2]
    return polygons[int(areas.argmax())]
