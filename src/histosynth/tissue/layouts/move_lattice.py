"""Divisions of the plane in which nuclei move, and which nuclei of them move at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import IndexArray
from .model import CELL_UM

UNITS = 64
"""Of a micrometre: whole steps of a position."""
CELL_UNITS = int(CELL_UM) * UNITS
IntArray = NDArray[np.int32]


@dataclass(frozen=True)
class AxisParts:
    """Division of an axis into equal parts, seen from a window.

    Attributes:
        origin: of the window, counted from where the parts begin.
        side: of a part.
    """

    origin: int
    side: int

    def index(self, values: IntArray) -> IntArray:
        """Part of each position, counted from that of the window's corner."""
        return (values + np.int32(self.origin % self.side)) // np.int32(self.side)

    def parity(self, values: IntArray) -> IntArray:
        """0 or 1: whether the part is an odd one on the whole axis."""
        odd = np.int32(self.origin // self.side % 2)
        return (self.index(values) + odd) & np.int32(1)

    def lower(self, values: IntArray) -> IntArray:
        """Where each position's part begins."""
        return self.index(values) * np.int32(self.side) - np.int32(self.origin % self.side)


@dataclass(frozen=True, eq=False)
class NearNuclei:
    """Nuclei in the 3 x 3 cells of the lattice around each of M nuclei, itself among them.

    Attributes:
        repeats: (M,) how many.
        firsts: (M,) where those of each begin.
        others: (P,) their indices.
    """

    repeats: IndexArray
    firsts: IndexArray
    others: IndexArray

    @classmethod
    def of(
        cls,
        own: IndexArray,
        columns: int,
        starts: IndexArray,
    ) -> NearNuclei:
        """Around cells `own` (M) of a lattice in rows of `columns`."""
        rows = own[:, None] + np.array([-columns, 0, columns])
        firsts = starts[rows - 1]
        counts = starts[rows + 2] - firsts
        flat = counts.ravel()
        before = np.cumsum(flat) - flat
        others = np.arange(int(flat.sum()))
        others += np.repeat(firsts.ravel() - before, flat)
        repeats = counts.sum(axis=1)
        return cls(
            repeats,
            np.cumsum(repeats) - repeats,
            others,
        )


@dataclass(frozen=True, eq=False)
class MoveTurn:
    """Nuclei of the squares of one colour, set by set of those that move at once.

    Attributes:
        active: (M,) indices.
        ends: where each set ends.
        lows: (2, M) least position of where each may go, across and down.
        extents: (2, M) of where each may go.
        around: nuclei near each.
        rows: (P,) where the energies of their pair of classes begin.
    """

    active: IndexArray
    ends: list[int]
    lows: IntArray
    extents: IntArray
    around: NearNuclei
    rows: IntArray


def disjoint_sets(fine_colour: IntArray, ranks: IndexArray) -> tuple[IndexArray, list[int]]:
    """An order of nuclei, and where each set of those ends that move at once: of one colour of the
    lattice, one in each cell.
    """
    width = int(ranks.max()) + 1
    group = fine_colour * width + ranks
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    return order, [*ends.tolist(), len(order)]


def part_overlap(
    coarse: AxisParts,
    fine: AxisParts,
    values: IntArray,
    cells: int,
) -> IntArray:
    """(2, N) least position and extent of where parts of both divisions overlap in the window."""
    coarse_low = coarse.lower(values)
    fine_low = fine.lower(values)
    low = np.maximum(coarse_low, fine_low)
    high = np.minimum(
        coarse_low + np.int32(coarse.side),
        fine_low + np.int32(fine.side),
    )
    low = np.maximum(low, 0)
    high = np.minimum(high, np.int32(cells * CELL_UNITS))
    return np.stack([low, high - low])
