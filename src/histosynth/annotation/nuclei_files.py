"""Nuclei from and to files: CSV `x,y,class` and the GeoJSON that QuPath writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float32Array, Float64Array
from ..core.errors import BadNuclei
from ..core.nuclei import ANY, Nuclei, map_classes
from ..core.store import atomic_write, write_text
from .polygons import PolygonCentre, polygon_centre

_MAX_BYTES = 64 << 20
_MAX_NUCLEI = 2_000_000
_MAX_COORDINATE = 1e9
"""No corner of a polygon lies farther out, in pixels."""
_CORNER_SHIFT_PX = 0.5
"""QuPath puts (0, 0) at the top-left corner of the first pixel, for shapes and points. Centroids
count from that pixel's centre."""
NUCLEI_SUFFIXES = (".csv", ".geojson", ".json")
BROKEN_FEATURE = (
    AttributeError,
    IndexError,
    KeyError,
    OverflowError,
    TypeError,
    ValueError,
)
"""What a feature raises that is not as GeoJSON and QuPath have it."""

_Point = tuple[float, float, str]
"""x, y and class name."""


def read_nuclei(
    path: Path | str,
    *,
    size: tuple[int, int],
    mpp: float,
    classes: Sequence[str],
    mapping: Mapping[str, str] | None = None,
) -> Nuclei:
    """Read centroids of one tile.

    Args:
        path: `.csv` with the header `x,y,class`, or `.geojson`/`.json` as QuPath exports it
            (points as they are, polygons by their area's centroid, class from `classification`;
            `any` where there is none).
        size: (width, height) of the tile in pixels.
        mpp: micrometres per pixel of the tile.
        classes: class names of the bundle.
        mapping: class names of the file to those of the bundle.

    Raises:
        BadNuclei: the file is too large, not of its format, or its points cannot be used.
        UnknownClasses: a class is neither a known one nor mapped.
    """
    xy, names = read_points(Path(path))
    return Nuclei.of(
        xy,
        map_classes(names, mapping or {}),
        size=size,
        mpp=mpp,
        classes=classes,
    )


def read_points(path: Path) -> tuple[Float64Array, list[str]]:
    """Raw coordinates (N, 2) and class names (N) of a file; only their form is checked."""
    text = _read_text(path)
    is_geojson = path.suffix.lower() in (".geojson", ".json")
    points = list(_from_geojson(path, text) if is_geojson else _from_csv(path, text))
    if len(points) > _MAX_NUCLEI:
        raise BadNuclei(
            f"{path} holds {len(points):,} nuclei, over the limit of {_MAX_NUCLEI:,}.",
            "Split it.",
        )
    xy = np.array([(x, y) for x, y, _ in points], dtype=np.float64).reshape(-1, 2)
    return xy, [name for _, _, name in points]


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise BadNuclei(
                f"{path} holds {size:,} bytes, over the limit of {_MAX_BYTES:,}.",
                "Split it.",
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.",
            "Give a UTF-8 CSV or GeoJSON file.",
        ) from error


def write_csv(path: Path | str, nuclei: Nuclei) -> None:
    """Write `x,y,class`, pixels of the tile, one row a nucleus."""
    with (
        atomic_write(Path(path)) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["x", "y", "class"])
        for point, name in zip(nuclei.xy, nuclei.names(), strict=True):
            x, y = _rounded(point, nuclei.size, shift=0.0)
            writer.writerow([x, y, name])


