"""Where the windows of a canvas lie, and with which weights they are blended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float32Array
from ..core.geometry import Box

WINDOW_CELLS = 128
"""Side of a window, latent cells: 1,024 px, where a step costs least for its area."""
OVERLAP_CELLS = 8
"""Cells that neighbours share; with 4 to 16 no seam was found (docs/log.md)."""


@dataclass(frozen=True)
class WindowAxis:
    """Windows along one side of a canvas.

    Attributes:
        cells: of the canvas.
        window: cells of a window; the last one may have fewer.
        least: fewest cells of a window.
        grid: windows have a multiple of it.
    """

    cells: int
    window: int = WINDOW_CELLS
    least: int = 16
    grid: int = 1

    @property
    def count(self) -> int:
        """Number of windows."""
        beyond_first = self.cells - self.window
        return 1 + max(
            -(-beyond_first // self._stride),
            0,
        )

    @property
    def _stride(self) -> int:
        return self.window - OVERLAP_CELLS

    def start(self, index: int) -> int:
        """First cell of a window."""
        return index * self._stride

    def length(self, index: int) -> int:
        """Cells of a window; the last one may reach beyond the canvas."""
        if index + 1 < self.count:
            return self.window
        wanted = max(
            self.cells - self.start(index),
            self.least,
        )
        return -(-wanted // self.grid) * self.grid

    def weights(self, index: int) -> Float32Array:
        """(length,) weights of a window's cells: over all windows they add up to 1."""
        weights = np.ones(self.length(index))
        angles = np.pi / 2 * (np.arange(OVERLAP_CELLS) + 0.5) / OVERLAP_CELLS
        rising = np.sin(angles) ** 2
        if index:
            weights[:OVERLAP_CELLS] = rising
        if index + 1 < self.count:
            weights[-OVERLAP_CELLS:] = rising[::-1]
        return weights.astype(np.float32)

    def covering(self, first: int, last: int) -> range:
        """Windows that hold some of the cells first..last - 1."""
        lowest = (first - self.window) // self._stride + 1
        highest = (last - 1) // self._stride
        return range(
            max(
                lowest,
                0,
            ),
            min(
                highest,
                self.count - 1,
            )
            + 1,
        )


@dataclass(frozen=True)
class Lattice:
    """Windows of a canvas.

    Attributes:
        columns: along its width.
        rows: along its height.
    """

    columns: WindowAxis
    rows: WindowAxis

    @property
    def canvas(self) -> Box:
        """All cells."""
        return Box(
            0,
            0,
            self.columns.cells,
            self.rows.cells,
        )

    def window(self, column: int, row: int) -> Box:
        """The cells of a window."""
        return Box(
            self.columns.start(column),
            self.rows.start(row),
            self.columns.length(column),
            self.rows.length(row),
        )

    def covering(self, box: Box) -> Iterator[tuple[int, int]]:
        """(column, row) of the windows that hold some cells of a box, row by row."""
        for row in self.rows.covering(
            box.y,
            box.bottom,
        ):
            for column in self.columns.covering(
                box.x,
                box.right,
            ):
                yield column, row

    def weights(self, column: int, row: int) -> Float32Array:
        """(h, w) weights of a window's cells."""
        return np.outer(
            self.rows.weights(row),
            self.columns.weights(column),
        )
