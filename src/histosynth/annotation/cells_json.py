"""JSON of HoVer-Net, CellViT and TIAToolbox: a centroid and a type for each nucleus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.nuclei import ANY
from .class_names import class_number
from .faults import BROKEN_VALUES, AnnotationFault
from .geojson import as_coordinate
from .objects import DETECTION, AnnotationFile, MarkedObject
from .scale import CoordinateScale, coordinate_scale_of

HOVERNET = "HoVer-Net JSON"
CELLVIT = "CellViT JSON"
TIATOOLBOX = "JSON of nuclei by number"
_FACTS = ("mag", "magnification", "mpp", "resolution", "type_map")
"""Keys of such a file that are no nuclei."""


def is_hovernet(data: Any) -> bool:
    """Whether JSON values are as HoVer-Net writes them."""
    return isinstance(data, dict) and "nuc" in data


def is_cellvit(data: Any) -> bool:
    """Whether JSON values are as CellViT writes them."""
    return isinstance(data, dict) and "cells" in data


def is_tiatoolbox(data: Any) -> bool:
    """Whether JSON values are nuclei by number, or a list of them, and nothing around them."""
    if isinstance(data, dict):
        return any(_is_entry(value) for value in data.values())
    return isinstance(data, list) and bool(data) and _is_entry(data[0])


def read_hovernet(data: Any) -> AnnotationFile:
    """Nuclei of `nuc`.

    Raises:
        AnnotationFault: a nucleus without a centroid, or with a type that is none.
    """
    return _read(HOVERNET, data, data["nuc"])


def read_cellvit(data: Any) -> AnnotationFile:
    """Nuclei of `cells`; raises what `read_hovernet` does."""
    return _read(CELLVIT, data, data["cells"])


def read_tiatoolbox(data: Any) -> AnnotationFile:
    """All values; raises what `read_hovernet` does."""
    if isinstance(data, list):
        return _read(TIATOOLBOX, {}, data)
    entries = []
    for key, value in data.items():
        if key not in _FACTS:
            entries.append(value)
    return _read(TIATOOLBOX, data, entries)


def _is_entry(value: Any) -> bool:
    return isinstance(value, dict) and "centroid" in value


def _read(
    form: str,
    data: Mapping[str, Any],
    cells: Any,
) -> AnnotationFile:
    type_names = _named_types(data)
    scale = _scale(data)
    objects = []
    try:
        for entry in _entries(cells):
            objects.append(_nucleus(entry, type_names))
    except BROKEN_VALUES as error:
        raise AnnotationFault(
            " is not as HoVer-Net, CellViT or TIAToolbox write it "
            f"({type(error).__name__}: {error})",
            "Each nucleus needs a centroid of two numbers and a type.",
        ) from error
    return AnnotationFile(
        form,
        objects,
        corner_px=0.0,
        scale=scale,
    )


def _named_types(data: Mapping[str, Any]) -> dict[str, str]:
    try:
        return _type_names(data.get("type_map"))
    except BROKEN_VALUES as error:
        raise AnnotationFault(
            f" holds a type_map that cannot be read: {error}",
            "Write it as a number and a name for each type, or remove it.",
        ) from error


def _scale(data: Mapping[str, Any]) -> CoordinateScale | None:
    try:
        return coordinate_scale_of(data)
    except BROKEN_VALUES as error:
        raise AnnotationFault(
            f" states a scale that cannot be read: {error}",
            "Correct it, or remove it where the coordinates are pixels of the picture.",
        ) from error


def _entries(cells: Any) -> Iterable[Any]:
    if isinstance(cells, dict):
        return cells.values()
    if isinstance(cells, list):
        return cells
    raise ValueError(f"its nuclei are {cells!r:.40}")


def _type_names(type_map: Any) -> dict[str, str]:
    """Names of the types by their numbers, as text; a value is a name, or a name and a colour."""
    if type_map is None:
        return {}
    names = {}
    for key, value in dict(type_map).items():
        name = value[0] if isinstance(value, list) else value
        if not isinstance(name, str) or not name.strip():
            raise ValueError(f"type_map names {key} {name!r}")
        names[str(key)] = name
    return names


def _nucleus(entry: Mapping[str, Any], type_names: Mapping[str, str]) -> MarkedObject:
    x, y, *_ = entry["centroid"]
    point = (as_coordinate(x), as_coordinate(y))
    name = _class(entry.get("type"), type_names)
    return MarkedObject(
        name,
        DETECTION,
        points=(point,),
    )


def _class(value: Any, type_names: Mapping[str, str]) -> str:
    """The name of a type; networks without types write null."""
    if value is None:
        return ANY
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"type {value!r}")
    number = value if isinstance(value, str) else class_number(value)
    name = type_names.get(number, number)
    return name if name.strip() else ANY