def write_geojson(path: Path | str, nuclei: Nuclei) -> None:
    """Write point detections that QuPath imports (File > Import objects)."""
    features = []
    for point, name in zip(nuclei.xy, nuclei.names(), strict=True):
        feature = {
            "type": "Feature",
            "geometry": {
                "type": "Point",
                "coordinates": _rounded(point, nuclei.size, shift=_CORNER_SHIFT_PX),
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
    write_text(Path(path), json.dumps(collection) + "\n")


def _rounded(
    point: Float32Array,
    size: tuple[int, int],
    *,
    shift: float,
) -> list[float]:
    """Coordinates for a file: three decimals, and never rounded out of the tile."""
    coordinates = []
    for value, side in zip(point, size, strict=True):
        coordinate = round(float(value) + shift, 3)
        last = round(side - 0.501 + shift, 3)
        coordinates.append(min(coordinate, last))
    return coordinates


def _from_csv(path: Path, text: str) -> Iterator[_Point]:
    try:
        rows = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise BadNuclei(
            f"{path} is no CSV: {error}.",
            "Write it again as x,y,class.",
        ) from error
    _check_header(path, text, rows[0] if rows else [])
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        try:
            x, y, name = row
            yield _parse_number(x), _parse_number(y), name.strip()
        except ValueError as error:
            raise BadNuclei(
                f"{path}, line {number}: {','.join(row)!r} is not x,y,class.",
                "Correct or remove that line.",
            ) from error


def _check_header(
    path: Path,
    text: str,
    first_row: list[str],
) -> None:
    header = [cell.strip().lower() for cell in first_row]
    if header == ["x", "y", "class"]:
        return
    if not text.strip():
        raise BadNuclei(
            f"{path} is empty.",
            "Begin it with the header x,y,class; rows may be none.",
        )
    found = repr(",".join(header)) if header else "an empty line"
    raise BadNuclei(
        f"{path} begins with {found}, not with the header x,y,class.",
        "Add that header.",
    )


def _from_geojson(path: Path, text: str) -> Iterator[_Point]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadNuclei(f"{path} is not JSON: {error}.", "Export it from QuPath again.") from error
    features = data.get("features") if isinstance(data, dict) else data
    if not isinstance(features, list):
        raise BadNuclei(
            f"{path} holds no list of features.",
            "Export objects from QuPath as GeoJSON.",
        )
    for number, feature in enumerate(features, start=1):
        try:
            name = class_of(feature)
            for x, y in _centroids(feature["geometry"]):
                yield x, y, name
        except BROKEN_FEATURE as error:
            raise BadNuclei(
                f"{path}, feature {number} is not a point or polygon with a class ({error}).",
                "Export detections or annotations with a classification from QuPath.",
            ) from error


def _parse_number(text: str) -> float:
    """A plain decimal number; Python would also take `1_0` for ten, and digits of other scripts."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text} is not a number")
    return float(text)


def _as_coordinate(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"coordinate {value!r}")
    return float(value)


def class_of(feature: Mapping[str, Any]) -> str:
    """Class name of a GeoJSON feature as QuPath writes it; `any` where there is none."""
    properties = feature["properties"] or {}  # RFC 7946 allows null
    found = properties.get("classification") or properties.get("class") or ANY
    name = found.get("name") if isinstance(found, dict) else found
    if not isinstance(name, str) or not name:
        raise ValueError("it has no class name")
    return name


def _centroids(geometry: Mapping[str, Any]) -> Iterator[tuple[float, float]]:
    """Centroids of a geometry, counted from the centre of the first pixel."""
    for x, y, *_ in _points_of(geometry):
        yield _as_coordinate(x) - _CORNER_SHIFT_PX, _as_coordinate(y) - _CORNER_SHIFT_PX


def _points_of(geometry: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """Points of a geometry as the file has them; of a MultiPolygon the largest part's centroid."""
    coordinates = geometry["coordinates"]
    match geometry["type"]:
        case "Point":
            return [coordinates]
        case "MultiPoint":
            return list(coordinates)
        case "Polygon":
            centre = _ring_centre(coordinates[0])
        case "MultiPolygon":
            centres = [_ring_centre(polygon[0]) for polygon in coordinates]
            centre = max(centres, key=lambda each: each.area)
        case geometry_type:
            raise ValueError(f"geometry type {geometry_type}")
    return [(centre.x, centre.y)]


def _ring_centre(ring: Sequence[Sequence[float]]) -> PolygonCentre:
    corners = np.array(
        [[_as_coordinate(value) for value in corner[:2]] for corner in ring],
        dtype=np.float64,
    )
    if len(corners) < 3:
        raise ValueError(f"a polygon of {len(corners)} points")
    if not (np.abs(corners) < _MAX_COORDINATE).all():
        raise ValueError("a polygon with a corner that is no number, or too far out")
    return polygon_centre(corners)
