"""Nuclei that are added to those of a slide: by densities, and the forces of a model.

They are laid by density alone, then move among the nuclei that are there, which stay. Those of a
window are the crop of the whole.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...core.arrays import BoolArray, Float64Array
from .coloured_moves import FIXED_KEY, MoveSchedule, move_crowd, ring_um, scatter_crowd
from .crowds import Crowd, Ground
from .model import CELL_UM, LayoutModel
from .move_lattice import CELL_UNITS, UNITS
from .position_noise import seed_for
from .slide_rows import HUNDREDTHS, SlideRows

KERNEL_UM = 20.0
"""Standard deviation of the kernel by which local densities are estimated."""
_KERNEL_CELLS = int(3 * KERNEL_UM / CELL_UM) + 1
_SCATTER = 21
_MOVES = 22
_UM2_PER_MM2 = 1e6


def cells_around(model: LayoutModel) -> int:
    """Cells around a window on which the nuclei that are added to it depend."""
    ring = ring_um(
        model.reach_um,
        MoveSchedule(),
    )
    return int(np.ceil(ring / CELL_UM)) + _KERNEL_CELLS


def local_per_mm2(
    rows: SlideRows,
    classes: int,
    first: tuple[int, int],
    shape: tuple[int, int],
    mpp: float,
) -> Float64Array:
    """(K, rows, columns) kernel estimate of the densities of nuclei in cells of `CELL_UM`; wrong in
    the outer cells of the window.
    """
    counts = np.zeros((classes, *shape))
    column = np.floor((rows.x / HUNDREDTHS + 0.5) * mpp / CELL_UM).astype(np.intp) - first[0]
    row = np.floor((rows.y / HUNDREDTHS + 0.5) * mpp / CELL_UM).astype(np.intp) - first[1]
    is_in = (column >= 0) & (column < shape[1]) & (row >= 0) & (row < shape[0])
    is_in &= rows.class_ids < classes
    places = (rows.class_ids[is_in], row[is_in], column[is_in])
    np.add.at(
        counts,
        places,
        1,
    )
    found = []
    for of_class in counts:
        found.append(
            ndimage.gaussian_filter(
                of_class,
                KERNEL_UM / CELL_UM,
                mode="constant",
                truncate=3.0,
            )
        )
    return np.stack(found) / CELL_UM**2 * _UM2_PER_MM2


def near_border(
    epithelial_per_mm2: Float64Array,
    *,
    least_per_mm2: float,
    within_um: float,
) -> BoolArray:
    """(rows, columns) cells whose centre is so near to the border of dense epithelium."""
    is_dense = epithelial_per_mm2 >= least_per_mm2
    if is_dense.all() or not is_dense.any():
        return np.zeros(
            is_dense.shape,
            np.bool_,
        )
    inside = ndimage.distance_transform_edt(is_dense)
    outside = ndimage.distance_transform_edt(~is_dense)
    away = (
        np.where(
            is_dense,
            inside,
            outside,
        )
        - 0.5
    )
    return np.asarray(away * CELL_UM <= within_um)


def added_rows(
    model: LayoutModel,
    per_mm2: Float64Array,
    first: tuple[int, int],
    present: SlideRows,
    *,
    mpp: float,
    seed: int,
) -> SlideRows:
    """Nuclei that are added to a window of cells, those in its outer cells not final.

    Args:
        model: of the forces.
        per_mm2: (K, rows, columns) densities of added nuclei; none lies where it is 0.
        first: column and row of the first cell.
        present: nuclei of the slide in that window.
        mpp: micrometres per pixel.
        seed: source of all randomness.
    """
    ground = Ground.of(
        per_mm2,
        first,
    )
    new = scatter_crowd(
        ground,
        seed_for(
            seed,
            _SCATTER,
        ),
    )
    if not len(new.x):
        return SlideRows.none()
    corner = np.array(first) * CELL_UNITS
    x = (
        _units(
            present.x,
            mpp,
        )
        - corner[0]
    )
    y = (
        _units(
            present.y,
            mpp,
        )
        - corner[1]
    )
    rows, columns = per_mm2.shape[1:]
    is_in = (x >= 0) & (x < columns * CELL_UNITS) & (y >= 0) & (y < rows * CELL_UNITS)
    is_in &= present.class_ids < len(model.classes)
    moved = move_crowd(
        Crowd(
            np.concatenate([new.x, x[is_in].astype(np.int32)]),
            np.concatenate([new.y, y[is_in].astype(np.int32)]),
            np.concatenate([new.class_ids, present.class_ids[is_in].astype(np.int32)]),
            np.concatenate(
                [
                    new.keys,
                    np.full(
                        int(is_in.sum()),
                        FIXED_KEY,
                    ),
                ]
            ),
        ),
        ground,
        model.forces,
        seed_for(
            seed,
            _MOVES,
        ),
        schedule=MoveSchedule(),
    )
    moved = moved.take(moved.keys != FIXED_KEY)
    return SlideRows(
        _hundredths(
            moved.x + corner[0],
            mpp,
        ),
        _hundredths(
            moved.y + corner[1],
            mpp,
        ),
        moved.class_ids.astype(np.uint8),
    )


def _units(hundredths: np.ndarray, mpp: float) -> np.ndarray:
    um = (hundredths / HUNDREDTHS + 0.5) * mpp
    return np.floor(um * UNITS).astype(np.int64)


def _hundredths(units: np.ndarray, mpp: float) -> np.ndarray:
    pixels = units.astype(np.int64) / (UNITS * mpp) - 0.5
    return np.rint(pixels * HUNDREDTHS).astype(np.int64)
