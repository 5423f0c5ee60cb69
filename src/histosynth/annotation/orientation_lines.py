"""Lines along which fibres run, from GeoJSON: drawn in QuPath, or measured on a tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from ..core.errors import BadNuclei, BadOrientation
from ..core.geometry import Box
from ..core.number_format import counted
from ..core.orientation import (
    ORIENTATION_CELL,
    FibreOrientation,
    mean_orientation,
)
from ..core.visible import json_line
from .faults import BROKEN_VALUES, AnnotationFault
from .geojson import (
    LINE_TYPES,
    MAX_NESTED_DEPTH,
    children_of,
    corner_values,
    entries_of,
    is_feature,
    is_geojson,
)
from .json_text import JsonText
from .text_pieces import text_pieces

STRENGTH = "strength"
"""Property of a line."""
DRAWN_STRENGTH = 0.45
"""Of a line that states none: what the clearest tenth of training tissue has."""
MAX_LINES_BYTES = 1 << 26
_MAX_COORDINATE = 1e7
_MAX_SAMPLES = 2_000_000
_STEP_PX = 2.0
"""Between places of a line that are counted into the map."""
_CORNER_PX = 0.5
"""QuPath counts from the first pixel's corner."""
_REMEDY = (
    "Draw lines along fibres in QuPath and export them as GeoJSON, or use `histosynth prepare "
    "orientation`."
)


@dataclass(frozen=True, eq=False)
class FibreLine:
    """One line.

    Attributes:
        corners: (N, 2) px, (0, 0) the centre of the first pixel.
        strength: in (0, 1].
    """

    corners: Float64Array
    strength: float = DRAWN_STRENGTH


