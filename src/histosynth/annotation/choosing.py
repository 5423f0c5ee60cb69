"""Which objects of a file are nuclei, which are regions, and what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..core.arrays import BoolArray, Float64Array, IndexArray
from ..core.nucleus_shapes import HALF_TURN, MAX_AREA_UM2, MAX_ELONGATION
from .objects import ANNOTATION, CELL, DETECTION, UNSTATED, AnnotationFile

MIN_REGION_UM2 = 1000.0
"""A class whose shapes are larger is one of regions; large tumour nuclei reach some 500 um2."""
MAX_NUCLEUS_UM2 = 10_000.0
"""No nucleus is larger."""
DETECTED = (
    DETECTION,
    CELL,
)
"""QuPath's types of what was detected; what people draw is an `annotation`, nuclei too."""
DRAWN = (
    ANNOTATION,
    UNSTATED,
)
MARKED = (
    *DETECTED,
    *DRAWN,
)
"""Types of objects that may be nuclei."""
TOO_LARGE = f"shapes over {MAX_NUCLEUS_UM2:,.0f} um2"
AMONG_POINTS = f"regions (shapes of {MIN_REGION_UM2:,.0f} um2 and more, next to points)"
AMONG_SMALLER = f"regions (classes of {MIN_REGION_UM2:,.0f} um2 and more, next to smaller ones)"
AMONG_DETECTIONS = "annotations with an area, next to detections or cells"


NO_POLYGON = -1


@dataclass(
    frozen=True,
    eq=False,
)
class Candidates:
    """Points and shapes of a file that may be nuclei, in the order of the file.

    Attributes:
        rows: (K) of their objects.
        xy: (K, 2) px of the file.
        areas: (K) px2; 0 for points.
        polygons: (K) rows of the file's polygons; -1 for points and outlines of nuclei.
        is_point: (K) bool.
        shapes: (K, 3) area, elongation and angle, nan where not known; the area in px2 of shapes,
            in um2 of points.
    """

    rows: IndexArray
    xy: Float64Array
    areas: Float64Array
    polygons: IndexArray
    is_point: BoolArray
    shapes: Float64Array


@dataclass(
    frozen=True,
    eq=False,
)
class Choice:
    """What is a nucleus.

    Attributes:
        xy: (N, 2) of the nuclei in the order of the file, in its pixels.
        name_ids: (N) of their classes.
        left_out: other objects by what they are, with their number.
        shapes: (N, 3) area in um2, elongation and angle; rows of nan where not known.
        largest_um2: of the shapes that are left out as too large.
    """

    xy: Float64Array
    name_ids: IndexArray
    left_out: Counter[str]
    shapes: Float64Array
    largest_um2: float = 0.0


def choose_nuclei(file: AnnotationFile, um_per_px: float) -> Choice:
    """The nuclei of a file.

    Points are nuclei, and so are shapes that QuPath states as "detection" or "cell", each by its
    largest part. Other shapes are nuclei, part by part, only where a file has no such objects, and
    where they are no regions: that is a class whose median area is at least 1,000 um2, in a file
    with points or with a class of smaller shapes, and any shape over 10,000 um2.

    Args:
        file: as it was read.
        um_per_px: scale of the file's pixels.
    """
    found = candidates_of(file)
    name_ids = file.name_ids[found.rows]
    areas_um2 = found.areas * um_per_px**2
    is_shape = ~found.is_point
    has_detections = bool(file.is_of(*DETECTED).any())
    left_out = Counter(file.left_out)
    is_drawn = is_shape & file.is_of(*DRAWN)[found.rows]
    is_other = is_drawn
    reason = AMONG_DETECTIONS
    if not has_detections:
        region_ids = region_ids_of(
            name_ids[is_shape],
            areas_um2[is_shape],
        )
        is_region = np.isin(
            name_ids,
            region_ids,
        )
        reason = _reason_for_regions(
            file,
            bool((is_shape & ~is_region).any()),
        )
        is_other = is_drawn & is_region & bool(reason)
    is_too_large = is_shape & ~is_other & (areas_um2 > MAX_NUCLEUS_UM2)
    left_out[reason] += int(is_other.sum())
    left_out[TOO_LARGE] += int(is_too_large.sum())
    left_out += left_out_types(file)
    refused = is_other | is_too_large
    return Choice(
        found.xy[~refused],
        name_ids[~refused],
        +left_out,
        _shapes_in_um(found, um_per_px)[~refused],
        float(areas_um2[refused].max(initial=0.0)),
    )


def _shapes_in_um(found: Candidates, um_per_px: float) -> Float64Array:
    """(K, 3) with areas in um2; shapes that no nucleus has are not known."""
    shapes = found.shapes.copy()
    is_shape = ~found.is_point
    shapes[is_shape, 0] *= um_per_px**2
    area, elongation, _ = shapes.T
    is_odd = ~((area > 0) & (area <= MAX_AREA_UM2) & (elongation <= MAX_ELONGATION))
    shapes[is_shape & is_odd] = np.nan
    return shapes


