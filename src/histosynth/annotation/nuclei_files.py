"""Nuclei of a tile from and to files: CSV `x,y,class`, with shapes if they are known, and GeoJSON
that QuPath reads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.arrays import Float32Array
from ..core.cells import csv_text
from ..core.nuclei import Nuclei, map_classes
from ..core.nucleus_shapes import SHAPE_NAMES, known_shapes
from ..core.store import write_text
from ..core.visible import json_line
from .chosen_nuclei import NoteCallback, read_chosen, warn_of
from .reading_files import ANNOTATION_SUFFIXES

_CORNER_SHIFT_PX = 0.5
"""QuPath puts (0, 0) at the top-left corner of the first pixel, centroids at its centre."""
NUCLEI_SUFFIXES = ANNOTATION_SUFFIXES


def read_nuclei(
    path: Path | str,
    *,
    size: tuple[int, int],
    mpp: float,
    classes: Sequence[str],
    mapping: Mapping[str, str] | None = None,
    on_note: NoteCallback = warn_of,
) -> Nuclei:
    """Read centroids of one tile.

    Args:
        path: a file of any form that `docs/annotations.md` lists: CSV with the header `x,y,class`,
            which columns `area_um2`, `elongation` and `angle` may follow, GeoJSON, or JSON of
            HoVer-Net, CellViT or TIAToolbox. Polygons count by the centroid of their area, and
            give the shape of their nucleus; the class is `any` where none is stated.
        size: (width, height) of the tile in pixels.
        mpp: micrometres per pixel of the tile.
        classes: class names of the bundle.
        mapping: class names of the file to those of the bundle.
        on_note: called with a sentence for what was left out or scaled; by default a warning.

    Raises:
        BadNuclei: the file is too large, of no known form, holds no nuclei but other objects,
            states another scale, or its points cannot be used.
        UnknownClasses: a class is neither a known one nor mapped.
    """
    found = read_chosen(Path(path), mpp)
    width, height = size
    nuclei = Nuclei.of(
        found.xy,
        map_classes(found.names, mapping or {}),
        size=size,
        mpp=mpp,
        classes=classes,
        shapes=found.shapes_on(width * height * mpp**2),
    )
    for note in found.notes:
        on_note(note)
    return nuclei


def write_csv(path: Path | str, nuclei: Nuclei) -> None:
    """Write `x,y,class`, pixels of the tile, one row a nucleus; shapes too where one is known."""
    write_text(Path(path), nuclei_csv(nuclei))


def nuclei_csv(nuclei: Nuclei) -> str:
    """The text of `write_csv`."""
    shapes = nuclei.shapes_or_unknown()
    names = SHAPE_NAMES if known_shapes(shapes).any() else ()
    rows: list[tuple[str | float, ...]] = [("x", "y", "class", *names)]
    for point, name, shape in zip(
        nuclei.xy,
        nuclei.names(),
        shapes.tolist(),
        strict=True,
    ):
        x, y = tile_coordinates(point, nuclei.size, shift=0.0)
        numbers = ["" if math.isnan(value) else round(value, 3) for value in shape]
        rows.append((x, y, name, *numbers[: len(names)]))
    return csv_text(rows, line_end="\r\n")


def write_geojson(path: Path | str, nuclei: Nuclei) -> None:
    """Write point detections that QuPath imports (File > Import objects)."""
    write_text(Path(path), nuclei_geojson(nuclei))


def nuclei_geojson(nuclei: Nuclei) -> str:
    """The text of `write_geojson`."""
    features = []
    for point, name in zip(nuclei.xy, nuclei.names(), strict=True):
        feature = {
            "type": "Feature",
            "geometry": {
                "type": "Point",
                "coordinates": tile_coordinates(point, nuclei.size, shift=_CORNER_SHIFT_PX),
            },
            "properties": {
                "objectType": "detection",
                "classification": {"name": name},
            },
        }
        features.append(feature)
    collection = {
        "type": "FeatureCollection",
        "features": features,
    }
    return json_line(collection) + "\n"


def tile_coordinates(
    point: Float32Array,
    size: tuple[int, int],
    *,
    shift: float,
) -> list[float]:
    """Coordinates of a nucleus for a file: three decimals, and never rounded out of the tile.

    Args:
        point: x and y in px of the tile.
        size: width and height of the tile, px.
        shift: added, e.g. 0.5 where a format counts from the corner of the first pixel.
    """
    coordinates = []
    for value, side in zip(point, size, strict=True):
        coordinate = round(float(value) + shift, 3)
        last = round(side - 0.501 + shift, 3)
        coordinates.append(min(coordinate, last))
    return coordinates
