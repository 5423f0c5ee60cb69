"""Two annotators' files of one picture, divided into nuclei and regions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import HistosynthError
from ..choosing import (
    DETECTED,
    MARKED,
    DrawnShape,
    Mark,
    nucleus_shapes,
    of_type,
    points_of,
    region_names_of,
)
from ..chosen_nuclei import notes_on, on_picture
from ..objects import AnnotationFile
from ..reading_files import read_annotation
from ..regions import Region, region_of
from ..scale import factor_of
from ..slide_nuclei import map_all
from .nuclei import Marks


@dataclass(frozen=True, eq=False)
class Annotation:
    """What one annotator drew on one picture, px.

    Attributes:
        marks: nuclei.
        regions: as they are drawn.
        notes: sentences on what was left out of the file, and on a change of scale.
    """

    marks: Marks
    regions: tuple[Region, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Drawn:
    """What a file holds, by class names of the map.

    Attributes:
        path: of the file.
        file: as it was read.
        factor: of its pixels to the picture's.
        marks: points.
        shapes: polygons, each with whether QuPath states that it was detected.
        left_out: objects that are neither, with their number.
    """

    path: Path
    file: AnnotationFile
    factor: float
    marks: list[Mark]
    shapes: list[tuple[DrawnShape, bool]]
    left_out: Counter[str]


def read_two(
    first: Path,
    second: Path,
    *,
    mpp: float,
    mapping: Mapping[str, str],
) -> tuple[Annotation, Annotation]:
    """Both annotators' files of one picture.

    Points are nuclei, and so are all of a CSV and of JSON of HoVer-Net, CellViT or TIAToolbox.
    Shapes are nuclei by their centroid where QuPath states "detection" or "cell". Other shapes are
    divided by class: regions where the median area over both files is at least 1,000 um2, else
    nuclei. So a small region does not become a nucleus in one file and a region in the other.

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
    first_drawn = _read(first, mpp, mapping)
    second_drawn = _read(second, mpp, mapping)
    drawn = [*first_drawn.shapes, *second_drawn.shapes]
    region_names = region_names_of((shape for shape, is_cell in drawn if not is_cell), mpp)
    return (
        _annotation_of(first_drawn, region_names),
        _annotation_of(second_drawn, region_names),
    )


def _read(
    path: Path,
    mpp: float,
    mapping: Mapping[str, str],
) -> _Drawn:
    file = read_annotation(path)
    marks: list[Mark] = []
    shapes: list[tuple[DrawnShape, bool]] = []
    left_out = Counter(file.left_out)
    for found in file.objects:
        marks += [Mark(x, y, found.name) for x, y in points_of(found)]
        shapes += [(shape, found.object_type in DETECTED) for shape in nucleus_shapes(found)]
        if found.object_type not in MARKED:
            left_out[of_type(found.object_type)] += 1
    # one call for all names, so that a refusal lists every class that is not in the map
    names = [mark.name for mark in marks] + [shape.name for shape, _ in shapes]
    mapped = iter(map_all(names, mapping, str(path)))
    return _Drawn(
        path,
        file,
        factor_of(file.scale, mpp, str(path)),
        [mark._replace(name=next(mapped)) for mark in marks],
        [(DrawnShape(next(mapped), shape.polygon), is_cell) for shape, is_cell in shapes],
        left_out,
    )


def _annotation_of(drawn: _Drawn, region_names: Collection[str]) -> Annotation:
    """What a file holds, as nuclei and regions."""
    marks = list(drawn.marks)
    regions = []
    for shape, is_cell in drawn.shapes:
        if shape.name in region_names and not is_cell:
            regions.append(region_of(shape.name, shape.polygon))
        else:
            marks.append(shape.mark)
    xy = np.array([(mark.x, mark.y) for mark in marks], np.float64).reshape(-1, 2)
    names = tuple(mark.name for mark in marks)
    try:
        found = Marks(on_picture(xy, drawn.file, drawn.factor), names)
    except HistosynthError as error:
        raise error.of(drawn.path) from error
    notes = notes_on(drawn.path, drawn.file, drawn.factor, drawn.left_out)
    return Annotation(found, tuple(regions), notes)
