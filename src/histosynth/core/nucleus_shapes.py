"""Sizes and shapes of nuclei, as far as they are known: an ellipse each.

Rows are (area in um2, elongation, angle in degrees): elongation is the long axis over the short
one, and the angle is that of the long axis, from the x axis towards the y axis, which points down.
An unknown nucleus has a row of nan.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .arrays import BoolArray, Float32Array
from .errors import BadNuclei
from .splats import raise_to_ellipses

SHAPE_NAMES = ("area_um2", "elongation", "angle")
MAX_AREA_UM2 = 2000.0
"""Of a nucleus; those of giant cells reach about a thousand."""
MAX_ELONGATION = 20.0
HALF_TURN = 180.0
_NUMBERS = len(SHAPE_NAMES)


def unknown_shapes(count: int) -> Float32Array:
    """Rows of nuclei whose shapes are not known, (N, 3)."""
    return np.full((count, _NUMBERS), np.nan, np.float32)


def known_shapes(shapes: Float32Array) -> BoolArray:
    """(N,) which rows are known."""
    return np.asarray(np.isfinite(shapes).all(axis=1))


def checked_shapes(
    values: ArrayLike,
    count: int,
    *,
    tile_um2: float,
) -> Float32Array:
    """Rows (N, 3) of a user: each of nan alone, or a nucleus.

    Elongation and angle may be nan beside an area: then it is round.

    Raises:
        BadNuclei: an area or an elongation that no nucleus has, an area larger than the tile, an
            angle without an area, or other shapes of the array.
    """
    shapes = np.array(values, np.float32)
    if shapes.shape != (count, _NUMBERS):
        raise BadNuclei(
            f"Shapes of {count} nuclei come as ({count}, {_NUMBERS}), not as {shapes.shape}.",
            f"Give the columns {', '.join(SHAPE_NAMES)}.",
        )
    area, elongation, angle = shapes.T
    has_area = ~np.isnan(area)
    largest = min(MAX_AREA_UM2, tile_um2)
    _refuse(
        "area_um2",
        area,
        has_area & ~((area > 0) & (area <= largest)),
        f"above 0 and at most {largest:,.0f} um2",
    )
    _refuse(
        "elongation",
        elongation,
        ~np.isnan(elongation) & ~((elongation >= 1) & (elongation <= MAX_ELONGATION)),
        f"from 1 (round) to {MAX_ELONGATION:g}",
    )
    _refuse("angle", angle, np.isinf(angle), "a number of degrees")
    alone = ~has_area & ~(np.isnan(elongation) & np.isnan(angle))
    _refuse("area_um2", area, alone, "given wherever elongation or angle is")
    shapes[:, 1] = np.where(has_area & np.isnan(elongation), 1, elongation)
    shapes[:, 2] = np.where(has_area & np.isnan(angle), 0, angle) % HALF_TURN
    return shapes


def _refuse(
    name: str,
    values: Float32Array,
    wrong: BoolArray,
    wanted: str,
) -> None:
    if not wrong.any():
        return
    first = int(np.flatnonzero(wrong)[0])
    raise BadNuclei(
        f"{int(wrong.sum())} of {len(values)} nuclei have an impossible {name} (first: row "
        f"{first + 1}, {values[first]:g}).",
        f"It must be {wanted}, or empty.",
    )


def turned_shapes(shapes: Float32Array, quarter_turns: int, *, mirrored: bool) -> Float32Array:
    """Rows after `np.rot90(pixels, quarter_turns)`, then `[:, ::-1]` if mirrored."""
    turned = shapes.copy()
    angle = shapes[:, 2] - HALF_TURN / 2 * quarter_turns
    if mirrored:
        angle = -angle
    turned[:, 2] = angle % HALF_TURN
    return turned


def ellipse_maps(
    xy: Float32Array,
    shapes: Float32Array,
    *,
    mpp: float,
    grid: tuple[int, int],
    cell: int,
) -> Float32Array:
    """Ellipses of nuclei on a grid of `cell` px: 1 at a centroid, 0.5 just inside its outline.

    Where two meet the larger value is taken, so that a line of lower ones parts them.

    Args:
        xy: (N, 2) centroids, px.
        shapes: (N, 3); unknown ones leave no trace.
        mpp: scale, um/px.
        grid: rows and columns.
        cell: side of a cell, px.

    Returns:
        (rows, columns) float32 in [0, 1].
    """
    out = np.zeros(grid, np.float32)
    has_area = ~np.isnan(shapes[:, 0])
    area, elongation, angle = shapes[has_area].astype(np.float64).T
    centres = (xy[has_area] - (cell - 1) / 2) / cell
    raise_to_ellipses(
        out,
        centres.astype(np.float64),
        np.sqrt(area / np.pi) / mpp / cell,
        elongation,
        np.radians(angle),
    )
    return out
