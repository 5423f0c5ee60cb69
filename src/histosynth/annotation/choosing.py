"""Which objects of a file are nuclei, which are regions, and what is left out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from statistics import median
from typing import NamedTuple

from .objects import (
    ANNOTATION,
    CELL,
    DETECTION,
    UNSTATED,
    AnnotationFile,
    MarkedObject,
    Point,
    Polygon,
)
from .polygons import PolygonCentre, centre_of_rings

MIN_REGION_UM2 = 1000.0
"""A class whose shapes are larger is one of regions; large tumour nuclei reach some 500 um2."""
MAX_NUCLEUS_UM2 = 10_000.0
"""No nucleus is larger."""
DETECTED = (DETECTION, CELL)
"""QuPath's types of what was detected; what people draw is an `annotation`, nuclei too."""
DRAWN = (ANNOTATION, UNSTATED)
MARKED = (*DETECTED, *DRAWN)
"""Types of objects that may be nuclei."""
TOO_LARGE = f"shapes over {MAX_NUCLEUS_UM2:,.0f} um2"
AMONG_POINTS = f"regions (shapes of {MIN_REGION_UM2:,.0f} um2 and more, next to points)"
AMONG_SMALLER = f"regions (classes of {MIN_REGION_UM2:,.0f} um2 and more, next to smaller ones)"
AMONG_DETECTIONS = "annotations with an area, next to detections or cells"


class Mark(NamedTuple):
    """A nucleus: x and y in the file's pixels, and the name of its class."""

    x: float
    y: float
    name: str


class DrawnShape:
    """A polygon of a class that may be a nucleus or a region."""

    def __init__(self, name: str, polygon: Polygon) -> None:
        self.name = name
        self.polygon = polygon

    @cached_property
    def centre(self) -> PolygonCentre:
        """Centroid and area, px and px2."""
        return centre_of_rings(self.polygon)

    @property
    def mark(self) -> Mark:
        """The shape as a nucleus."""
        return Mark(self.centre.x, self.centre.y, self.name)


@dataclass
class Choice:
    """What is a nucleus.

    Attributes:
        marks: the nuclei, in the order of the file.
        left_out: other objects by what they are, with their number.
        largest_um2: of the shapes that are left out as too large.
    """

    marks: list[Mark]
    left_out: Counter[str]
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
    choice = Choice([], Counter(file.left_out))
    shapes_of = [nucleus_shapes(found) for found in file.objects]
    rule = _rule_of(file.objects, chain.from_iterable(shapes_of), um_per_px)
    for found, shapes in zip(file.objects, shapes_of, strict=True):
        choice.marks += [Mark(x, y, found.name) for x, y in points_of(found)]
        for shape in shapes:
            area_um2 = shape.centre.area * um_per_px**2
            reason = rule.reason_against(found.object_type, shape.name, area_um2)
            if reason:
                choice.left_out[reason] += 1
                choice.largest_um2 = max(choice.largest_um2, area_um2)
            else:
                choice.marks.append(shape.mark)
        if found.object_type not in MARKED:
            choice.left_out[of_type(found.object_type)] += 1
    return choice


@dataclass(frozen=True)
class _Rule:
    """Which shapes of a file are no nuclei.

    Attributes:
        has_detections: whether QuPath states any object as detected.
        region_names: classes of regions.
        region_reason: why they are.
    """

    has_detections: bool
    region_names: Collection[str] = ()
    region_reason: str = ""

    def reason_against(
        self,
        object_type: str,
        name: str,
        area_um2: float,
    ) -> str:
        """Why a shape is no nucleus; "" if it is one."""
        if object_type in DRAWN:
            if self.has_detections:
                return AMONG_DETECTIONS
            if name in self.region_names:
                return self.region_reason
        return TOO_LARGE if area_um2 > MAX_NUCLEUS_UM2 else ""


def _rule_of(
    objects: Sequence[MarkedObject],
    shapes: Iterable[DrawnShape],
    um_per_px: float,
) -> _Rule:
    if any(found.object_type in DETECTED for found in objects):
        return _Rule(has_detections=True)
    drawn = list(shapes)
    region_names = region_names_of(drawn, um_per_px)
    if any(found.points for found in objects):
        return _Rule(False, region_names, AMONG_POINTS)
    if any(shape.name not in region_names for shape in drawn):
        return _Rule(False, region_names, AMONG_SMALLER)
    # with large shapes alone nothing tells regions from nuclei but the limit of one nucleus
    return _Rule(has_detections=False)


def region_names_of(shapes: Iterable[DrawnShape], um_per_px: float) -> set[str]:
    """Classes of shapes that are regions by their median area."""
    areas_um2: defaultdict[str, list[float]] = defaultdict(list)
    for shape in shapes:
        areas_um2[shape.name].append(shape.centre.area * um_per_px**2)
    return {name for name, areas in areas_um2.items() if median(areas) >= MIN_REGION_UM2}


def points_of(found: MarkedObject) -> tuple[Point, ...]:
    """The points of an object that are nuclei."""
    if found.nucleus or found.object_type not in MARKED:
        return ()
    return found.points


def nucleus_shapes(found: MarkedObject) -> list[DrawnShape]:
    """The shapes of an object that may be nuclei: of a detected one its largest part."""
    if found.nucleus:
        return [_largest(found.name, found.nucleus)]
    if found.object_type in DETECTED and found.polygons:
        return [_largest(found.name, found.polygons)]
    if found.object_type in DRAWN:
        return [DrawnShape(found.name, polygon) for polygon in found.polygons]
    return []


def _largest(name: str, polygons: Sequence[Polygon]) -> DrawnShape:
    shapes = [DrawnShape(name, polygon) for polygon in polygons]
    return max(shapes, key=lambda shape: shape.centre.area)


def of_type(object_type: str) -> str:
    """What objects of a type are called where they are left out."""
    return f"objects of the type {object_type}"


def listed_counts(counts: Mapping[str, int]) -> str:
    """Counts as text, e.g. `lines (2), objects without a geometry (1)`."""
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items()))
