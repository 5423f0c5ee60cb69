"""Regions drawn on a slide: QuPath's GeoJSON in and out, and as a mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..core.arrays import Float64Array, IndexArray
from ..core.errors import BadNuclei, BadRegions
from ..core.store import write_text
from ..core.tile import Mask
from ..core.visible import json_line
from .choosing import DETECTED, DRAWN, of_type
from .geojson import FORM
from .objects import AnnotationFile, Polygon
from .reading_files import read_annotation

MAX_CORNERS = 5_000_000
POINTS = "points"
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


@dataclass(frozen=True)
class FoundRegions:
    """Regions of a file.

    Attributes:
        regions: in the order of the file.
        left_out: other objects, by what they are, with their number.
    """

    regions: tuple[Region, ...]
    left_out: Counter[str]


def read_regions(path: Path) -> list[Region]:
    """The regions of a file of GeoJSON; raises what `find_regions` does."""
    return list(find_regions(path).regions)


def find_regions(path: Path) -> FoundRegions:
    """The regions of a file of GeoJSON, and what else it holds.

    Raises:
        BadRegions: no such file, too large, not GeoJSON, or with coordinates that are no numbers.
    """
    try:
        file = read_annotation(
            path,
            most_drawn=MAX_CORNERS,
            most_detected=MAX_CORNERS,
        )
    except BadNuclei as error:
        raise BadRegions(error.problem, error.remedy) from error
    if file.form != FORM:
        raise BadRegions(f"{path} is {file.form}, and holds no regions.", "Give GeoJSON.")
    return regions_of(path, file)


def regions_of(path: Path, file: AnnotationFile) -> FoundRegions:
    """The regions among a file's objects: shapes that people drew, or that state no type.

    Detected shapes are regions only where a file has no others, e.g. those of a pixel classifier.

    Raises:
        BadRegions: too many corners.
    """
    left_out = Counter(file.left_out)
    left_out[POINTS] = len(file.points)
    owners = file.polygons.owners
    has_area = np.bincount(owners, minlength=len(file)) > 0
    region_types = DETECTED if not (has_area & file.is_of(*DRAWN)).any() else DRAWN
    is_region = has_area & file.is_of(*region_types)
    for object_type, count in file.counts_by_type(has_area & ~is_region).items():
        left_out[of_type(object_type)] += count
    chosen = np.flatnonzero(is_region[owners])
    _check_corners(
        path,
        file,
        chosen,
    )
    regions = []
    for number in chosen.tolist():
        name = file.names[file.name_ids[owners[number]]]
        regions.append(region_of(name, file.kept[number]))
    return FoundRegions(tuple(regions), +left_out)


def _check_corners(path: Path, file: AnnotationFile, chosen: IndexArray) -> None:
    corners = int(file.polygons.corners[chosen].sum())
    if corners > MAX_CORNERS:
        raise BadRegions(
            f"{path} holds {corners:,} corners, over the limit of {MAX_CORNERS:,}.",
            "Simplify its shapes in QuPath.",
        )


def region_of(name: str, polygon: Polygon) -> Region:
    """A polygon as a region."""
    outline, *holes = [_ring(ring) for ring in polygon]
    return Region(
        name,
        outline,
        tuple(holes),
    )


def _ring(corners: Float64Array) -> Ring:
    return tuple((x, y) for x, y in corners.tolist())


def write_regions(path: Path, regions: Sequence[Region]) -> None:
    """Write annotations that QuPath imports."""
    write_text(path, regions_geojson(regions))


def regions_geojson(regions: Sequence[Region]) -> str:
    """The text of `write_regions`."""
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
    return json_line(collection) + "\n"


def moved_region(region: Region, x: float, y: float) -> Region:
    """A region in the frame of a window whose corner is (x, y)."""
    outline, *holes = [
        tuple((column - x, row - y) for column, row in ring) for ring in region.rings
    ]
    return Region(
        region.name,
        outline,
        tuple(holes),
    )


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
        draw.polygon(
            _on_canvas(
                region.outline,
                shape,
                px_per_cell,
            ),
            fill=1,
        )
        for hole in region.holes:
            draw.polygon(
                _on_canvas(
                    hole,
                    shape,
                    px_per_cell,
                ),
                fill=0,
            )
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


def _closed(ring: Ring) -> list[list[float]]:
    points = [list(point) for point in ring]
    return points if points[0] == points[-1] else [*points, points[0]]
