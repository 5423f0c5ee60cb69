"""GeoJSON of QuPath, CellViT, TIAToolbox and others: every form that features come in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from .class_names import class_of, object_type_of
from .collecting import ObjectCollector
from .faults import BROKEN_VALUES, AnnotationFault
from .objects import CELL, AnnotationFile, MarkedObject, Point, Polygon

FORM = "GeoJSON"
MAX_NESTED_DEPTH = 50
"""Deepest objects within objects, and geometries within geometries."""
_MAX_COORDINATE = 1e9
"""No corner of a polygon lies farther out, in pixels."""
_CORNER_SHIFT_PX = 0.5
"""QuPath puts (0, 0) at the top-left corner of the first pixel, for shapes and points. Centroids
count from that pixel's centre."""
LINE_TYPES = ("LineString", "MultiLineString")
GEOMETRIES = (
    "Point",
    "MultiPoint",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
    *LINE_TYPES,
)
CHILD_KEYS = ("childObjects", "children")
NO_GEOMETRY = "objects without a geometry"
LINES = "lines"


@dataclass
class GeometryParts:
    """Points and polygons of one geometry.

    Attributes:
        points: px.
        polygons: px.
        lines: number of lines.
        taken: number of further points and polygons, which the file's columns hold already.
        error: what is wrong with it, where it was read in parts.
    """

    points: list[Point] = field(default_factory=list)
    polygons: list[Polygon] = field(default_factory=list)
    lines: int = 0
    taken: int = 0
    error: Exception | None = None


def is_geojson(data: Any) -> bool:
    """Whether JSON values are features in any form."""
    if isinstance(data, dict):
        is_collection = isinstance(data.get("features"), list)
        return is_collection or is_feature(data) or isinstance(data.get("root"), dict)
    return isinstance(data, list)


class FeatureReader:
    """Features into columns.

    Args:
        collector: of the file.
    """

    def __init__(self, collector: ObjectCollector) -> None:
        self.collector = collector
        self._count = 0
        self._fault: tuple[int, AnnotationFault] | None = None

    def next_number(self) -> int:
        """The number of the next feature, from 1."""
        self._count += 1
        return self._count

    def read(self, feature: Any, depth: int = 0) -> None:
        """A feature, and those inside it, each before its own."""
        waiting = [(feature, depth)]
        while waiting and self._fault is None:
            feature, depth = waiting.pop()
            number = self.next_number()
            self.settle(number, feature)
            children = children_of(feature)
            if children:
                self.check_depth(number, depth)
            waiting += [(child, depth + 1) for child in reversed(children)]

    def settle(self, number: int, feature: Any, row: int | None = None) -> None:
        """The object of a feature, in a new row or in one that it has."""
        try:
            found, parts = _object_of(feature)
        except BROKEN_VALUES as error:
            fault = AnnotationFault(
                f", feature {number} is not a point or polygon with a class ({error})",
                "Export detections, cells or annotations with a classification from QuPath.",
            )
            fault.__cause__ = error
            self._note(number, fault)
            return
        left_out = self.collector.left_out
        if parts.lines:
            left_out[LINES] += parts.lines
        if row is not None and parts.taken:
            self.collector.settle(row, found, parts.taken)
        elif found.points or found.polygons or found.nucleus:
            self.collector.add(found, row)
        elif not parts.lines and not _is_root(found):
            left_out[NO_GEOMETRY] += 1

    def check_depth(self, number: int, depth: int) -> None:
        """Refuse objects that lie too deep in each other."""
        if depth >= MAX_NESTED_DEPTH:
            fault = AnnotationFault(
                f": its objects lie more than {MAX_NESTED_DEPTH} deep in each other",
                "Export the objects without their hierarchy.",
            )
            self._note(number, fault)

    def _note(self, number: int, fault: AnnotationFault) -> None:
        """Keep the fault of the first feature: parents come before their children."""
        if self._fault is None or number < self._fault[0]:
            self._fault = (number, fault)

    def as_file(self) -> AnnotationFile:
        """All features.

        Raises:
            AnnotationFault: a feature that is none, by its number.
        """
        if self._fault:
            raise self._fault[1]
        return self.collector.as_file(FORM, _CORNER_SHIFT_PX)


def read_geojson(data: Any, collector: ObjectCollector) -> AnnotationFile:
    """Objects of a FeatureCollection, a list, one Feature or one geometry; of QuPath's objects
    those inside them too.

    Raises:
        AnnotationFault: a feature that is none, by its number.
    """
    reader = FeatureReader(collector)
    for entry in entries_of(data):
        reader.read(entry)
    return reader.as_file()


def entries_of(data: Any) -> list[Any]:
    """Features at the top of JSON values."""
    if isinstance(data, list):
        return data
    if isinstance(data.get("features"), list):
        return list(data["features"])
    return [data] if is_feature(data) else [data["root"]]


def is_feature(value: Mapping[str, Any]) -> bool:
    """Whether an object is a Feature or a geometry."""
    is_geometry = value.get("type") in GEOMETRIES
    return is_geometry or value.get("type") == "Feature" or "geometry" in value


