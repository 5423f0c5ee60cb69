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
from .nuclei_files import class_of

MAX_BYTES = 256 << 20
MAX_POINTS = 5_000_000
Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Region:
    """A polygon of one class with its holes; coordinates in level-0 px, (0, 0) the slide's
    corner.
    """

    name: str
    outline: Ring
    holes: tuple[Ring, ...] = ()


def read_regions(path: Path) -> list[Region]:
    """Polygons and MultiPolygons of a GeoJSON file; points and lines are no regions and are left
    out.

    Raises:
        BadRegions: no such file, too large, not GeoJSON, or with coordinates that are no numbers.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise BadRegions(
                f"{path} holds {size:,} bytes, over the limit of {MAX_BYTES:,}.", "Split it."
            )
        data = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadRegions(
            f"{path} cannot be read: {error}.", "Export it from QuPath as GeoJSON."
        ) from error
    features = data.get("features", [data]) if isinstance(data, dict) else data
    if not isinstance(features, list):
        raise BadRegions(f"{path} holds no list of features.", "Export it from QuPath as GeoJSON.")
    regions = []
    points = 0
    for number, feature in enumerate(features, start=1):
        try:
            found = _regions_of(feature)
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OverflowError,
        ) as error:
            raise BadRegions(
                f"{path}, feature {number} is no polygon with a class ({error}).",
                "Correct it in QuPath and export again.",
            ) from error
        points += sum(len(ring) for region in found for ring in (region.outline, *region.holes))
        if points > MAX_POINTS:
            raise BadRegions(
                f"{path} holds more than {MAX_POINTS:,} corners.", "Simplify its shapes in QuPath."
            )
        regions += found
    return regions


def write_regions(path: Path, regions: Sequence[Region]) -> None:
    """Write annotations that QuPath imports."""
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [_closed(ring) for ring in (each.outline, *each.holes)],
            },
            "properties": {"objectType": "annotation", "classification": {"name": each.name}},
        }
        for each in regions
    ]
    write_text(path, json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


def region_mask(
    regions: Sequence[Region], shape: tuple[int, int], px_per_cell: tuple[float, float]
) -> Mask:
    """(H, W) bool: cells whose centre lies in a region and in none of that region's holes."""
    out = np.zeros(shape, np.bool_)
    for region in regions:
        image = Image.new("1", (shape[1], shape[0]))
        draw = ImageDraw.Draw(image)
        for ring, value in [(region.outline, 1), *((hole, 0) for hole in region.holes)]:
            cells = [(x / px_per_cell[0] - 0.5, y / px_per_cell[1] - 0.5) for x, y in ring]
            # a canvas is finite: what lies far outside is cut there before it overflows
            draw.polygon(
                [(_within(x, shape[1]), _within(y, shape[0])) for x, y in cells], fill=value
            )
        out |= np.asarray(image)
    return out


def _within(value: float, side: int) -> float:
    return min(max(value, -4.0 * side - 16), 5.0 * side + 16)


def _regions_of(feature: Mapping[str, Any]) -> list[Region]:
    geometry = feature["geometry"]
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        return []
    name = class_of(feature)
    many = (
        geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    )
    return [
        Region(name, _ring(rings[0]), tuple(_ring(hole) for hole in rings[1:])) for rings in many
    ]


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
