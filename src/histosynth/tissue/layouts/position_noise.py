"""Smooth random fields on the plane that depend on a seed and on the position alone.

White noise sits on a grid of half the kernel's width, so that a window of a field costs the same
whatever its scale is and wherever it lies. All sums run in a fixed order for each position: a
window is the crop of any larger one, bit for bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from ...core.arrays import Float64Array, IndexArray
from ..position_hash import Words, hashed_at

_STEPS_PER_SIGMA = 2
_REACH_STEPS = 6
"""Steps of the noise's grid after which the kernel ends: three standard deviations."""
_TAPS = 2 * _REACH_STEPS + 2
_PURPOSE = 0x51_7CC1_B727_2205


@dataclass(frozen=True, eq=False)
class Places:
    """Positions of a rectangular grid on the plane, um.

    Attributes:
        x: (C,) of the columns.
        y: (R,) of the rows.
    """

    x: Float64Array
    y: Float64Array

    @property
    def step_um(self) -> float:
        """Between two columns, or rows where there is one column alone."""
        line = self.x if len(self.x) > 1 else self.y
        return float(line[1] - line[0]) if len(line) > 1 else 1.0

    @classmethod
    def of_cells(
        cls,
        first: tuple[int, int],
        shape: tuple[int, int],
        cell_um: float,
    ) -> Places:
        """Centres of the cells of a grid that begins at (0, 0).

        Args:
            first: column and row of the first cell, which may be negative.
            shape: rows and columns.
            cell_um: side of a cell.
        """
        return cls.of_steps(
            (first[0] + 0.5, first[1] + 0.5),
            shape,
            cell_um,
        )

    @classmethod
    def of_steps(
        cls,
        first: tuple[float, float],
        shape: tuple[int, int],
        step_um: float,
    ) -> Places:
        """Nodes of a grid of which a node is at (0, 0); `first` is counted in steps."""
        rows, columns = shape
        x = (np.arange(columns) + first[0]) * step_um
        y = (np.arange(rows) + first[1]) * step_um
        return cls(x.astype(np.float64), y.astype(np.float64))


def seed_for(seed: int, purpose: int) -> int:
    """Another seed for each purpose (a whole number) that one is needed for."""
    return seed + (purpose + 1) * _PURPOSE


def smooth_noise(
    seed: int,
    sigma_um: float,
    places: Places,
) -> Float64Array:
    """Gaussian noise of variance 1: white noise under a Gaussian kernel.

    Args:
        seed: any whole number.
        sigma_um: standard deviation of the kernel; fields correlate as exp(-d^2 / (2 sigma)^2).
        places: where.

    Returns:
        (R, C).
    """
    step = sigma_um / _STEPS_PER_SIGMA
    columns, across = _taps(places.x, step)
    rows, down = _taps(places.y, step)
    left = int(columns[0])
    top = int(rows[0])
    white = normal_of(
        hashed_at(
            seed,
            left,
            top,
            width=int(columns[-1]) - left + _TAPS,
            height=int(rows[-1]) - top + _TAPS,
            count=1,
        )[0]
    )
    columns = columns - left
    rows = rows - top
    wide = np.zeros((len(white), len(columns)))
    for tap, weights in enumerate(across):
        wide += white[:, columns + tap] * weights
    out = np.zeros((len(rows), len(columns)))
    for tap, weights in enumerate(down):
        out += wide[rows + tap] * weights[:, None]
    return out


def normal_of(words: Words) -> Float64Array:
    """Normal numbers of uniform words."""
    bits = words >> np.uint64(11)
    uniform = (bits.astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(special.ndtri(uniform))


def _taps(
    positions: Float64Array,
    step: float,
) -> tuple[IndexArray, Float64Array]:
    """First node of the noise's grid that acts on a position (N), and weights (_TAPS, N) whose
    squares sum to 1.
    """
    nearest = np.floor(positions / step).astype(np.intp)
    first = nearest - _REACH_STEPS
    nodes = first + np.arange(_TAPS)[:, None]
    gaps = (positions / step - nodes) / _STEPS_PER_SIGMA
    weights = np.exp(-0.5 * gaps**2)
    power = np.zeros(len(positions))
    for row in weights:
        power += row * row
    return first, np.asarray(weights / np.sqrt(power))
