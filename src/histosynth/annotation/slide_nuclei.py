"""Nuclei of a slide that other tools found: CSV, QuPath GeoJSON, HoVer-Net and CellViT JSON.

Classes go through an explicit map: one that is not in it is an error that lists all of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from ..core.errors import BadNuclei, UnmappedClasses
from ..core.geometry import Size
from ..core.nuclei import ANY, Nuclei
from .nuclei_files import read_points

_MAX_BYTES = 1 << 30
MAX_NUCLEI_OF_SLIDE = 5_000_000
MAX_CLASSES = 250
MAX_COORDINATE_PX = 2**24
"""Beyond this float32 no longer distinguishes neighbouring pixels."""


def read_slide_nuclei(path: Path, mapping: Mapping[str, str]) -> Nuclei:
    """Nuclei of a whole slide.

    Args:
        path: `.csv`, `.geojson`, or `.json` of HoVer-Net, CellViT or QuPath; level-0 px.
        mapping: class names of the file (or numbers, as text) to yours; empty: names stay as they
            are.

    Returns:
        In level-0 px; the size reaches as far as the nuclei do, and `mpp` is 1, as the file states
        no scale.

    Raises:
        BadNuclei: the file is too large, not of a known form, or a coordinate is no number.
        UnmappedClasses: a class is not in the map; lists all of them.
    """
    xy, names = _read_points(path)
    _check_points(path, xy)
    mapped = map_all(names, mapping, str(path))
    classes = tuple(sorted(set(mapped)))
    if len(classes) > MAX_CLASSES:
        raise BadNuclei(
            f"{path} holds {len(classes)} classes, over the limit of {MAX_CLASSES}.",
            "Map them to fewer.",
        )
    index = {name: position for position, name in enumerate(classes)}
    class_ids = np.array([index[name] for name in mapped], np.uint8)
    inside = (xy >= -0.5).all(axis=1)
    return Nuclei(
        xy[inside].astype(np.float32),
        class_ids[inside],
        classes,
        _size_around(xy),
        1.0,
    )


def _check_points(path: Path, xy: Float64Array) -> None:
    if len(xy) > MAX_NUCLEI_OF_SLIDE:
        raise BadNuclei(
            f"{path} holds {len(xy):,} nuclei, over the limit of {MAX_NUCLEI_OF_SLIDE:,}.",
            "Split it.",
        )
    is_usable = np.isfinite(xy) & (np.abs(xy) < MAX_COORDINATE_PX)
    broken = ~is_usable.all(axis=1)
    if broken.any():
        first = int(np.flatnonzero(broken)[0]) + 1
        count = f"{int(broken.sum()):,} of {len(xy):,}"
        raise BadNuclei(
            f"{path}: {count} centroids are no numbers (first: {first}).",
            "Remove those nuclei.",
        )


def _size_around(xy: Float64Array) -> Size:
    """The size that reaches as far as points (N, 2) do, at least 1 x 1 px."""
    if not len(xy):
        return Size(1, 1)
    width, height = np.ceil(xy.max(axis=0) + 1).astype(int)
    return Size(max(int(width), 1), max(int(height), 1))


def map_all(
    names: Sequence[str],
    mapping: Mapping[str, str],
    what: str,
) -> list[str]:
    """Every name through the map; an empty map leaves them as they are.

    Raises:
        UnmappedClasses: names that are not in it, all of them.
    """
    if not mapping:
        return list(names)
    unmapped = sorted(set(names) - mapping.keys())
    if unmapped:
        raise UnmappedClasses(what, unmapped, sorted(mapping))
    return [mapping[name] for name in names]


def _read_points(path: Path) -> tuple[Float64Array, list[str]]:
    """Coordinates (N, 2) and class names (N) as the file has them."""
    if path.suffix.lower() != ".json":
        return read_points(path)
    data = _read_json(path)
    cells = data.get("nuc", data.get("cells")) if isinstance(data, dict) else None
    if cells is None:
        return read_points(path)  # QuPath writes GeoJSON under .json too
    try:
        return _points_of_cells(data, cells)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadNuclei(
            f"{path} is not as HoVer-Net or CellViT write it ({type(error).__name__}: {error}).",
            "Each nucleus needs a centroid of two numbers and a type.",
        ) from error


def _read_json(path: Path) -> Any:
    try:
        size = path.stat().st_size
        if size > _MAX_BYTES:
            raise BadNuclei(
                f"{path} holds {size:,} bytes, over the limit of {_MAX_BYTES:,}.",
                "Split it.",
            )
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.",
            "Give JSON of HoVer-Net or CellViT.",
        ) from error


def _points_of_cells(data: Mapping[str, Any], cells: Any) -> tuple[Float64Array, list[str]]:
    """HoVer-Net: `nuc` by number; CellViT: a list `cells`.

    Types are numbers, which `type_map` names.
    """
    entries = list(cells.values()) if isinstance(cells, dict) else list(cells)
    type_names: dict[str, str] = {}
    for key, value in dict(data.get("type_map") or {}).items():
        type_names[str(key)] = _type_name(value)
    xy = np.array([entry["centroid"][:2] for entry in entries], np.float64).reshape(
        -1,
        2,
    )
    names = []
    for entry in entries:
        cell_type = str(entry.get("type", ANY))
        names.append(type_names.get(cell_type, cell_type))
    return xy, names


def _type_name(value: Any) -> str:
    """The name in a `type_map`, whose values are names or lists of a name and a colour."""
    return str(value[0] if isinstance(value, list | tuple) else value)
