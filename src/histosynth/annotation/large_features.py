"""Features too large for memory: a MultiPolygon of all nuclei of a slide, or a tree of objects."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from .class_names import may_matter
from .faults import BROKEN_VALUES, AnnotationFault
from .geojson import (
    CHILD_KEYS,
    GEOMETRIES,
    LINE_TYPES,
    MAX_NESTED_DEPTH,
    FeatureReader,
    GeometryParts,
    as_coordinate,
    checked_ring,
    parts_of,
    point_of,
    polygon_of,
    ring_of,
)
from .json_text import LARGE, JsonText, twice
from .objects import Polygon

_MAX_PROPERTIES = 1000
_COORDINATES = ("coordinates", "geometries")


class LargeFeatures:
    """Features from a text, those that do not fit a piece of it member by member.

    Args:
        text: of the file.
        reader: of features that are read whole.
    """

    def __init__(self, text: JsonText, reader: FeatureReader) -> None:
        self._text = text
        self._reader = reader

    def read(self, depth: int = 0) -> None:
        """The next value as a feature."""
        feature = self._text.small_value()
        if feature is not LARGE:
            self._reader.read(feature, depth)
        elif self._text.peek() == "{":
            large = LargeFeature(self._text, self._reader, depth)
            for key in self._text.members():
                large.read_member(key)
            large.settle()
        else:
            self._text.skip()
            self._reader.read([], depth)  # is refused with its number

    def read_list(self, depth: int = 0) -> None:
        """All features of the list that comes next."""
        for _ in self._text.elements():
            self.read(depth)


class LargeFeature:
    """One feature, whose members come one by one.

    Args:
        text: of the file.
        reader: of features that are read whole.
        depth: of the feature in others.
    """

    def __init__(
        self,
        text: JsonText,
        reader: FeatureReader,
        depth: int,
    ) -> None:
        self._text = text
        self._reader = reader
        self._depth = depth
        self._number = reader.next_number()
        self._row = reader.collector.reserve()
        self.members: dict[str, Any] = {}

    def read_member(self, key: str) -> None:
        """The value of a key."""
        if key in self.members:
            raise twice(key)
        if key == "geometry":
            self.members[key] = self._geometry(0)
        elif key == "properties":
            self.members[key] = self._properties()
        elif key in CHILD_KEYS:
            self._read_children()
        elif key in _COORDINATES:
            self.members[key] = self._own_coordinates(key)
        elif key in ("type", "id", "nucleusGeometry"):
            self.members[key] = self._text.value()
        else:
            self._text.skip()

    def settle(self) -> None:
        """The object, once all members are read."""
        feature = self.members
        parts = next((feature[key] for key in _COORDINATES if key in feature), None)
        if isinstance(parts, GeometryParts) and "geometry" not in feature:
            feature = {"type": "Feature", "geometry": parts}
        self._reader.settle(self._number, feature, self._row)

    def _own_coordinates(self, key: str) -> Any:
        """Coordinates of a bare geometry, whose type stands before them."""
        geometry_type = self.members.get("type")
        if geometry_type not in GEOMETRIES:
            return self._text.value()
        return self._coordinates(key, geometry_type, 0)

    def _properties(self) -> Any:
        found = self._text.small_value()
        if found is not LARGE:
            self._take_children(found)
            return found
        if self._text.peek() != "{":
            self._text.skip()
            return []  # is refused, as any list
        kept: dict[str, Any] = {}
        for key in self._text.members():
            if key in kept:
                raise twice(key)
            if key in CHILD_KEYS:
                self._read_children()
            elif key == "nucleusGeometry" or may_matter(key):
                kept[key] = self._text.value()
            else:
                self._text.skip()
            if len(kept) > _MAX_PROPERTIES:
                raise AnnotationFault(
                    f" holds an object of more than {_MAX_PROPERTIES:,} properties that may be a "
                    "class",
                    "Export the objects with their classification alone.",
                )
        return kept

    def _take_children(self, properties: Any) -> None:
        """Read the children among properties that are read whole."""
        if not isinstance(properties, dict):
            return
        for key in CHILD_KEYS:
            children = properties.pop(key, [])
            listed = children if isinstance(children, list) else [children]
            if listed:
                self._reader.check_depth(self._number, self._depth)
            for child in listed:
                self._reader.read(child, self._depth + 1)

    def _read_children(self) -> None:
        large = LargeFeatures(self._text, self._reader)
        if self._depth >= MAX_NESTED_DEPTH:
            children = self._text.small_value()
            if children is LARGE:
                self._text.skip()
            if children not in ([], {}):
                self._reader.check_depth(self._number, self._depth)
        elif self._text.peek() == "[":
            large.read_list(self._depth + 1)
        else:
            large.read(self._depth + 1)

    def _geometry(self, depth: int) -> Any:
        found = self._text.small_value()
        if found is not LARGE:
            return found
        if self._text.peek() != "{":
            self._text.skip()
            return []  # is refused, as any list
        geometry: dict[str, Any] = {}
        for key in self._text.members():
            if key in geometry:
                raise twice(key)
            if key in _COORDINATES and geometry.get("type") in GEOMETRIES:
                geometry[key] = self._coordinates(key, geometry["type"], depth)
            elif key in (*_COORDINATES, "type"):
                geometry[key] = self._text.value()
            else:
                self._text.skip()
        parts = next((geometry[key] for key in _COORDINATES if key in geometry), None)
        return parts if isinstance(parts, GeometryParts) else geometry

    def _coordinates(self, key: str, geometry_type: str, depth: int) -> Any:
        """Parts of a geometry, or its coordinates where they are few."""
        wanted = "geometries" if geometry_type == "GeometryCollection" else "coordinates"
        if key != wanted or geometry_type in LINE_TYPES:
            self._text.skip()
            lines = int(geometry_type in LINE_TYPES)
            return GeometryParts(lines=lines) if lines else []
        if self._text.peek() != "[" or geometry_type == "Point":
            return self._text.value()
        parts = GeometryParts()
        if geometry_type == "Polygon":
            self._read_polygon(parts)
            return parts
        for _ in self._text.elements():
            if parts.error:
                self._text.skip()
            else:
                self._read_part(parts, geometry_type, depth)
        return parts

    def _read_part(
        self,
        parts: GeometryParts,
        geometry_type: str,
        depth: int,
    ) -> None:
        """One part of a geometry of several."""
        if geometry_type == "MultiPoint":
            self._read_point(parts)
        elif geometry_type == "MultiPolygon":
            self._read_polygon(parts)
        else:
            self._read_geometry(parts, depth + 1)

    def _read_point(self, parts: GeometryParts) -> None:
        value = self._text.value()
        with _noted(parts):
            self._reader.collector.add_points(self._row, [point_of(value)])
            parts.taken += 1

    def _read_geometry(self, parts: GeometryParts, depth: int) -> None:
        value = self._geometry(depth)
        with _noted(parts):
            found = parts_of(value, depth)
            self._reader.collector.add_points(self._row, found.points)
            self._reader.collector.add_polygons(self._row, found.polygons)
            parts.taken += len(found.points) + len(found.polygons) + found.taken
            parts.lines += found.lines

    def _read_polygon(self, parts: GeometryParts) -> None:
        polygon = self._polygon(parts)
        if not parts.error:
            self._reader.collector.add_polygons(self._row, [polygon])
            parts.taken += 1

    def _polygon(self, parts: GeometryParts) -> Polygon:
        """The next value as rings; what is wrong with it is noted, and all of it is passed."""
        rings = self._text.small_value()
        if rings is LARGE and self._text.peek() == "[":
            return tuple([self._ring(parts) for _ in self._text.elements()])
        if rings is LARGE:
            rings = self._text.value()
        with _noted(parts):
            return polygon_of(rings)
        return ()

    def _ring(self, parts: GeometryParts) -> Float64Array:
        """The next value as a ring."""
        corners = array("d")
        ring = self._text.small_value()
        if ring is LARGE and self._text.peek() == "[":
            for _ in self._text.elements():
                corner = self._text.value()
                with _noted(parts):
                    corners.extend((as_coordinate(corner[0]), as_coordinate(corner[1])))
            with _noted(parts):
                return checked_ring(np.frombuffer(corners).reshape(-1, 2))
        else:
            with _noted(parts):
                return ring_of(ring)
        return np.empty((0, 2))


@contextmanager
def _noted(parts: GeometryParts) -> Iterator[None]:
    """Note the first thing that is wrong with a geometry, and go on behind it."""
    try:
        yield
    except BROKEN_VALUES as error:
        parts.error = parts.error or error
