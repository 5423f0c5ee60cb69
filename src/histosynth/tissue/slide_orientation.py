"""How fibres run on a slide: a field of axes of which any window can be drawn by itself.

The same field as `orientation_drawing` draws for one tile, but its noise belongs to places of the
slide. What is the same on a whole tile there changes over a millimetre here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float64Array
from ..core.geometry import Box
from ..core.nuclei import Nuclei
from ..core.orientation import ORIENTATION_CELL, FibreOrientation
from .orientation_statistics import (
    LENGTHS_UM,
    LIMIT,
    OrientationStatistics,
    log_mean_square,
    nucleus_densities,
)
from .position_hash import normal_at

_Field = NDArray[np.complex128]
MARGIN_PX = 128
"""Around a window, in which nuclei count for how strong fibres run inside; a multiple of the cell
of maps."""
_TILE_UM = 1000.0
"""Length of what is the same on a whole tile."""
_LEAST_SIGMA = 5.0
"""Cells of a coarser grid per standard deviation of its kernel."""
_TRUNCATE = 4.0
_STRONGEST = 0.95
_LEAST = 1e-6
_SPREAD_STREAM = 100
"""Of the seeds, apart from those of the lengths."""


def orientation_at(
    box: Box,
    nuclei: Nuclei,
    statistics: OrientationStatistics,
    *,
    seed: int,
) -> FibreOrientation:
    """The map of axes of a window of a slide.

    Args:
        box: the window, px of the slide; its corner lies on the grid of maps.
        nuclei: of the window with `MARGIN_PX` around it: they decide how strong it is.
        statistics: of tiles.
        seed: of the slide.

    Raises:
        ValueError: the corner is not on the grid.
    """
    outer = Box(
        box.x - MARGIN_PX,
        box.y - MARGIN_PX,
        box.width + 2 * MARGIN_PX,
        box.height + 2 * MARGIN_PX,
    )
    inside = box.shift(-outer.x, -outer.y)
    if box.x % ORIENTATION_CELL or box.y % ORIENTATION_CELL:
        raise ValueError(f"a box at {box.x},{box.y} is not on the grid of {ORIENTATION_CELL}")
    cell_um = ORIENTATION_CELL * nuclei.mpp
    places = _cells_of(outer)
    field = np.zeros(places.size.shape, np.complex128)
    for stream, (share, length_um) in enumerate(_lengths(statistics)):
        if share > 0:
            drawn = smooth_noise_at(
                places,
                length_um / cell_um,
                seed=seed + stream,
                count=2,
            )
            field += np.sqrt(share / 2) * (drawn[0] + 1j * drawn[1])
    (spread,) = smooth_noise_at(
        places,
        _TILE_UM / cell_um,
        seed=seed + _SPREAD_STREAM,
        count=1,
    )
    strengths = np.array(statistics.strengths)
    log_square = log_mean_square(nucleus_densities(nuclei), strengths)
    # its mean is 1 whatever the spread
    log_square = log_square + statistics.spread * spread - statistics.spread**2 / 2
    field = field * np.exp(log_square.clip(-LIMIT, 0) / 2)
    strength = np.abs(field)
    field = field * np.minimum(1, _STRONGEST / np.maximum(strength, _LEAST))
    axes = np.stack(
        [field.real, field.imag],
        axis=-1,
    )
    whole = FibreOrientation(axes.astype(np.float32), outer.size)
    return whole.crop(inside)


def _lengths(statistics: OrientationStatistics) -> Iterator[tuple[float, float]]:
    """Shares of the variance, and their lengths, um."""
    yield from zip(
        statistics.shares,
        LENGTHS_UM,
        strict=True,
    )
    yield statistics.constant_share, _TILE_UM


def _cells_of(box: Box) -> Box:
    """The cells of a map of a window, counted from the slide's corner."""
    return Box(
        box.x // ORIENTATION_CELL,
        box.y // ORIENTATION_CELL,
        -(-box.width // ORIENTATION_CELL),
        -(-box.height // ORIENTATION_CELL),
    )


def smooth_noise_at(
    places: Box,
    length: float,
    *,
    seed: int,
    count: int,
) -> Float64Array:
    """Gaussian noise of variance 1 whose covariance is a Gaussian, of the places of a window.

    Long lengths are drawn on a coarser grid of places and interpolated, so that a window costs the
    same whatever the length.

    Args:
        places: the window.
        length: standard deviation of the covariance, in places.
        seed: of the noise.
        count: independent fields.

    Returns:
        (count, height, width); windows that hold the same place agree to rounding.
    """
    sigma = length / np.sqrt(2)
    coarsening = max(int(np.log2(max(sigma / _LEAST_SIGMA, 1))), 0)
    step = 2**coarsening
    sigma /= step
    reach = int(_TRUNCATE * sigma + 0.5)
    first_x, last_x = places.x // step, -(-places.right // step)
    first_y, last_y = places.y // step, -(-places.bottom // step)
    columns = last_x - first_x + 1
    rows = last_y - first_y + 1
    white = normal_at(
        seed,
        first_x - reach,
        first_y - reach,
        width=columns + 2 * reach,
        height=rows + 2 * reach,
        count=count,
    )
    weights = np.exp(-((np.arange(-reach, reach + 1) / sigma) ** 2) / 2)
    weights /= np.sqrt(np.square(weights).sum())
    across = ndimage.correlate1d(
        white,
        weights,
        axis=2,
    )
    smooth = ndimage.correlate1d(
        across,
        weights,
        axis=1,
    )[:, reach : reach + rows, reach : reach + columns]
    if step == 1:
        return np.asarray(smooth[:, : places.height, : places.width])
    y = (np.arange(places.y, places.bottom) / step) - first_y
    x = (np.arange(places.x, places.right) / step) - first_x
    return _interpolated(smooth, y, x)


def _interpolated(
    fields: Float64Array,
    y: Float64Array,
    x: Float64Array,
) -> Float64Array:
    """Fields (N, rows, columns) at rows y and columns x, linearly: (N, len(y), len(x))."""
    top = np.floor(y).astype(np.intp)
    left = np.floor(x).astype(np.intp)
    down = (y - top)[:, None]
    right = x - left
    bottom = np.minimum(top + 1, fields.shape[1] - 1)
    beyond = np.minimum(left + 1, fields.shape[2] - 1)
    upper = fields[:, top] * (1 - down) + fields[:, bottom] * down
    return np.asarray(upper[:, :, left] * (1 - right) + upper[:, :, beyond] * right)
