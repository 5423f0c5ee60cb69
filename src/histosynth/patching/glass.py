"""Glass in a region to paint: a stroke of pen that crosses an edge of tissue hides glass too.

What lies on both sides of a place decides what it is: each place in the region is on a line across
it, from the nearest known place straight on to the other side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.tile import Mask, Pixels
from ..tissue.empty import find_empty
from .nuclei import filled_smoothly

_CELL_PX = 4
_EDGE_PX = 12
"""Known pixels nearer than this to the region may show some of what is to be removed."""
_LEAST_CELLS = 5
"""Narrower gaps between fibres, 20 um wide, are ground, and the network's."""
_SMOOTH_CELLS = 2.0
_GLASS_SHARE = 0.65
"""What is glass in so much of its surroundings is glass: the network decides at the edge."""
_PATCH_PX = 8
_LEAST_PATCHES = 16
_MOST_GRAIN = 8.0
_STEP_CELLS = 0.5


def with_glass(
    pixels: Pixels,
    mask: Mask,
    *,
    mpp: float,
    seed: int,
) -> tuple[Pixels, Mask]:
    """A canvas whose region is filled with glass where glass lies on both sides.

    Args:
        pixels: (H, W, 3) uint8; values inside the mask are not used.
        mask: (H, W) bool.
        mpp: micrometres per pixel.
        seed: chooses the glass that is copied.

    Returns:
        The pixels with glass, and what is left of the mask for tissue.
    """
    smooth = filled_smoothly(pixels, mask)
    empty = find_empty(smooth, mpp=mpp) & ~mask
    share = glass_share(empty, mask)
    glass = mask & (share > _GLASS_SHARE)
    if not glass.any():
        return pixels, mask
    filled = _filled_with_glass(
        pixels,
        smooth,
        glass,
        empty,
        seed,
    )
    return filled, mask & ~glass


def glass_share(empty: Mask, mask: Mask) -> Float32Array:
    """(H, W) share of glass in what lies on both sides of each place, in [0, 1].

    Args:
        empty: (H, W) bool, known glass.
        mask: (H, W) bool, what is not known.
    """
    height, width = mask.shape
    unknown = ndimage.binary_dilation(mask, iterations=_EDGE_PX)
    if unknown.all():
        return np.zeros(mask.shape, np.float32)
    cells = _cells(unknown).any(axis=(1, 3))
    is_wide = np.asarray(_cells(empty | unknown).all(axis=(1, 3)))
    whole = ndimage.binary_opening(
        is_wide,
        iterations=_LEAST_CELLS,
    )
    glass = _cells(empty).mean(axis=(1, 3)) * whole
    if cells.all():
        return np.zeros(mask.shape, np.float32)
    shares = _across(glass.astype(np.float32), np.asarray(cells))
    shares = ndimage.gaussian_filter(shares, _SMOOTH_CELLS)
    wide = np.repeat(
        np.repeat(
            shares,
            _CELL_PX,
            axis=0,
        ),
        _CELL_PX,
        axis=1,
    )
    return np.asarray(wide[:height, :width])


def _cells(values: Mask) -> NDArray[np.generic]:
    """(h, 4, w, 4) of pixels (H, W), the last ones repeated."""
    height, width = values.shape
    spare = ((0, -height % _CELL_PX), (0, -width % _CELL_PX))
    padded = np.pad(
        values,
        spare,
        mode="edge",
    )
    return padded.reshape(
        padded.shape[0] // _CELL_PX,
        _CELL_PX,
        -1,
        _CELL_PX,
    )


def _across(values: Float32Array, unknown: Mask) -> Float32Array:
    """Values of known cells, between which the unknown ones are interpolated along lines."""
    depth, nearest = ndimage.distance_transform_edt(unknown, return_indices=True)
    rows, columns = np.nonzero(unknown)
    near_rows = nearest[0][rows, columns]
    near_columns = nearest[1][rows, columns]
    distance = depth[rows, columns]
    down = (rows - near_rows) / distance
    across = (columns - near_columns) / distance
    far = np.full(len(rows), np.inf)
    opposite = values[near_rows, near_columns].copy()
    last = unknown.shape[0] - 1, unknown.shape[1] - 1
    step = 1.0
    while step < 4 * float(depth.max()) + 2:
        open_ones = np.flatnonzero(np.isinf(far))
        if not len(open_ones):
            break
        y = (rows[open_ones] + step * down[open_ones]).round().astype(int)
        x = (columns[open_ones] + step * across[open_ones]).round().astype(int)
        is_inside = (y >= 0) & (x >= 0) & (y <= last[0]) & (x <= last[1])
        y, x = y.clip(0, last[0]), x.clip(0, last[1])
        is_known = is_inside & ~unknown[y, x]
        chosen = open_ones[is_known]
        far[chosen] = step
        opposite[chosen] = values[y[is_known], x[is_known]]
        step += _STEP_CELLS
    share = distance / (distance + far)  # 0 where nothing known lies on the other side
    own = values[near_rows, near_columns]
    out = values.copy()
    out[rows, columns] = own * (1 - share) + opposite * share
    return out


def _filled_with_glass(
    pixels: Pixels,
    smooth: Pixels,
    glass: Mask,
    empty: Mask,
    seed: int,
) -> Pixels:
    """The colour of the glass around, with the grain of patches of known glass."""
    out = pixels.copy()
    colour = filled_smoothly(pixels, ~empty).astype(np.float32)
    inner = ndimage.binary_erosion(empty, iterations=3 * _PATCH_PX)
    rows, columns = np.nonzero(inner[:-_PATCH_PX, :-_PATCH_PX])
    filled = colour if empty.any() else smooth.astype(np.float32)
    if len(rows) >= _LEAST_PATCHES:
        residual = (pixels - _local_mean(pixels)).clip(-_MOST_GRAIN, _MOST_GRAIN)
        random = np.random.default_rng(seed)
        height, width = glass.shape
        for y in range(
            0,
            height,
            _PATCH_PX,
        ):
            for x in range(
                0,
                width,
                _PATCH_PX,
            ):
                place = (slice(y, y + _PATCH_PX), slice(x, x + _PATCH_PX))
                if not glass[place].any():
                    continue
                number = int(random.integers(len(rows)))
                top, left = rows[number], columns[number]
                part = residual[top : top + _PATCH_PX, left : left + _PATCH_PX]
                target = filled[place]
                target += part[: target.shape[0], : target.shape[1]]
    out[glass] = filled[glass].round().clip(0, 255).astype(np.uint8)
    return out


def _local_mean(pixels: Pixels) -> Float32Array:
    side = 4 * _PATCH_PX + 1
    means: Float32Array = ndimage.uniform_filter(
        pixels.astype(np.float32),
        (
            side,
            side,
            0,
        ),
    )
    return means