@dataclass(frozen=True, eq=False)
class OrientationLines:
    """What a file states of how fibres run.

    Attributes:
        path: of the file.
        lines: in pixels of the layout.
        left_out: number of its objects that are no lines.
    """

    path: Path
    lines: tuple[FibreLine, ...]
    left_out: int = 0

    @cached_property
    def _samples(self) -> tuple[Float64Array, Float64Array]:
        """Places (N, 2) along all lines, px of the layout, and the axis at each (N, 2)."""
        samples = [_samples(line) for line in self.lines]
        places, axes = zip(*samples, strict=True)
        return np.concatenate(places), np.concatenate(axes)

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file is not followed."""
        if not self.lines:
            return (f"{self.path} holds no line: how fibres run is left open.",)
        if not self.left_out:
            return ()
        objects = counted(self.left_out, "object that is no line", "objects that are no lines")
        return (f"{self.path}: {objects} left out.",)

    def inside(self, box: Box, *, may_miss: bool = False) -> FibreOrientation | None:
        """The map of a window of the layout: known in the cells that lines cross.

        Args:
            box: the window, px.
            may_miss: whether all lines may lie outside, as in one of many windows: then None.
                None too where the file holds no line.

        Raises:
            BadOrientation: all lines lie outside.
        """
        if not self.lines:
            return None
        places, axes = self._samples
        orientation = mean_orientation(
            places - (box.x, box.y),
            axes,
            box.size,
        )
        if orientation.known.any():
            return orientation
        if may_miss:
            return None
        raise BadOrientation(
            f"{self.path}: none of its {counted(len(self.lines), 'line')} lies in the tile of "
            f"{box.width} x {box.height} px at {box.x},{box.y}.",
            "Its coordinates must be pixels of the tile, as those of the nuclei are.",
        )


def _samples(line: FibreLine) -> tuple[Float64Array, Float64Array]:
    """Places (N, 2) along a line, and the axis at each, (N, 2)."""
    starts = line.corners[:-1]
    steps = np.diff(line.corners, axis=0)
    lengths = np.hypot(*steps.T)
    counts = np.maximum(np.ceil(lengths / _STEP_PX), 1).astype(int)
    of_segment = np.repeat(np.arange(len(steps)), counts)
    number = np.arange(len(of_segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (number + 0.5) / counts[of_segment]
    places = starts[of_segment] + share[:, None] * steps[of_segment]
    twice = 2 * np.arctan2(steps[:, 1], steps[:, 0])
    axes = line.strength * np.stack([np.cos(twice), np.sin(twice)], axis=1)
    return places, axes[of_segment]


def read_orientation_lines(path: Path) -> OrientationLines:
    """The lines of a file of GeoJSON.

    Raises:
        BadOrientation: it is no GeoJSON, holds objects and no line, or a line that is none.
    """
    data = _read_json(path)
    if not is_geojson(data):
        raise BadOrientation(f"{path} is no GeoJSON.", _REMEDY)
    lines: list[FibreLine] = []
    left_out = 0
    for number, (feature, depth) in enumerate(_all_features(entries_of(data)), start=1):
        try:
            if depth > MAX_NESTED_DEPTH:
                raise ValueError(f"it lies more than {MAX_NESTED_DEPTH} deep in other objects")
            found = _lines_of(feature)
        except BROKEN_VALUES as error:
            raise BadOrientation(
                f"{path}, feature {number} is no line along fibres ({error}).",
                _REMEDY,
            ) from error
        lines += found
        left_out += not found
    if left_out and not lines:
        raise BadOrientation(
            f"{path} holds no line, but {counted(left_out, 'other object')}.",
            _REMEDY,
        )
    _check_length(path, lines)
    return OrientationLines(path, tuple(lines), left_out)


def _read_json(path: Path) -> Any:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadOrientation(f"{path} cannot be read: {error.strerror}.", _REMEDY) from error
    if size > MAX_LINES_BYTES:
        raise BadOrientation(
            f"{path} holds {size:,} bytes, over the limit of {MAX_LINES_BYTES:,}.",
            "Split it.",
        )
    try:
        return JsonText(text_pieces(path)).value()
    except AnnotationFault as fault:
        raise BadOrientation(f"{path}{fault.problem}.", fault.remedy) from fault
    except BadNuclei as error:
        raise BadOrientation(error.problem, _REMEDY) from error


def _all_features(entries: list[Any]) -> Iterator[tuple[Any, int]]:
    """Features and those inside them, each with how deep it lies."""
    waiting = [(entry, 0) for entry in reversed(entries)]
    while waiting:
        feature, depth = waiting.pop()
        yield feature, depth
        waiting += [(child, depth + 1) for child in reversed(children_of(feature))]


def _lines_of(feature: Any) -> list[FibreLine]:
    """The lines of a feature or geometry; none of anything else."""
    if not isinstance(feature, dict) or not is_feature(feature):
        raise ValueError("it has no geometry")
    properties = feature.get("properties")
    if not isinstance(properties, dict | None):
        raise ValueError("its properties are no object")
    strength = (properties or {}).get(STRENGTH, DRAWN_STRENGTH)
    is_number = isinstance(strength, int | float) and not isinstance(strength, bool)
    if not is_number or not 0 < strength <= 1:
        raise ValueError(f"its strength is {strength!r:.40}, not above 0 and up to 1")
    parts = _parts_of(feature.get("geometry", feature))
    return [FibreLine(_corners(part), float(strength)) for part in parts]


def _parts_of(geometry: Any, depth: int = 0) -> list[Any]:
    """Coordinates of each line of a geometry."""
    if not isinstance(geometry, dict):
        return []
    if depth > MAX_NESTED_DEPTH:
        raise ValueError(f"geometries lie more than {MAX_NESTED_DEPTH} deep in each other")
    if geometry.get("type") == "GeometryCollection":
        inner = [_parts_of(each, depth + 1) for each in geometry["geometries"]]
        return [part for parts in inner for part in parts]
    if geometry.get("type") not in LINE_TYPES:
        return []
    coordinates = geometry["coordinates"]
    return [coordinates] if geometry["type"] == "LineString" else list(coordinates)


def _corners(coordinates: Any) -> Float64Array:
    if not isinstance(coordinates, list) or len(coordinates) < 2:
        raise ValueError("it has fewer than two different corners")
    corners = corner_values(coordinates) - _CORNER_PX
    if not (np.abs(corners) < _MAX_COORDINATE).all():
        raise ValueError("a corner is no number, or too far out")
    moves = np.r_[True, (np.diff(corners, axis=0) != 0).any(axis=1)]
    corners = corners[moves]
    if len(corners) < 2:
        raise ValueError("it has fewer than two different corners")
    return corners


def _check_length(path: Path, lines: list[FibreLine]) -> None:
    """Refuse lines that would take too much memory."""
    total = sum(float(np.hypot(*np.diff(line.corners, axis=0).T).sum()) for line in lines)
    if total > _MAX_SAMPLES * _STEP_PX:
        raise BadOrientation(
            f"{path}: its lines are {total:,.0f} px long together, over the limit of "
            f"{_MAX_SAMPLES * _STEP_PX:,.0f}.",
            "Split it.",
        )


def orientation_geojson(orientation: FibreOrientation, *, every: int = 3) -> str:
    """Short lines along fibres, as QuPath shows them and `read_orientation_lines` takes them.

    Args:
        orientation: the map.
        every: one line for so many cells each way.
    """
    features = []
    first = every // 2
    for row in range(first, orientation.axes.shape[0], every):
        for column in range(first, orientation.axes.shape[1], every):
            cosine, sine = orientation.axes[row, column].tolist()
            strength = round(float(np.hypot(cosine, sine)), 3)
            if not strength > 0:  # nan where it is not known
                continue
            angle = np.arctan2(sine, cosine) / 2
            half = np.array([np.cos(angle), np.sin(angle)]) * (ORIENTATION_CELL / 2)
            centre = (np.array([column, row]) + 0.5) * ORIENTATION_CELL
            ends = [(centre - half).round(2).tolist(), (centre + half).round(2).tolist()]
            features.append(_line_feature(ends, strength))
    collection = {"type": "FeatureCollection", "features": features}
    return json_line(collection) + "\n"


def _line_feature(ends: list[list[float]], strength: float) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "LineString", "coordinates": ends},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": "fibres"},
            STRENGTH: strength,
        },
    }
