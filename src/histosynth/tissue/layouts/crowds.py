"""Nuclei of a window, and the densities that they follow, in whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import BoolArray, Float64Array, IndexArray
from ..position_hash import Words
from .model import CELL_UM
from .move_lattice import CELL_UNITS, IntArray

DENSITY_UNITS = 1 << 14
"""Of one nucleus in a cell of `CELL_UM`."""
MAX_EXPECTED = 8
"""Most nuclei expected in a cell of `CELL_UM`: 80,000 per mm2."""


@dataclass(eq=False)
class Crowd:
    """Nuclei of a window in whole steps from its corner; `move_crowd` changes the positions.

    Attributes:
        x: (N,) int32, in units of 1 / `UNITS` um.
        y: (N,) int32.
        class_ids: (N,) int32.
        keys: (N,) uint64, source of each nucleus's moves.
    """

    x: IntArray
    y: IntArray
    class_ids: IntArray
    keys: Words

    def take(self, order: IndexArray | BoolArray) -> Crowd:
        """The nuclei of these indices."""
        return Crowd(
            self.x[order],
            self.y[order],
            self.class_ids[order],
            self.keys[order],
        )

    def inside(self, ring: int, shape: tuple[int, int]) -> Crowd:
        """Those of the cells (rows, columns) that a ring of `ring` cells goes around, from the
        corner of the first one.
        """
        rows, columns = shape
        x = self.x - np.int32(ring * CELL_UNITS)
        y = self.y - np.int32(ring * CELL_UNITS)
        is_in = (x >= 0) & (x < columns * CELL_UNITS)
        is_in &= (y >= 0) & (y < rows * CELL_UNITS)
        inner = self.take(is_in)
        return Crowd(
            x[is_in],
            y[is_in],
            inner.class_ids,
            inner.keys,
        )


@dataclass(frozen=True, eq=False)
class Ground:
    """Densities of a window.

    Attributes:
        amounts: (K, rows, columns) int32 nuclei expected in cells of `CELL_UM`, in units of 1 /
            `DENSITY_UNITS`.
        corner: column and row of the first cell on the plane.
    """

    amounts: IntArray
    corner: tuple[int, int]

    @classmethod
    def of(
        cls,
        per_mm2: Float64Array,
        corner: tuple[int, int],
    ) -> Ground:
        """Ground of densities (K, rows, columns) per mm2."""
        expected = per_mm2 * (CELL_UM**2 / 1e6)
        amounts = np.rint(expected * DENSITY_UNITS)
        most = MAX_EXPECTED * DENSITY_UNITS - 1
        return cls(
            amounts.clip(0, most).astype(np.int32),
            corner,
        )
