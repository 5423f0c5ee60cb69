"""Maps of nuclei, all of a tile at once: a Gaussian or an ellipse each, the larger value where two
meet.
"""

from __future__ import annotations

import numpy as np

from .arrays import Float32Array, Float64Array, FloatArray, IndexArray

_MAX_VALUES = 1 << 20
"""Values that are computed at a time."""


def raise_to_gaussians(
    grid: Float32Array,
    centres: FloatArray,
    peaks: FloatArray,
    *,
    cell: int,
    sigma_px: float,
) -> None:
    """Raise a map (h, w) to Gaussians, each cut off at 3 sigma.

    Args:
        grid: changed in place.
        centres: (N, 2) in cells, columns x and y.
        peaks: (N,) value at the centre of each.
        cell: side of a cell, px.
        sigma_px: standard deviation, px.
    """
    radius = int(np.ceil(3 * sigma_px / cell))
    window = np.arange(-radius, radius + 1)
    scale = -((cell / sigma_px) ** 2) / 2
    count = _at_a_time(len(window))
    for first in range(0, len(centres), count):
        part = slice(first, first + count)
        nearest = np.rint(centres[part]).astype(np.intp)
        columns, rows = nearest.T[..., None] + window
        x, y = centres[part].T[..., None]
        across = np.exp(scale * (columns - x) ** 2)
        down = np.exp(scale * (rows - y) ** 2)
        down = peaks[part, None] * down
        _raise(
            grid,
            rows,
            columns,
            down[:, :, None] * across[:, None],
        )


def raise_to_ellipses(
    grid: Float32Array,
    centres: Float64Array,
    radii: Float64Array,
    elongations: Float64Array,
    angles: Float64Array,
) -> None:
    """Raise a map (h, w) to ellipses: 1 at a centre, 0.5 just inside the outline.

    Args:
        grid: changed in place.
        centres: (N, 2) in cells, columns x and y.
        radii: (N,) of discs of their areas, in cells.
        elongations: (N,) long axis over short axis.
        angles: (N,) of the long axis, radians from x towards y.
    """
    reaches = radii * np.sqrt(elongations) + 1
    sides = (2 * np.ceil(reaches) + 1).astype(np.intp)
    # windows of one size are computed at once, and sizes are few
    sizes = 2 ** np.ceil(np.log2(sides)).astype(np.intp)
    for side in np.unique(sizes).tolist():
        chosen = np.flatnonzero(sizes == side)
        count = _at_a_time(side)
        for first in range(0, len(chosen), count):
            part = chosen[first : first + count]
            _raise_to_windows(
                grid,
                centres[part],
                radii[part],
                elongations[part],
                angles[part],
                side=side,
            )


def _raise_to_windows(
    grid: Float32Array,
    centres: Float64Array,
    radii: Float64Array,
    elongations: Float64Array,
    angles: Float64Array,
    *,
    side: int,
) -> None:
    x, y = centres.T[..., None]
    radius = radii[:, None, None]
    elongation = elongations[:, None, None]
    angle = angles[:, None, None]
    long_axis = radius * np.sqrt(elongation)
    reach = long_axis[:, 0] + 1
    window = np.arange(side)
    columns = np.floor(x - reach).astype(np.intp) + window
    rows = np.floor(y - reach).astype(np.intp) + window
    dx = (columns - x)[:, None]
    dy = (rows - y)[:, :, None]
    cosine = np.cos(angle)
    sine = np.sin(angle)
    turned_x = dx * cosine + dy * sine
    turned_y = dy * cosine - dx * sine
    along = turned_x / long_axis
    across = turned_y * elongation / long_axis
    squared = along**2 + across**2
    distance = np.sqrt(squared)
    inside = ((1 - distance) * radius + 0.5).clip(0, 1)
    value = (1 - squared / 2).clip(0, 1) * inside
    # the edges of a long thin one end where its window does
    has_column = columns <= np.ceil(x + reach)
    has_row = rows <= np.ceil(y + reach)
    value *= has_column[:, None]
    value *= has_row[:, :, None]
    _raise(
        grid,
        rows,
        columns,
        value,
    )


def _raise(
    grid: Float32Array,
    rows: IndexArray,
    columns: IndexArray,
    values: Float64Array,
) -> None:
    """Raise a map (h, w) to values (N, r, c) at rows (N, r) and columns (N, c), where it has
    such.
    """
    height, width = grid.shape
    is_row = (rows >= 0) & (rows < height)
    is_column = (columns >= 0) & (columns < width)
    there = is_row[:, :, None] & is_column[:, None]
    first_of_row = rows[:, :, None] * width
    places = first_of_row + columns[:, None]
    np.maximum.at(
        grid.reshape(-1),
        places[there],
        values[there].astype(np.float32),
    )


def _at_a_time(side: int) -> int:
    return max(_MAX_VALUES // side**2, 1)
