"""Two annotators' files of one picture, divided into nuclei and regions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ...core.errors import BadNuclei, HistosynthError
from ..nuclei_files import BROKEN_FEATURE, class_of
from ..polygons import PolygonCentre, polygon_centre
from ..regions import MAX_GEOJSON_BYTES, Region, read_regions
from ..slide_nuclei import map_all, read_slide_nuclei
from .nuclei import Marks

MIN_REGION_UM2 = 1000.0
"""A class whose shapes are larger is one of regions; large tumour nuclei reach some 500 um2."""
ANNOTATION_SUFFIXES = (".csv", ".geojson", ".json")
_CELL_TYPES = ("detection", "cell")
"""QuPath's `objectType` of what was detected; what people draw is an `annotation`, nuclei too."""
_CORNER_SHIFT_PX = 0.5
"""Shapes and points count from the corner of the first pixel, nuclei from its centre."""


_Point = tuple[float, float, str]
"""x, y and class name."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one annotator drew on one picture, px."""

    marks: Marks
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class _Shape:
    """A polygon, and whether QuPath states that it is a cell."""

    region: Region
    is_cell: bool

    def is_region(self, region_classes: Collection[str]) -> bool:
        """Whether it is a region and no nucleus."""
        return self.region.name in region_classes and not self.is_cell


@dataclass(frozen=True)
class _Drawn:
    """What a file holds: points (x, y, class name) and shapes."""

    points: list[_Point]
    shapes: list[_Shape]


def read_two(
    first: Path,
    second: Path,
    *,
    mpp: float,
    mapping: Mapping[str, str],
) -> tuple[Annotation, Annotation]:
    """Both annotators' files of one picture.

    Points are nuclei, and so are all of a CSV and of JSON of HoVer-Net or CellViT. Shapes are
    nuclei by their centroid where QuPath states "detection" or "cell". Other shapes are divided
    by class: regions where the median area over both files is at least 1,000 um2, else nuclei. So
    a small region does not become a nucleus in one file and a region in the other.

    Args:
        first: `.csv`, `.geojson` or `.json`; px of the picture.
        second: of the other annotator.
        mpp: micrometres per pixel.
        mapping: class names of the files to yours; empty: as they are.

    Raises:
        BadNuclei: a file of nuclei, or its points, cannot be used.
        BadRegions: GeoJSON or its shapes cannot be used.
        UnmappedClasses: a class is not in the map; lists all of them.
    """
    first_drawn = _read(first, mapping)
    second_drawn = _read(second, mapping)
    shapes = [*first_drawn.shapes, *second_drawn.shapes]
    region_classes = _region_classes(shapes, mpp)
    return (
        _annotation_of(first, first_drawn, region_classes),
        _annotation_of(second, second_drawn, region_classes),
    )


def _region_classes(shapes: Sequence[_Shape], mpp: float) -> set[str]:
    """Classes of shapes that are regions by their median area."""
    areas_um2: defaultdict[str, list[float]] = defaultdict(list)
    for shape in shapes:
        if not shape.is_cell:
            area_px = _centre_of(shape.region).area
            areas_um2[shape.region.name].append(area_px * mpp**2)
    return {name for name, areas in areas_um2.items() if median(areas) >= MIN_REGION_UM2}


def _annotation_of(
    path: Path,
    drawn: _Drawn,
    region_classes: Collection[str],
) -> Annotation:
    """What a file holds, as nuclei and regions."""
    points = list(drawn.points)
    regions = []
    for shape in drawn.shapes:
        if shape.is_region(region_classes):
            regions.append(shape.region)
        else:
            centre = _centre_of(shape.region)
            x = centre.x - _CORNER_SHIFT_PX
            y = centre.y - _CORNER_SHIFT_PX
            points.append((x, y, shape.region.name))
    xy = np.array([(x, y) for x, y, _ in points], np.float64).reshape(-1, 2)
    names = tuple(name for _, _, name in points)
    try:
        marks = Marks(xy, names)
    except HistosynthError as error:
        raise error.of(path) from error
    return Annotation(marks, tuple(regions))


def _centre_of(region: Region) -> PolygonCentre:
    return polygon_centre(np.asarray(region.outline, np.float64))


def _read(path: Path, mapping: Mapping[str, str]) -> _Drawn:
    is_json = path.suffix.lower() in (".geojson", ".json")
    features = _features(path) if is_json else None
    if features is None:
        return _read_nuclei_file(path, mapping)
    points: list[_Point] = []
    are_cells: list[bool] = []
    for number, feature in enumerate(features, start=1):
        try:
            points += _points_of(feature)
            are_cells += _are_cells(feature)
        except BROKEN_FEATURE as error:
            raise BadNuclei(
                f"{path}, feature {number} is not a point or polygon with a class ({error}).",
                "Export detections or annotations with a classification from QuPath.",
            ) from error
    regions = read_regions(path)
    # one call for all names, so that a refusal lists every class that is not in the map
    names = [name for _, _, name in points] + [region.name for region in regions]
    mapped = map_all(names, mapping, str(path))
    point_names = mapped[: len(points)]
    region_names = mapped[len(points) :]
    named_points = [(x, y, name) for (x, y, _), name in zip(points, point_names, strict=True)]
    shapes = []
    for region, name, is_cell in zip(regions, region_names, are_cells, strict=True):
        shapes.append(_Shape(replace(region, name=name), is_cell))
    return _Drawn(named_points, shapes)


def _read_nuclei_file(path: Path, mapping: Mapping[str, str]) -> _Drawn:
    """A CSV, or JSON of HoVer-Net or CellViT: all of it are nuclei."""
    found = read_slide_nuclei(path, mapping)
    points = []
    for (x, y), name in zip(found.xy.tolist(), found.names(), strict=True):
        points.append((x, y, name))
    return _Drawn(points, [])


def _points_of(feature: Mapping[str, Any]) -> list[_Point]:
    """The points of a feature, counted from the centre of the first pixel."""
    geometry = feature["geometry"]
    match geometry["type"]:
        case "Point":
            coordinates = [geometry["coordinates"]]
        case "MultiPoint":
            coordinates = geometry["coordinates"]
        case _:
            return []
    name = class_of(feature)
    points = []
    for x, y, *_ in coordinates:
        points.append((float(x) - _CORNER_SHIFT_PX, float(y) - _CORNER_SHIFT_PX, name))
    return points


def _are_cells(feature: Mapping[str, Any]) -> list[bool]:
    """For each polygon of a feature, whether QuPath states that it is a cell."""
    geometry = feature["geometry"]
    match geometry["type"]:
        case "Polygon":
            count = 1
        case "MultiPolygon":
            count = len(geometry["coordinates"])
        case _:
            return []
    properties = feature.get("properties") or {}
    is_cell = properties.get("objectType") in _CELL_TYPES
    return [is_cell] * count


def _features(path: Path) -> list[Any] | None:
    """Features of GeoJSON; None for JSON of another form, which has its own reader."""
    try:
        size = path.stat().st_size
        if size > MAX_GEOJSON_BYTES:
            raise BadNuclei(
                f"{path} holds {size:,} bytes, over the limit of {MAX_GEOJSON_BYTES:,}.",
                "Split it.",
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.",
            "Export it from QuPath again.",
        ) from error
    if isinstance(data, dict):
        if "nuc" in data or "cells" in data:
            return None
        data = data.get("features", [data])
    return data if isinstance(data, list) else None
