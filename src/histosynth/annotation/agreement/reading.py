"""Two annotators' files of one picture, divided into nuclei and regions."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import numpy as np

from ...core.arrays import BoolArray
from ...core.errors import HistosynthError
from ..choosing import DETECTED, Candidates, candidates_of, left_out_types, region_ids_of
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


@dataclass(frozen=True, eq=False)
class _Drawn:
    """What a file holds, by class names of the map.

    Attributes:
        path: of the file.
        file: as it was read.
        factor: of its pixels to the picture's.
        found: its points and polygons.
        names: (K) mapped class of each.
        may_be_region: (K) bool: shapes that QuPath does not state as detected.
    """

    path: Path
    file: AnnotationFile
    factor: float
    found: Candidates
    names: list[str]
    may_be_region: BoolArray


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
    first_drawn = _read(
        first,
        mpp,
        mapping,
    )
    second_drawn = _read(
        second,
        mpp,
        mapping,
    )
    region_names = _region_names(
        mpp,
        first_drawn,
        second_drawn,
    )
    return (
        _annotation_of(first_drawn, region_names),
        _annotation_of(second_drawn, region_names),
    )


def _read(
    path: Path,
    mpp: float,
    mapping: Mapping[str, str],
) -> _Drawn:
    file = read_annotation(path, most_drawn=sys.maxsize)
    found = candidates_of(file)
    name_ids = file.name_ids[found.rows]
    used = np.unique(name_ids).tolist()
    mapped = map_all(
        [file.names[number] for number in used],
        mapping,
        str(path),
    )
    name_of = dict(
        zip(
            used,
            mapped,
            strict=True,
        )
    )
    is_detected = file.is_of(*DETECTED)[found.rows]
    return _Drawn(
        path,
        file,
        factor_of(
            file.scale,
            mpp,
            str(path),
        ),
        found,
        [name_of[number] for number in name_ids.tolist()],
        ~found.is_point & ~is_detected,
    )


def _region_names(mpp: float, *files: _Drawn) -> set[str]:
    """Classes of regions, by the shapes of all files."""
    names = [name for drawn in files for name in compress(drawn.names, drawn.may_be_region)]
    areas = [drawn.found.areas[drawn.may_be_region] for drawn in files]
    known = sorted({*names})
    number_of = {name: number for number, name in enumerate(known)}
    ids = np.array([number_of[name] for name in names], np.intp)
    return {known[number] for number in region_ids_of(ids, np.concatenate(areas) * mpp**2)}


def _annotation_of(drawn: _Drawn, region_names: Collection[str]) -> Annotation:
    """What a file holds, as nuclei and regions."""
    is_region_name = np.array([name in region_names for name in drawn.names], np.bool_)
    is_region = drawn.may_be_region & is_region_name
    regions = []
    for index in np.flatnonzero(is_region).tolist():
        polygon = drawn.file.kept[int(drawn.found.polygons[index])]
        regions.append(region_of(drawn.names[index], polygon))
    # points come before shapes
    points = np.flatnonzero(drawn.found.is_point)
    shapes = np.flatnonzero(~drawn.found.is_point & ~is_region)
    marks = np.concatenate([points, shapes])
    names = tuple(drawn.names[index] for index in marks.tolist())
    try:
        found = Marks(
            on_picture(
                drawn.found.xy[marks],
                drawn.file,
                drawn.factor,
            ),
            names,
        )
    except HistosynthError as error:
        raise error.of(drawn.path) from error
    left_out = drawn.file.left_out + left_out_types(drawn.file)
    notes = notes_on(
        drawn.path,
        drawn.file,
        drawn.factor,
        left_out,
    )
    return Annotation(
        found,
        tuple(regions),
        notes,
    )
