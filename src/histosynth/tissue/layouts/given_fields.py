"""Densities that a user states: a map of each class over the whole slide."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from ...core.arrays import Float64Array
from ...core.errors import BadLayouts, first_line
from ...core.nuclei import MAX_PER_MM2
from ...core.plain_files import open_plain
from .model import CELL_UM, LayoutModel
from .position_noise import Places

_MAX_SIDE = 16_384
_MAX_BYTES = 1 << 30
_ASPECT_TOLERANCE = 0.02


class GivenDensities:
    """Densities of a map, linear between the centres of its cells: `Densities`.

    Args:
        maps: (K, R, C) nuclei per mm2.
        cell_um: width and height of a cell; the first one begins at the slide's corner.
    """

    def __init__(self, maps: Float64Array, cell_um: tuple[float, float]) -> None:
        self._maps = maps
        self._cell = cell_um

    def per_mm2(self, first: tuple[int, int], shape: tuple[int, int]) -> Float64Array:
        """See `Densities`."""
        places = Places.of_cells(
            first,
            shape,
            CELL_UM,
        )
        _, rows, columns = self._maps.shape
        left, across = _nodes(
            places.x,
            self._cell[0],
            columns,
        )
        top, down = _nodes(
            places.y,
            self._cell[1],
            rows,
        )
        right = np.minimum(left + 1, columns - 1)
        bottom = np.minimum(top + 1, rows - 1)
        wide = self._maps[:, :, left] * (1 - across)
        wide += self._maps[:, :, right] * across
        share = down[:, None]
        return np.asarray(wide[:, top] * (1 - share) + wide[:, bottom] * share)

    def without_tissue(self, places: Places, *, step_um: float) -> None:
        """A map states no regions without tissue."""
        del places, step_um


def read_densities(
    path: Path,
    model: LayoutModel,
    size_um: tuple[float, float],
) -> Float64Array:
    """Maps of a file of numpy (.npz): `per_mm2` (K, R, C), and `classes` (K names).

    Args:
        path: of the file.
        model: states the classes.
        size_um: width and height of the slide.

    Returns:
        (K, R, C) in the order of the model's classes.

    Raises:
        BadLayouts: it is no such file, of other classes, or of another shape than the slide.
    """
    try:
        with open_plain(path) as file:
            _check_sizes(file)
            with np.load(file, allow_pickle=False) as values:
                maps = np.asarray(values["per_mm2"], np.float64)
                names = [str(name) for name in values["classes"]]
        _check_maps(maps, names, model)
        _check_aspect(maps, size_um)
    except (OSError, ValueError, LookupError, zipfile.BadZipFile) as error:
        raise BadLayouts(path, f"as a density map: {first_line(error)}") from error
    order = [names.index(name) for name in model.classes]
    return maps[order]


def _check_sizes(file: object) -> None:
    with zipfile.ZipFile(file) as packed:  # type: ignore[call-overload]
        total = sum(each.file_size for each in packed.infolist())
    if total > _MAX_BYTES:
        raise ValueError(f"it unpacks to {total:,} bytes")
    file.seek(0)  # type: ignore[attr-defined]


def _check_maps(
    maps: Float64Array,
    names: list[str],
    model: LayoutModel,
) -> None:
    if sorted(names) != sorted(model.classes):
        found = ", ".join(names[:5])
        raise ValueError(f"its classes are {found}, those of the model {', '.join(model.classes)}")
    if maps.ndim != 3 or len(maps) != len(names) or not min(maps.shape[1:]) >= 1:
        raise ValueError(f"per_mm2 has the shape {maps.shape}, not ({len(names)}, rows, columns)")
    if max(maps.shape[1:]) > _MAX_SIDE:
        raise ValueError(f"per_mm2 has the shape {maps.shape}, over {_MAX_SIDE:,} a side")
    is_usable = np.isfinite(maps) & (maps >= 0)
    if not is_usable.all():
        raise ValueError(f"{int((~is_usable).sum()):,} densities are negative or no numbers")
    densest = float(maps.sum(axis=0).max())
    if densest > MAX_PER_MM2:
        raise ValueError(
            f"its densest place has {densest:,.0f} nuclei per mm2, and tissue {MAX_PER_MM2:,.0f} "
            "at most"
        )


def _check_aspect(maps: Float64Array, size_um: tuple[float, float]) -> None:
    rows, columns = maps.shape[1:]
    of_slide = size_um[0] / size_um[1]
    if abs(columns / rows / of_slide - 1) > max(_ASPECT_TOLERANCE, 1 / min(rows, columns)):
        raise ValueError(
            f"it has {columns:,} x {rows:,} cells, and the slide is {size_um[0]:,.0f} x "
            f"{size_um[1]:,.0f} um: the cells would not be square"
        )


def _nodes(
    positions: Float64Array,
    cell_um: float,
    cells: int,
) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], Float64Array]:
    """Cell before each position, and how far on the way to the next one it is; cells at the edges
    go on beyond.
    """
    steps = (positions / cell_um - 0.5).clip(0, cells - 1)
    nodes = steps.astype(np.intp)
    return nodes, steps - nodes
