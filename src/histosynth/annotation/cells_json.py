"""JSON of HoVer-Net, CellViT and TIAToolbox: a centroid and a type for each nucleus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.nuclei import ANY
from .class_names import class_number
from .collecting import ObjectCollector
from .faults import BROKEN_VALUES, AnnotationFault
from .geojson import as_coordinate
from .objects import DETECTION, AnnotationFile
from .scale import CoordinateScale, coordinate_scale_of

HOVERNET = "HoVer-Net JSON"
CELLVIT = "CellViT JSON"
TIATOOLBOX = "JSON of nuclei by number"
FACT_KEYS = ("mag", "magnification", "mpp", "resolution", "type_map")
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
        return any(is_entry(value) for value in data.values())
    return isinstance(data, list) and bool(data) and is_entry(data[0])


def read_hovernet(data: Any, collector: ObjectCollector) -> AnnotationFile:
    """Nuclei of `nuc`.

    Raises:
        AnnotationFault: a nucleus without a centroid, or with a type that is none.
    """
    return _read(HOVERNET, data, data["nuc"], collector)


def read_cellvit(data: Any, collector: ObjectCollector) -> AnnotationFile:
    """Nuclei of `cells`; raises what `read_hovernet` does."""
    return _read(CELLVIT, data, data["cells"], collector)


def read_tiatoolbox(data: Any, collector: ObjectCollector) -> AnnotationFile:
    """All values; raises what `read_hovernet` does."""
    if isinstance(data, list):
        return _read(TIATOOLBOX, {}, data, collector)
    entries = []
    for key, value in data.items():
        if key not in FACT_KEYS:
            entries.append(value)
    return _read(TIATOOLBOX, data, entries, collector)


def is_entry(value: Any) -> bool:
    """Whether a value is a nucleus with a centroid."""
    return isinstance(value, dict) and "centroid" in value


class CellReader:
    """Nuclei into columns. Their types get names at the end, as `type_map` may come last.

    Args:
        collector: of the file.
    """

    def __init__(self, collector: ObjectCollector) -> None:
        self.collector = collector
        self._error: Exception | None = None

    def read_all(self, cells: Any) -> None:
        """Nuclei by number, or a list of them."""
        try:
            entries = _entries(cells)
        except ValueError as error:
            self._error = self._error or error
            return
        for entry in entries:
            self.read(entry)

    def read(self, entry: Any) -> None:
        """One nucleus; nothing after one that is none."""
        if self._error:
            return
        try:
            x, y, *_ = entry["centroid"]
            point = (as_coordinate(x), as_coordinate(y))
            number = _type_number(entry.get("type"))
        except BROKEN_VALUES as error:
            self._error = error
            return
        self.collector.add_point(number, DETECTION, point)

    def as_file(self, form: str, data: Mapping[str, Any]) -> AnnotationFile:
        """All nuclei.

        Args:
            form: of the file.
            data: what it states of scale and types.

        Raises:
            AnnotationFault: a nucleus without a centroid, or a value that cannot be used.
        """
        type_names = _named_types(data)
        scale = _scale(data)
        if self._error:
            raise AnnotationFault(
                " is not as HoVer-Net, CellViT or TIAToolbox write it "
                f"({type(self._error).__name__}: {self._error})",
                "Each nucleus needs a centroid of two numbers and a type.",
            ) from self._error
        self.collector.rename(lambda number: _class_of(number, type_names))
        return self.collector.as_file(form, 0.0, scale)


def _read(
    form: str,
    data: Mapping[str, Any],
    cells: Any,
    collector: ObjectCollector,
) -> AnnotationFile:
    reader = CellReader(collector)
    reader.read_all(cells)
    return reader.as_file(form, data)


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


def _type_number(value: Any) -> str:
    """A type as text after a "="; "" for null, which networks without types write."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"type {value!r}")
    return "=" + (value if isinstance(value, str) else class_number(value))


def _class_of(number: str, type_names: Mapping[str, str]) -> str:
    """The name of a type."""
    if not number:
        return ANY
    number = number[1:]
    name = type_names.get(number, number)
    return name if name.strip() else ANY
