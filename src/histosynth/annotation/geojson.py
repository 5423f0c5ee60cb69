"""GeoJSON of QuPath, CellViT, TIAToolbox and others: every form that features come in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from .class_names import class_of, object_type_of
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
_LINES = ("LineString", "MultiLineString")
_GEOMETRIES = (
    "Point",
    "MultiPoint",
    "Polygon",
    "MultiPolygon",
    "GeometryCollection",
    *_LINES,
)
_CHILDREN = ("childObjects", "children")
NO_GEOMETRY = "objects without a geometry"
LINES = "lines"


@dataclass
class _Parts:
    """Points and polygons of one geometry."""

    points: list[Point] = field(default_factory=list)
    polygons: list[Polygon] = field(default_factory=list)
    lines: int = 0


def is_geojson(data: Any) -> bool:
    """Whether JSON values are features in any form."""
    if isinstance(data, dict):
        is_collection = isinstance(data.get("features"), list)
        return is_collection or _is_feature(data) or isinstance(data.get("root"), dict)
    return isinstance(data, list)


def read_geojson(data: Any) -> AnnotationFile:
    """Objects of a FeatureCollection, a list, one Feature or one geometry; of QuPath's objects
    those inside them too.

    Raises:
        AnnotationFault: a feature that is none, by its number.
    """
    objects: list[MarkedObject] = []
    left_out: Counter[str] = Counter()
    for number, feature in enumerate(_features(data), start=1):
        try:
            found, lines = _object_of(feature)
        except BROKEN_VALUES as error:
            raise AnnotationFault(
                f", feature {number} is not a point or polygon with a class ({error})",
                "Export detections, cells or annotations with a classification from QuPath.",
            ) from error
        if lines:
            left_out[LINES] += lines
        if found.points or found.polygons or found.nucleus:
            objects.append(found)
        elif not lines and not _is_root(found):
            left_out[NO_GEOMETRY] += 1
    return AnnotationFile(FORM, objects, _CORNER_SHIFT_PX, left_out=left_out)


def _features(data: Any) -> Iterator[Any]:
    """All features, each before those inside it."""
    waiting = [(entry, 0) for entry in reversed(_entries(data))]
    while waiting:
        feature, depth = waiting.pop()
        yield feature
        children = _children(feature)
        if children and depth >= MAX_NESTED_DEPTH:
            raise AnnotationFault(
                f": its objects lie more than {MAX_NESTED_DEPTH} deep in each other",
                "Export the objects without their hierarchy.",
            )
        waiting += [(child, depth + 1) for child in reversed(children)]


def _entries(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    if isinstance(data.get("features"), list):
        return list(data["features"])
    return [data] if _is_feature(data) else [data["root"]]


def _is_feature(value: Mapping[str, Any]) -> bool:
    is_geometry = value.get("type") in _GEOMETRIES
    return is_geometry or value.get("type") == "Feature" or "geometry" in value


def _children(feature: Any) -> list[Any]:
    """Objects inside an object: QuPath writes them among its properties."""
    if not isinstance(feature, dict):
        return []
    found: list[Any] = []
    for place in (feature.get("properties"), feature):
        if isinstance(place, dict):
            for key in _CHILDREN:
                children = place.get(key, [])
                # what is no list becomes a feature that is refused, with its number
                found += children if isinstance(children, list) else [children]
    return found


def _is_root(found: MarkedObject) -> bool:
    """Whether an object only holds the others of a hierarchy."""
    return found.object_type == "root"


def _object_of(feature: Any) -> tuple[MarkedObject, int]:
    """The object of a feature, and how many lines it has."""
    if not isinstance(feature, dict):
        raise ValueError("it is no object")
    if feature.get("type") in _GEOMETRIES and "geometry" not in feature:
        feature = {"geometry": feature}
    if not _is_feature(feature):
        raise ValueError("it has no geometry")
    properties = feature.get("properties")
    if properties is None:  # RFC 7946 allows null
        properties = {}
    if not isinstance(properties, dict):
        raise ValueError("its properties are no object")
    object_type = object_type_of(feature, properties)
    parts = _parts_of(feature.get("geometry"))
    name = class_of(properties, object_type)
    outline = feature.get("nucleusGeometry", properties.get("nucleusGeometry"))
    inner = _parts_of(outline)
    if inner.polygons:
        object_type = CELL
    elif inner.points:
        return MarkedObject(name, CELL, (inner.points[0],)), 0
    elif outline is not None:
        raise ValueError("its nucleusGeometry is no point and no polygon")
    found = MarkedObject(
        name,
        object_type,
        tuple(parts.points),
        tuple(parts.polygons),
        tuple(inner.polygons),
    )
    return found, parts.lines


def _parts_of(geometry: Any, depth: int = 0) -> _Parts:
    """Points, polygons and lines of a geometry; none of null."""
    if geometry is None:
        return _Parts()
    if geometry["type"] == "GeometryCollection":
        return _parts_of_collection(geometry, depth)
    return _simple_parts(geometry)


def _parts_of_collection(geometry: Mapping[str, Any], depth: int) -> _Parts:
    if depth >= MAX_NESTED_DEPTH:
        raise ValueError(f"geometries lie more than {MAX_NESTED_DEPTH} deep in each other")
    parts = _Parts()
    for each in geometry["geometries"]:
        more = _parts_of(each, depth + 1)
        parts.points += more.points
        parts.polygons += more.polygons
        parts.lines += more.lines
    return parts


def _simple_parts(geometry: Mapping[str, Any]) -> _Parts:
    if geometry["type"] in _LINES:
        return _Parts(lines=1)
    coordinates = geometry["coordinates"]
    if not isinstance(coordinates, list):
        raise ValueError(f"coordinates {coordinates!r:.40}")
    match geometry["type"]:
        case "Point":
            return _Parts(points=[_point(coordinates)])
        case "MultiPoint":
            return _Parts(points=list(map(_point, coordinates)))
        case "Polygon":
            return _Parts(polygons=[_polygon(coordinates)])
        case "MultiPolygon":
            return _Parts(polygons=list(map(_polygon, coordinates)))
        case geometry_type:
            raise ValueError(f"geometry type {geometry_type!r:.40}")


def _point(coordinates: Sequence[Any]) -> Point:
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


def _polygon(rings: Sequence[Any]) -> Polygon:
    if not isinstance(rings, list) or not rings:
        raise ValueError("a polygon without a ring")
    return tuple(_ring(ring) for ring in rings)


def _ring(ring: Sequence[Sequence[Any]]) -> Float64Array:
    values = [value for corner in ring for value in (corner[0], corner[1])]
    if not {*map(type, values)} <= {int, float}:
        for value in values:
            as_coordinate(value)
    corners = np.array(values, np.float64).reshape(-1, 2)
    if len(corners) < 3:
        raise ValueError(f"a polygon of {len(corners)} points")
    if not (np.abs(corners) < _MAX_COORDINATE).all():
        raise ValueError("a polygon with a corner that is no number, or too far out")
    return corners