def children_of(feature: Any) -> list[Any]:
    """Objects inside an object: QuPath writes them among its properties."""
    if not isinstance(feature, dict):
        return []
    found: list[Any] = []
    for place in (feature.get("properties"), feature):
        if isinstance(place, dict):
            for key in CHILD_KEYS:
                children = place.get(key, [])
                # what is no list becomes a feature that is refused, with its number
                found += children if isinstance(children, list) else [children]
    return found


def _is_root(found: MarkedObject) -> bool:
    """Whether an object only holds the others of a hierarchy."""
    return found.object_type == "root"


def _object_of(feature: Any) -> tuple[MarkedObject, GeometryParts]:
    """The object of a feature, and what its geometry holds."""
    if not isinstance(feature, dict):
        raise ValueError("it is no object")
    if feature.get("type") in GEOMETRIES and "geometry" not in feature:
        feature = {"geometry": feature}
    if not is_feature(feature):
        raise ValueError("it has no geometry")
    properties = feature.get("properties")
    if properties is None:  # RFC 7946 allows null
        properties = {}
    if not isinstance(properties, dict):
        raise ValueError("its properties are no object")
    object_type = object_type_of(feature, properties)
    parts = parts_of(feature.get("geometry"))
    name = class_of(properties, object_type)
    outline = feature.get("nucleusGeometry", properties.get("nucleusGeometry"))
    inner = parts_of(outline)
    if inner.polygons:
        object_type = CELL
    elif inner.points:
        if parts.taken:
            raise ValueError("its outline is larger than a cell's")
        return MarkedObject(name, CELL, (inner.points[0],)), GeometryParts()
    elif outline is not None:
        raise ValueError("its nucleusGeometry is no point and no polygon")
    found = MarkedObject(
        name,
        object_type,
        tuple(parts.points),
        tuple(parts.polygons),
        tuple(inner.polygons),
    )
    return found, parts


def parts_of(geometry: Any, depth: int = 0) -> GeometryParts:
    """Points, polygons and lines of a geometry; none of null."""
    if geometry is None:
        return GeometryParts()
    if isinstance(geometry, GeometryParts):
        if geometry.error:
            raise geometry.error
        return geometry
    if geometry["type"] == "GeometryCollection":
        return _parts_of_collection(geometry, depth)
    return _simple_parts(geometry)


def _parts_of_collection(geometry: Mapping[str, Any], depth: int) -> GeometryParts:
    if depth >= MAX_NESTED_DEPTH:
        raise ValueError(f"geometries lie more than {MAX_NESTED_DEPTH} deep in each other")
    parts = GeometryParts()
    for each in geometry["geometries"]:
        more = parts_of(each, depth + 1)
        parts.points += more.points
        parts.polygons += more.polygons
        parts.lines += more.lines
    return parts


def _simple_parts(geometry: Mapping[str, Any]) -> GeometryParts:
    if geometry["type"] in LINE_TYPES:
        return GeometryParts(lines=1)
    coordinates = geometry["coordinates"]
    if not isinstance(coordinates, list):
        raise ValueError(f"coordinates {coordinates!r:.40}")
    match geometry["type"]:
        case "Point":
            return GeometryParts(points=[point_of(coordinates)])
        case "MultiPoint":
            return GeometryParts(points=list(map(point_of, coordinates)))
        case "Polygon":
            return GeometryParts(polygons=[polygon_of(coordinates)])
        case "MultiPolygon":
            return GeometryParts(polygons=list(map(polygon_of, coordinates)))
        case geometry_type:
            raise ValueError(f"geometry type {geometry_type!r:.40}")


def point_of(coordinates: Sequence[Any]) -> Point:
    """A position; raises any of `BROKEN_VALUES`, as the next two do."""
    x, y, *_ = coordinates
    return as_coordinate(x), as_coordinate(y)


def as_coordinate(value: Any) -> float:
    """A number of JSON.

    Raises:
        ValueError: it is text, or true or false.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"coordinate {value!r}")
    return float(value)


def polygon_of(rings: Sequence[Any]) -> Polygon:
    """Rings of a polygon."""
    if not isinstance(rings, list) or not rings:
        raise ValueError("a polygon without a ring")
    return tuple(ring_of(ring) for ring in rings)


def ring_of(ring: Sequence[Sequence[Any]]) -> Float64Array:
    """(N, 2) corners of a ring."""
    return checked_ring(corner_values(ring))


def corner_values(ring: Sequence[Sequence[Any]]) -> Float64Array:
    """(N, 2) numbers of corners."""
    values = [value for corner in ring for value in (corner[0], corner[1])]
    if not {*map(type, values)} <= {int, float}:
        for value in values:
            as_coordinate(value)
    return np.array(values, np.float64).reshape(-1, 2)


def checked_ring(corners: Float64Array) -> Float64Array:
    """The same corners (N, 2).

    Raises:
        ValueError: they are less than three, or a number is none.
    """
    if len(corners) < 3:
        raise ValueError(f"a polygon of {len(corners)} points")
    if not (np.abs(corners) < _MAX_COORDINATE).all():
        raise ValueError("a polygon with a corner that is no number, or too far out")
    return corners
