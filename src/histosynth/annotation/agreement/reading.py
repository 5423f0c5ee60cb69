"""Two annotators' files of one picture, parted into nuclei and regions."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ...core.errors import BadNuclei, HistosynthError
from ..nuclei_files import class_of
from ..regions import MAX_BYTES, Region, read_regions
from ..slide_nuclei import map_all, read_slide_nuclei
from .nuclei import Marks

REGION_UM2 = 1000.0
"""A class of shapes larger than this is one of regions; large tumour nuclei reach some 500 um2."""
SUFFIXES = (".csv", ".geojson", ".json")
CELLS = ("detection", "cell")
"""QuPath's `objectType` of what was detected; what people draw is an `annotation`, nuclei too."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one annotator drew on one picture, px."""

    marks: Marks
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class _Drawn:
    points: list[tuple[float, float, str]]
    shapes: list[tuple[Region, bool]]  # with whether QuPath says that it is a cell


def read_two(
    first: Path,
    second: Path,
    *,
    mpp: float,
    mapping: Mapping[str, str],
) -> tuple[Annotation, Annotation]:
    """Both annotators' files of one picture.

    Points are nuclei, and so are all of a CSV and of JSON of HoVer-Net or CellViT. Shapes are
    nuclei by their centroid where QuPath says "detection" or "cell". Other shapes are parted by
    class: regions where the median area over both files is at least 1,000 um2, else nuclei; so that
        a small region
    does not become a nucleus in one file and a region in the other.

    Args:
        first: `.csv`, `.geojson` or `.json`; px of the picture.
        second: of the other annotator.
        mpp: micrometres per pixel.
        mapping: their class names to yours; empty: as they are.

    Raises:
        BadNuclei: a file of nuclei, or its points, cannot be used.
        BadRegions: GeoJSON or its shapes cannot be used.
        UnmappedKinds: a class is not in the map; lists all of them.
    """
    drawn = [_read(path, mapping) for path in (first, second)]
    areas = defaultdict(list)
    for each in drawn:
        for region, is_cell in each.shapes:
            if not is_cell:
                areas[region.name].append(_middle(region)[2] * mpp**2)
    wide = {name for name, found in areas.items() if median(found) >= REGION_UM2}
    out = []
    for path, each in zip((first, second), drawn, strict=True):
        points = list(each.points)
        regions = []
        for region, is_cell in each.shapes:
            if region.name in wide and not is_cell:
                regions.append(region)
            else:
                x, y, _ = _middle(region)
                points.append((x - 0.5, y - 0.5, region.name))
        xy = np.array([point[:2] for point in points], np.float64).reshape(-1, 2)
        try:
            marks = Marks(xy, tuple(point[2] for point in points))
        except HistosynthError as error:
            raise error.of(path) from error
        out.append(Annotation(marks, tuple(regions)))
    return out[0], out[1]


def _read(path: Path, mapping: Mapping[str, str]) -> _Drawn:
    features = _features(path) if path.suffix.lower() in (".geojson", ".json") else None
    if features is None:
        found = read_slide_nuclei(path, mapping)
        pairs = zip(found.xy.tolist(), found.names(), strict=True)
        return _Drawn([(x, y, name) for (x, y), name in pairs], [])
    points = []
    cells = []
    for number, feature in enumerate(features, start=1):
        try:
            geometry = feature["geometry"]
            match geometry["type"]:
                case "Point" | "MultiPoint" as kind:
                    places = (
                        [geometry["coordinates"]] if kind == "Point" else geometry["coordinates"]
                    )
                    name = class_of(feature)
                    # shapes and points count from the corner of the first pixel, nuclei from its
                    # centre
                    points += [(float(x) - 0.5, float(y) - 0.5, name) for x, y, *_ in places]
                case "Polygon" | "MultiPolygon" as kind:
                    is_cell = (feature.get("properties") or {}).get("objectType") in CELLS
                    cells += [is_cell] * (1 if kind == "Polygon" else len(geometry["coordinates"]))
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise BadNuclei(
                f"{path}, feature {number} is not a point or polygon with a class ({error}).",
                "Export detections or annotations with a classification from QuPath.",
            ) from error
    regions = read_regions(path)
    shown = map_all(
        [name for *_, name in points] + [each.name for each in regions],
        mapping,
        str(path),
    )
    named = [(x, y, name) for (x, y, _), name in zip(points, shown[: len(points)], strict=True)]
    renamed = [
        Region(name, each.outline, each.holes)
        for each, name in zip(regions, shown[len(points) :], strict=True)
    ]
    return _Drawn(named, list(zip(renamed, cells, strict=True)))


def _features(path: Path) -> list[Any] | None:
    """Features of GeoJSON; None for JSON of another kind, which has its own reader."""
    try:
        if (size := path.stat().st_size) > MAX_BYTES:
            raise BadNuclei(
                f"{path} holds {size:,} bytes, over the limit of {MAX_BYTES:,}.", "Split it."
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.", "Export it from QuPath again."
        ) from error
    if isinstance(data, dict) and ("nuc" in data or "cells" in data):
        return None
    features = data.get("features", [data]) if isinstance(data, dict) else data
    return features if isinstance(features, list) else None


def _middle(region: Region) -> tuple[float, float, float]:
    """(x, y, area) of an outline by the shoelace formula, px and px2; the mean of a degenerate
    one.
    """
    points = np.asarray(region.outline, np.float64)
    x, y = (points - points[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = float(cross.sum() / 2)
    if abs(area) < 1e-9:
        mean = points.mean(axis=0)
        return float(mean[0]), float(mean[1]), 0.0
    left = float(((x + np.roll(x, -1)) * cross).sum() / (6 * area))
    top = float(((y + np.roll(y, -1)) * cross).sum() / (6 * area))
    return left + float(points[0, 0]), top + float(points[0, 1]), abs(area)
