"""Nuclei from and to files: CSV `x,y,class` and the GeoJSON that QuPath writes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadNuclei
from ..core.nuclei import ANY, Nuclei, map_classes
from ..core.store import atomic_write, write_text

MAX_BYTES = 64 << 20
MAX_ROWS = 2_000_000
_FAR = 1e9
"""No corner of a polygon lies farther out, in pixels."""
NUCLEI_SUFFIXES = (".csv", ".geojson", ".json")


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
        mapping: other people's class names to those of the bundle.

    Raises:
        BadNuclei: the file is too large, not of its format, or its points cannot be used.
        UnknownKinds: a class is neither a known one nor mapped.
    """
    xy, names = read_points(Path(path))
    return Nuclei.of(
        xy,
        map_classes(names, mapping or {}),
        size=size,
        mpp=mpp,
        classes=classes,
    )


def read_points(path: Path) -> tuple[np.ndarray[Any, np.dtype[np.float64]], list[str]]:
    """Raw coordinates (N, 2) and class names (N) of a file, unchecked but for their form."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise BadNuclei(
                f"{path} holds {path.stat().st_size:,} bytes, over the limit of {MAX_BYTES:,}.",
                "Split it.",
            )
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.", "Give a UTF-8 CSV or GeoJSON file."
        ) from error
    reader = _from_geojson if path.suffix.lower() in (".geojson", ".json") else _from_csv
    rows = list(reader(path, text))
    if len(rows) > MAX_ROWS:
        raise BadNuclei(
            f"{path} holds {len(rows):,} nuclei, over the limit of {MAX_ROWS:,}.",
            "Split it.",
        )
    xy = np.array([(x, y) for x, y, _ in rows], dtype=np.float64).reshape(-1, 2)
    return xy, [name for _, _, name in rows]


def write_csv(path: Path | str, nuclei: Nuclei) -> None:
    """Write `x,y,class`, pixels of the tile, one row a nucleus."""
    with (
        atomic_write(Path(path)) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["x", "y", "class"])
        for (x, y), name in zip(nuclei.xy, nuclei.names(), strict=True):
            writer.writerow([*_written((x, y), nuclei.size, 0.0), name])


def write_geojson(path: Path | str, nuclei: Nuclei) -> None:
    """Write point detections that QuPath imports (File > Import objects)."""
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Point",
                "coordinates": _written((x, y), nuclei.size, 0.5),
            },
            "properties": {
                "objectType": "detection",
                "classification": {"name": name},
            },
        }
        for (x, y), name in zip(nuclei.xy, nuclei.names(), strict=True)
    ]
    write_text(Path(path), json.dumps({"type": "FeatureCollection", "features": features}) + "\n")


def _written(point: tuple[float, float], size: tuple[int, int], shift: float) -> list[float]:
    """Coordinates for a file: three decimals, and never rounded out of the tile."""
    return [
        min(round(float(value) + shift, 3), round(side - 0.501 + shift, 3))
        for value, side in zip(point, size, strict=True)
    ]


def _from_csv(path: Path, text: str) -> Iterator[tuple[float, float, str]]:
    try:
        rows = iter(list(csv.reader(text.splitlines())))
    except csv.Error as error:
        raise BadNuclei(f"{path} is no CSV: {error}.", "Write it again as x,y,class.") from error
    header = [cell.strip().lower() for cell in next(rows, [])]
    if header != ["x", "y", "class"]:
        if not text.strip():
            raise BadNuclei(
                f"{path} is empty.", "Begin it with the header x,y,class; rows may be none."
            )
        found = repr(",".join(header)) if header else "an empty line"
        raise BadNuclei(
            f"{path} begins with {found}, not with the header x,y,class.", "Add that header."
        )
    for number, row in enumerate(rows, start=2):
        if not row:
            continue
        try:
            x, y, name = row
            yield _number(x), _number(y), name.strip()
        except ValueError as error:
            raise BadNuclei(
                f"{path}, line {number}: {','.join(row)!r} is not x,y,class.",
                "Correct or remove that line.",
            ) from error


def _from_geojson(path: Path, text: str) -> Iterator[tuple[float, float, str]]:
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
        except (
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            AttributeError,
            OverflowError,
        ) as error:
            raise BadNuclei(
                f"{path}, feature {number} is not a point or polygon with a class ({error}).",
                "Export detections or annotations with a classification from QuPath.",
            ) from error


def _number(text: str) -> float:
    """A plain decimal number; Python would also take `1_0` for ten, and digits of other scripts."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text} is not a number")
    return float(text)


def _coordinate(value: Any) -> float:
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
    # QuPath puts (0, 0) at the top-left *corner* of the first pixel for shapes; for points too.
    # Centroids here count from that pixel's centre, hence the half pixel.
    kind = geometry["type"]
    coordinates = geometry["coordinates"]
    match kind:
        case "Point":
            points = [coordinates]
        case "MultiPoint":
            points = coordinates
        case "Polygon":
            points = [_ring_centroid(coordinates[0])]
        case "MultiPolygon":
            points = [
                max(
                    (_area_centroid(polygon[0]) for polygon in coordinates),
                    key=lambda c: c[2],
                )[:2]
            ]
        case _:
            raise ValueError(f"geometry type {kind}")
    for x, y, *_ in points:
        yield _coordinate(x) - 0.5, _coordinate(y) - 0.5


def _ring_centroid(ring: Sequence[Sequence[float]]) -> tuple[float, float]:
    x, y, _ = _area_centroid(ring)
    return x, y


def _area_centroid(ring: Sequence[Sequence[float]]) -> tuple[float, float, float]:
    """(x, y, area) of a closed ring by the shoelace formula; the mean of a degenerate one."""
    points = np.array(
        [[_coordinate(value) for value in point[:2]] for point in ring], dtype=np.float64
    )
    if len(points) < 3:
        raise ValueError(f"a polygon of {len(points)} points")
    if not (np.abs(points) < _FAR).all():
        raise ValueError("a polygon with a corner that is no number, or too far out")
    x, y = (points - points[0]).T
    cross = x * np.roll(y, -1) - np.roll(x, -1) * y
    area = cross.sum() / 2
    if abs(area) < 1e-9:
        mean = points.mean(axis=0)
        return float(mean[0]), float(mean[1]), 0.0
    cx = ((x + np.roll(x, -1)) * cross).sum() / (6 * area)
    cy = ((y + np.roll(y, -1)) * cross).sum() / (6 * area)
    return float(cx + points[0, 0]), float(cy + points[0, 1]), float(abs(area))
