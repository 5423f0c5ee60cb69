"""How fibres run on a tile, as far as it is known: a coarse map of axes.

Angles are those of shapes of nuclei: from the x axis towards the y axis, which points down. An axis
has no head, so it is held by twice its angle (Bigun and Granlund 1987): strength times (cos 2a,
sin 2a), where strength is 0 without any orientation and 1 where all runs one way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import BoolArray, Float32Array, Float64Array
from .geometry import Box, Size
from .tile import read_only

ORIENTATION_CELL = 8
"""Pixels per cell of the map."""
_CORNER_PX = 0.5
"""(0, 0) is the centre of the first pixel."""
_ROUNDING = 1e-3


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class FibreOrientation:
    """Axes of fibres in the cells of one tile.

    Attributes:
        axes: (h, w, 2) float32, strength times cosine and sine of twice the angle; nan in cells
            where it is not known. A cell is 8 px wide; those at the right and the lower edge may
            reach beyond the tile.
        size: of the tile in pixels.

    Raises:
        ValueError: the axes are of another tile, infinite, or stronger than 1.
    """

    axes: Float32Array
    size: Size

    def __post_init__(self) -> None:
        size = Size(*self.size)
        object.__setattr__(
            self,
            "size",
            size,
        )
        cells = orientation_cells(size)
        if self.axes.shape != (*cells, 2):
            raise ValueError(f"axes {self.axes.shape} of a tile of {cells} cells")
        strength = np.hypot(self.axes[..., 0], self.axes[..., 1])
        if (strength > 1 + _ROUNDING).any():
            raise ValueError(f"axes of strength {np.nanmax(strength):g}: 1 is the most")
        axes = self.axes.astype(np.float32)
        object.__setattr__(
            self,
            "axes",
            read_only(axes),
        )

    @property
    def known(self) -> BoolArray:
        """(h, w) cells in which it is known."""
        return np.asarray(np.isfinite(self.axes).all(axis=2))

    @property
    def known_share(self) -> float:
        """Share of the cells in which it is known."""
        return float(self.known.mean())

    def known_bytes(self) -> bytes:
        """What digests are taken of: one value for all cells that are not known."""
        values = np.where(
            self.known[..., None],
            self.axes,
            np.float32(np.nan),
        )
        return values.tobytes()

    def at(self, places: Float32Array) -> Float32Array:
        """Axes (N, 2) in the cells of places (N, 2), px, on the tile."""
        cells = np.floor((places + _CORNER_PX) / ORIENTATION_CELL).astype(np.int64)
        columns, rows = cells.T
        return np.asarray(self.axes[rows, columns])

    def crop(self, box: Box) -> FibreOrientation:
        """The part inside `box`, whose corner lies on the grid."""
        if box.x % ORIENTATION_CELL or box.y % ORIENTATION_CELL:
            raise ValueError(f"a box at {box.x},{box.y} is not on the grid of {ORIENTATION_CELL}")
        rows, columns = orientation_cells(box.size)
        top = box.y // ORIENTATION_CELL
        left = box.x // ORIENTATION_CELL
        axes = self.axes[top : top + rows, left : left + columns]
        return FibreOrientation(
            axes,
            box.size,
        )


def mean_orientation(
    places: Float64Array,
    axes: Float64Array,
    size: tuple[int, int],
) -> FibreOrientation:
    """The map of a tile whose axes are known at places: their mean in each cell.

    Args:
        places: (N, 2) px, x and y; those outside of the tile are left out.
        axes: (N, 2), as those of a map.
        size: of the tile, px.
    """
    rows, columns = orientation_cells(Size(*size))
    cells = np.floor((places + _CORNER_PX) / ORIENTATION_CELL).astype(np.int64)
    width, height = size
    inside = (places >= -_CORNER_PX).all(axis=1)
    inside &= (places < np.array([width, height]) - _CORNER_PX).all(axis=1)
    x, y = cells[inside].T
    index = y * columns + x
    counts = np.bincount(
        index,
        minlength=rows * columns,
    )
    sums = [
        np.bincount(
            index,
            weights=each,
            minlength=rows * columns,
        )
        for each in axes[inside].T
    ]
    mean = np.full(
        (rows * columns, 2),
        np.nan,
    )
    known = counts > 0
    mean[known] = (
        np.stack(
            sums,
            axis=1,
        )[known]
        / counts[known, None]
    )
    return FibreOrientation(
        mean.reshape(
            rows,
            columns,
            2,
        ).astype(np.float32),
        Size(*size),
    )


def orientation_cells(size: Size) -> tuple[int, int]:
    """(rows, columns) of the map of a tile."""
    return -(-size.height // ORIENTATION_CELL), -(-size.width // ORIENTATION_CELL)
