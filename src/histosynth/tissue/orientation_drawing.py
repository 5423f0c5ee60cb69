"""Maps of how fibres run, drawn for tiles that state nothing of it, or only in places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from ..core.arrays import Float64Array
from ..core.nuclei import Nuclei
from ..core.orientation import ORIENTATION_CELL, FibreOrientation, orientation_cells
from .orientation_statistics import (
    LENGTHS_UM,
    LIMIT,
    OrientationStatistics,
    log_mean_square,
    nucleus_densities,
)

ComplexField = NDArray[np.complex128]
_STREAM = 0x0F1B
"""Of random numbers, apart from others of the same seed."""
_STRONGEST = 0.95
_LEAST = 1e-6
_MARGIN = 2.0
"""Of the longest length, between a map and its copy in the periodic field."""
_MOST_KNOWN = 1500
"""Cells that a map is led through; of more, some at random."""
_UNCERTAIN = 0.02
"""Variance of what is known: lines of a user may contradict each other."""


def draw_orientation(
    nuclei: Nuclei,
    statistics: OrientationStatistics,
    *,
    seed: int,
    known: FibreOrientation | None = None,
) -> FibreOrientation:
    """A map of axes for a tile, as fibres run in tissue with such nuclei.

    Args:
        nuclei: of the tile: they decide how strong it is, not how it runs.
        statistics: of other tiles.
        seed: any whole number.
        known: what the map has to pass through; None: it is free.
    """
    random = np.random.default_rng([seed % 2**63, _STREAM])
    cell_um = ORIENTATION_CELL * nuclei.mpp
    shape = orientation_cells(nuclei.size)
    field = _draw_field(
        shape,
        statistics,
        cell_um,
        random,
    )
    strengths = np.array(statistics.strengths)
    log_square = log_mean_square(nucleus_densities(nuclei), strengths)
    # its mean is 1 whatever the spread
    log_square = log_square + statistics.spread * random.normal() - statistics.spread**2 / 2
    amplitude = np.exp(log_square.clip(-LIMIT, 0) / 2)
    if known is not None and known.known.any():
        wanted = _complex_of(known.axes) / amplitude
        field = _through(
            field,
            wanted,
            known.known,
            statistics,
            cell_um=cell_um,
        )
    field = field * amplitude
    strength = np.abs(field)
    field = field * np.minimum(1, _STRONGEST / np.maximum(strength, _LEAST))
    axes = np.stack(
        [field.real, field.imag],
        axis=-1,
    )
    if known is not None:
        axes = np.where(
            known.known[..., None],
            known.axes,
            axes,
        )
    return FibreOrientation(axes.astype(np.float32), nuclei.size)


def _complex_of(axes: NDArray[np.floating]) -> ComplexField:
    return np.asarray(axes[..., 0] + 1j * axes[..., 1])


def _through(
    field: ComplexField,
    wanted: ComplexField,
    known: NDArray[np.bool_],
    statistics: OrientationStatistics,
    *,
    cell_um: float,
) -> ComplexField:
    """A random field, changed so that it passes near what is wanted: simple kriging of the rest.

    Args:
        field: (h, w) of mean square 1.
        wanted: (h, w), read where it is known.
        known: (h, w).
        statistics: of the field.
        cell_um: side of a cell.
    """
    rows, columns = np.nonzero(known)
    if len(rows) > _MOST_KNOWN:
        # at random: every so-maniest would leave whole lines out
        order = np.random.default_rng(0).permutation(len(rows))
        chosen = np.sort(order[:_MOST_KNOWN])
        rows = rows[chosen]
        columns = columns[chosen]
    between = np.full((len(rows), len(rows)), statistics.constant_share)
    for share, length in _lengths(statistics, cell_um):
        between += share * _gaussian(rows, rows, length) * _gaussian(columns, columns, length)
    between[np.diag_indices(len(rows))] += _UNCERTAIN
    lacking = wanted[rows, columns] - field[rows, columns]
    weights = np.linalg.solve(between, lacking)
    change = np.full(field.shape, statistics.constant_share * weights.sum())
    height, width = field.shape
    for share, length in _lengths(statistics, cell_um):
        down = _gaussian(np.arange(height), rows, length)
        across = _gaussian(np.arange(width), columns, length)
        change += share * (down * weights) @ across.T
    return np.asarray(field + change)


def _lengths(
    statistics: OrientationStatistics,
    cell_um: float,
) -> Iterator[tuple[float, float]]:
    """Shares of the variance, and their lengths in cells."""
    for share, length_um in zip(
        statistics.shares,
        LENGTHS_UM,
        strict=True,
    ):
        yield share, length_um / cell_um


def _gaussian(
    one: NDArray[np.integer],
    other: NDArray[np.integer],
    length: float,
) -> Float64Array:
    """(N, M) of the distances along one axis between places (N) and (M)."""
    distance = (one[:, None] - other[None]) / length
    return np.asarray(np.exp(-(distance**2) / 2))


def _draw_field(
    shape: tuple[int, int],
    statistics: OrientationStatistics,
    cell_um: float,
    random: np.random.Generator,
) -> ComplexField:
    """(h, w) of mean 0 and mean square 1, cut out of a periodic field."""
    margin = round(_MARGIN * LENGTHS_UM[-1] / cell_um)
    rows, columns = (fft.next_fast_len(side + margin) for side in shape)
    along_y = 2 * np.pi * fft.fftfreq(rows)[:, None]
    along_x = 2 * np.pi * fft.fftfreq(columns)[None, :]
    square = along_y**2 + along_x**2
    power = np.zeros((rows, columns))
    for share, length in _lengths(statistics, cell_um):
        power += share * 2 * np.pi * length**2 * np.exp(-square * length**2 / 2)
    noise = _complex_noise((rows, columns), random)
    field = fft.ifft2(noise * np.sqrt(power * rows * columns))
    constant = _complex_noise((1, 1), random) * np.sqrt(statistics.constant_share)
    return np.asarray(field[: shape[0], : shape[1]] + constant)


def _complex_noise(
    shape: tuple[int, int],
    random: np.random.Generator,
) -> ComplexField:
    """Gaussian, of mean square 1."""
    real, imaginary = random.normal(
        0,
        np.sqrt(0.5),
        (2, *shape),
    )
    return np.asarray(real + 1j * imaginary)
