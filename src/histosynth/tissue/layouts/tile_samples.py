"""Many tiles of a model at once, drawn as windows of slides are: for those who fit a model.

The tiles lie far apart on the plane of the densities, and are put together to one window with rims
between them, so that nuclei of all of them move in one run.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from .coloured_moves import MoveSchedule, move_crowd, scatter_crowd
from .crowds import Crowd, Ground
from .ground_fields import ModelDensities
from .model import CELL_UM, LayoutModel
from .move_lattice import UNITS

_RIM_CELLS = 8
"""Around each tile: three times the reach of forces."""
_FAR_APART = 4000
"""Cells between two tiles on the plane of the densities."""
_TILES_A_ROW = 20


@dataclass(eq=False)
class Points:
    """Nuclei of one window.

    Attributes:
        xy: (N, 2) um from the window's corner.
        class_ids: (N) index of the classes.
    """

    xy: Float64Array
    class_ids: IndexArray


@dataclass(frozen=True, eq=False)
class TileSample:
    """Square tiles that a model draws.

    Attributes:
        points: nuclei of each tile.
        fields: (K, rows, columns) densities of each tile, nuclei per mm2, that they followed.
        side_um: of a tile.
    """

    points: list[Points]
    fields: list[Float64Array]
    side_um: float


def sample_tiles(
    model: LayoutModel,
    count: int,
    *,
    side_cells: int,
    seed: int,
) -> TileSample:
    """Draw tiles.

    Args:
        model: of the layouts.
        count: number of tiles.
        side_cells: side of a tile in cells of `CELL_UM`.
        seed: source of all randomness.
    """
    densities = ModelDensities(model, seed)
    outer = side_cells + 2 * _RIM_CELLS
    parts = []
    for number in range(count):
        parts.append(
            densities.per_mm2(
                (number * _FAR_APART, 0),
                (outer, outer),
            )
        )
    ground = Ground.of(_together(parts, outer), (0, 0))
    crowd = move_crowd(
        scatter_crowd(ground, seed),
        ground,
        model.forces,
        seed + 1,
        schedule=MoveSchedule(),
    )
    inner = slice(_RIM_CELLS, _RIM_CELLS + side_cells)
    return TileSample(
        _apart(
            crowd,
            outer,
            side_cells,
            count,
        ),
        [part[:, inner, inner] for part in parts],
        side_cells * CELL_UM,
    )


def _together(parts: list[Float64Array], outer: int) -> Float64Array:
    """(K, rows, columns) one window of all parts, `_TILES_A_ROW` in a row."""
    rows = -(-len(parts) // _TILES_A_ROW)
    window = np.zeros((len(parts[0]), rows * outer, _TILES_A_ROW * outer))
    for number, part in enumerate(parts):
        row, column = divmod(number, _TILES_A_ROW)
        top, left = row * outer, column * outer
        window[:, top : top + outer, left : left + outer] = part
    return window


def _apart(
    crowd: Crowd,
    outer: int,
    side_cells: int,
    count: int,
) -> list[Points]:
    """Nuclei of each tile, without its rim."""
    step = outer * CELL_UM
    side = side_cells * CELL_UM
    xy = np.stack([crowd.x, crowd.y], 1) / UNITS
    places = (xy // step).astype(np.intp)
    inner = xy - places * step - _RIM_CELLS * CELL_UM
    is_in = ((inner >= 0) & (inner < side)).all(axis=1)
    numbers = places[:, 1] * _TILES_A_ROW + places[:, 0]
    numbers = np.where(is_in, numbers, count)
    order = np.argsort(numbers, kind="stable")
    ends = np.searchsorted(numbers[order], np.arange(count + 1))
    tiles = []
    for first, last in pairwise(ends.tolist()):
        chosen = order[first:last]
        tiles.append(
            Points(
                inner[chosen],
                crowd.class_ids[chosen].astype(np.intp),
            )
        )
    return tiles
