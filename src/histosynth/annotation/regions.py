"""Regions drawn on a slide: QuPath's GeoJSON in and out, and as a mask."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.arrays import Float64Array, IndexArray
from ..core.errors import BadNuclei, BadRegions
from ..core.geometry import Box
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
        raise BadRegions(
            error.problem,
            error.remedy,
        ) from error
    if file.form != FORM:
        raise BadRegions(
            f"{path} is {file.form}, and holds no regions.",
            "Give GeoJSON.",
        )
    return regions_of(
        path,
        file,
    )


def regions_of(path: Path, file: AnnotationFile) -> FoundRegions:
    """The regions among a file's objects: shapes that people drew, or that state no type.

    Detected shapes are regions only where a file has no others, e.g. those of a pixel classifier.

    Raises:
        BadRegions: too many corners.
    """
    left_out = Counter(file.left_out)
    left_out[POINTS] = len(file.points)
    owners = file.polygons.owners
    has_area = (
        np.bincount(
            owners,
            minlength=len(file),
        )
        > 0
    )
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
        regions.append(
            region_of(
                name,
                file.kept[number],
            )
        )
    return FoundRegions(
        tuple(regions),
        +left_out,
    )


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
    write_text(
        path,
        regions_geojson(regions),
    )


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
    """(H, W) bool: cells whose centre lies in a region and in none of that region's holes.

    A window of a slide gets the crop of what the whole slide gets, however far a region reaches.
    """
    out = np.zeros(
        shape,
        np.bool_,
    )
    for region in regions:
        inside = _filled(
            region.outline,
            shape,
            px_per_cell,
        )
        if inside is None:
            continue
        rows, columns, mask = inside
        for hole in region.holes:
            cut = _filled(
                hole,
                shape,
                px_per_cell,
            )
            if cut is not None:
                _take_away(
                    mask,
                    (rows.start, columns.start),
                    cut,
                )
        out[rows, columns] |= mask
    return out


Filled = tuple[slice, slice, Mask]
"""Rows and columns of a window, and which of their cells a ring holds."""


def _filled(
    ring: Ring,
    shape: tuple[int, int],
    px_per_cell: tuple[float, float],
) -> Filled | None:
    """The cells whose centre a ring holds, by the even-odd rule; None: there are none.

    Along each row a cell is inside if an odd number of edges lies to its left.
    """
    corners = (
        np.array(
            ring,
            np.float64,
        )
        / px_per_cell
        - 0.5
    )
    following = np.roll(
        corners,
        -1,
        axis=0,
    )
    is_downward = (corners[:, 1] <= following[:, 1])[:, None]
    upper = np.where(
        is_downward,
        corners,
        following,
    )
    lower = np.where(
        is_downward,
        following,
        corners,
    )
    first = (
        np.ceil(upper[:, 1])
        .clip(
            0,
            shape[0],
        )
        .astype(np.intp)
    )
    last = (
        np.ceil(lower[:, 1])
        .clip(
            0,
            shape[0],
        )
        .astype(np.intp)
    )
    counts = last - first
    total = int(counts.sum())
    if not total:
        return None
    edges = np.repeat(
        np.arange(len(corners)),
        counts,
    )
    within = np.arange(total) - np.repeat(
        np.cumsum(counts) - counts,
        counts,
    )
    rows = first[edges] + within
    run, rise = (lower - upper)[edges].T
    crossings = upper[edges, 0] + (rows - upper[edges, 1]) / rise * run
    columns = (
        np.ceil(crossings)
        .clip(
            0,
            shape[1],
        )
        .astype(np.intp)
    )
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) + 1 - top, int(columns.max()) - left
    if not width:
        return None
    changes = np.zeros(
        (height, width + 1),
        np.uint8,
    )
    np.bitwise_xor.at(
        changes,
        (rows - top, columns - left),
        1,
    )
    inside = np.bitwise_xor.accumulate(
        changes[:, :-1],
        axis=1,
    )
    return (
        slice(
            top,
            top + height,
        ),
        slice(
            left,
            left + width,
        ),
        inside.astype(np.bool_),
    )


def _take_away(mask: Mask, corner: tuple[int, int], cut: Filled) -> None:
    """Clear the cells of a mask, which begins at `corner` (row, column), that lie in a hole."""
    rows, columns, inside = cut
    whole = Box(
        corner[1],
        corner[0],
        *mask.shape[::-1],
    )
    own = Box(
        columns.start,
        rows.start,
        *inside.shape[::-1],
    )
    common = whole.intersect(own)
    if common is None:
        return
    of_mask = common.shift(
        -whole.x,
        -whole.y,
    ).slices
    of_hole = common.shift(
        -own.x,
        -own.y,
    ).slices
    mask[of_mask] &= ~inside[of_hole]


def _closed(ring: Ring) -> list[list[float]]:
    points = [list(point) for point in ring]
    return points if points[0] == points[-1] else [*points, points[0]]