def _shapes_of_polygons(measured: Float64Array) -> Float64Array:
    """(N, 3) area in px2, elongation and angle of measured polygons (N, 6)."""
    area, xx, yy, xy = measured[:, 2:].T
    middle = (xx + yy) / 2
    half = np.hypot((xx - yy) / 2, xy)
    with np.errstate(divide="ignore", invalid="ignore"):
        elongation = np.sqrt((middle + half) / (middle - half))
    angle = np.degrees(np.arctan2(2 * xy, xx - yy) / 2) % HALF_TURN
    shapes = np.stack([area, elongation, angle], axis=1)
    shapes[~np.isfinite(shapes).all(axis=1)] = np.nan
    return shapes


def _reason_for_regions(file: AnnotationFile, has_smaller: bool) -> str:
    """Why classes of large shapes are regions; "" where nothing tells them from nuclei."""
    if len(file.points):
        return AMONG_POINTS
    # with large shapes alone nothing tells regions from nuclei but the limit of one nucleus
    return AMONG_SMALLER if has_smaller else ""


def left_out_types(file: AnnotationFile) -> Counter[str]:
    """Objects whose type is none of nuclei or regions, by what they are called."""
    counts = file.counts_by_type(~file.is_of(*MARKED))
    return Counter({of_type(object_type): count for object_type, count in counts.items()})


def region_ids_of(name_ids: IndexArray, areas_um2: Float64Array) -> list[int]:
    """Classes (N) of shapes that are regions by their median area (N)."""
    order = np.argsort(
        name_ids,
        kind="stable",
    )
    ids, first = np.unique(
        name_ids[order],
        return_index=True,
    )
    groups = np.split(
        areas_um2[order],
        first,
    )[1:]
    found = []
    for name_id, areas in zip(
        ids.tolist(),
        groups,
        strict=True,
    ):
        if np.median(areas) >= MIN_REGION_UM2:
            found.append(name_id)
    return found


def candidates_of(file: AnnotationFile) -> Candidates:
    """What may be a nucleus: of a detected object its largest part, of a cell its nucleus."""
    has_nucleus = file.has_nucleus()
    is_marked = file.is_of(*MARKED) & ~has_nucleus
    of_point = is_marked[file.point_owners]
    polygons = _candidate_polygons(
        file,
        has_nucleus,
    )
    parts = (
        (
            file.point_owners[of_point],
            file.points[of_point],
        ),
        (
            file.polygons.owners[polygons],
            file.polygons.centres[polygons],
        ),
        (
            file.nuclei.owners,
            file.nuclei.centres,
        ),
    )
    rows = np.concatenate([owners for owners, _ in parts])
    of_points = np.full((int(of_point.sum()), 3), np.nan)
    if file.point_shapes is not None:
        of_points = file.point_shapes[of_point]
    of_polygons = _shapes_of_polygons(file.polygons.centres[polygons])
    # the outline of a cell is not that of its nucleus
    of_polygons[file.is_of(CELL)[file.polygons.owners[polygons]]] = np.nan
    of_nuclei = _shapes_of_polygons(file.nuclei.centres)
    # of one object the points come first
    order = np.argsort(
        rows,
        kind="stable",
    )
    points = len(parts[0][0])
    numbers = np.full(
        len(rows),
        NO_POLYGON,
        np.intp,
    )
    numbers[points : points + len(polygons)] = polygons
    return Candidates(
        rows[order],
        np.concatenate([values[:, :2] for _, values in parts])[order],
        np.concatenate(
            [
                np.zeros(points),
                *(values[:, 2] for _, values in parts[1:]),
            ]
        )[order],
        numbers[order],
        order < points,
        np.concatenate([of_points, of_polygons, of_nuclei])[order],
    )


def _candidate_polygons(file: AnnotationFile, has_nucleus: BoolArray) -> IndexArray:
    """Rows of polygons that may be nuclei, ascending."""
    owners = file.polygons.owners
    free = ~has_nucleus[owners]
    drawn = np.flatnonzero(free & file.is_of(*DRAWN)[owners])
    detected = np.flatnonzero(free & file.is_of(*DETECTED)[owners])
    areas = file.polygons.centres[detected, 2]
    # the largest of each object, the first of equal ones
    order = np.lexsort(
        (
            detected,
            -areas,
            owners[detected],
        )
    )
    _, first = np.unique(
        owners[detected][order],
        return_index=True,
    )
    return np.sort(
        np.concatenate(
            [
                drawn,
                detected[order][first],
            ]
        )
    )


def of_type(object_type: str) -> str:
    """What objects of a type are called where they are left out."""
    return f"objects of the type {object_type}"


def listed_counts(counts: Mapping[str, int]) -> str:
    """Counts as text, e.g. `lines (2), objects without a geometry (1)`."""
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))
