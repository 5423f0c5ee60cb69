"""Regions drawn on a slide: QuPath's GeoJSON in and out, and as a mask."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..core.errors import BadRegions
from ..core.store import write_text
from ..core.tile import Mask
from .nuclei_files import BROKEN_FEATURE, class_of

MAX_GEOJSON_BYTES = 256 << 20
MAX_CORNERS = 5_000_000
Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Region:
    """A polygon of one class with its holes; coordinates in level-0 px, (0, 0) the slide's
    corner.
    """

    name: str
    outline: Ring
    holes: tuple[Ring, ...] = ()

    @property
    def rings(self) -> tuple[Ring, ...]:
        """The outline, then the holes."""
        return self.outline, *self.holes


def read_regions(path: Path) -> list[Region]:
    """Polygons and MultiPolygons of a GeoJSON file; points and lines are left out.

    Raises:
        BadRegions: no such file, too large, not GeoJSON, or with coordinates that are no numbers.
    """
    regions: list[Region] = []
    corners = 0
    for number, feature in enumerate(_read_features(path), start=1):
        try:
            found = _regions_of(feature)
        except BROKEN_FEATURE as error:
            raise BadRegions(
                f"{path}, feature {number} is no polygon with a class ({error}).",
                "Correct it in QuPath and export again.",
            ) from error
        for region in found:
            corners += sum(len(ring) for ring in region.rings)
        if corners > MAX_CORNERS:
            raise BadRegions(
                f"{path} holds more than {MAX_CORNERS:,} corners.",
                "Simplify its shapes in QuPath.",
            )
        regions += found
    return regions


def _read_features(path: Path) -> list[Any]:
    try:
        size = path.stat().st_size
        if size > MAX_GEOJSON_BYTES:
            raise BadRegions(
                f"{path} holds {size:,} bytes, over the limit of {MAX_GEOJSON_BYTES:,}.",
                "Split it.",
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadRegions(
            f"{path} cannot be read: {error}.",
            "Export it from QuPath as GeoJSON.",
        ) from error
    features = data.get("features", [data]) if isinstance(data, dict) else data
    if not isinstance(features, list):
        raise BadRegions(
            f"{path} holds no list of features.",
            "Export it from QuPath as GeoJSON.",
        )
    return features


def write_regions(path: Path, regions: Sequence[Region]) -> None:
    """Write annotations that QuPath imports."""
    features = []
    for region in regions:
        feature = {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [_closed(ring) for ring in region.rings],
            },
            "properties": {
                "objectType": "annotation",
                "classification": {"name": region.name},
            },
        }
        features.append(feature)
    collection = {
        "type": "FeatureCollection",
        "features": features,
    }
    write_text(path, json.dumps(collection) + "\n")


def region_mask(
    regions: Sequence[Region],
    shape: tuple[int, int],
    px_per_cell: tuple[float, float],
) -> Mask:
    """(H, W) bool: cells whose centre lies in a region and in none of that region's holes."""
    out = np.zeros(shape, np.bool_)
    height, width = shape
    for region in regions:
        image = Image.new("1", (width, height))
        draw = ImageDraw.Draw(image)
        draw.polygon(_on_canvas(region.outline, shape, px_per_cell), fill=1)
        for hole in region.holes:
            draw.polygon(_on_canvas(hole, shape, px_per_cell), fill=0)
        out |= np.asarray(image)
    return out


def _on_canvas(
    ring: Ring,
    shape: tuple[int, int],
    px_per_cell: tuple[float, float],
) -> list[tuple[float, float]]:
    """A ring in cells, counted from the centre of the first."""
    height, width = shape
    cell_width, cell_height = px_per_cell
    corners = []
    for x, y in ring:
        column = _cut_far(x / cell_width - 0.5, width)
        row = _cut_far(y / cell_height - 0.5, height)
        corners.append((column, row))
    return corners


def _cut_far(value: float, side: int) -> float:
    """A coordinate, moved nearer where it lies so far outside that drawing would overflow."""
    return min(max(value, -4.0 * side - 16), 5.0 * side + 16)


def _regions_of(feature: Mapping[str, Any]) -> list[Region]:
    geometry = feature["geometry"]
    match geometry["type"]:
        case "Polygon":
            polygons = [geometry["coordinates"]]
        case "MultiPolygon":
            polygons = geometry["coordinates"]
        case _:
            return []
    name = class_of(feature)
    regions = []
    for outline, *holes in polygons:
        region = Region(
            name,
            _ring(outline),
            tuple(_ring(hole) for hole in holes),
        )
        regions.append(region)
    return regions


def _ring(points: Sequence[Sequence[float]]) -> Ring:
    ring = tuple((float(x), float(y)) for x, y, *_ in points)
    if len(ring) < 3:
        raise ValueError(f"a ring of {len(ring)} points")
    if not all(math.isfinite(value) for point in ring for value in point):
        raise ValueError("a coordinate is no number")
    return ring


def _closed(ring: Ring) -> list[list[float]]:
    points = [list(point) for point in ring]
    return points if points[0] == points[-1] else [*points, points[0]]
