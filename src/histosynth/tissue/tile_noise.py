"""How noisy a tile is, which says how strong its grain is; and whether JPEG has flattened it."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.tile import Mask, Pixels

MIN_NOISE_PX = 2000
"""Pixels of tissue below which noise is not measured."""
MIN_EVEN_PX = 500
"""Pixels of even tissue below which its noise is that of all."""
MAX_EVEN_SLOPE = 3.0
"""Smoothed grey levels per px below which tissue is even."""
MAX_BLOCK_STEP = 1.1
"""Mean step across the grid of 8 px, of that elsewhere, above which a tile counts as JPEG blocks:
1.03 at most in 82 tiles of lossless tissue, 1.09 at least at JPEG quality 70."""
JPEG_BLOCK_PX = 8
_SMOOTH_PX = 1.0
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
# mean |response| of the filter to white noise of standard deviation 1 is 6 sqrt(2 / pi)
_TO_STD = np.float32(np.sqrt(np.pi / 2) / 6)


def measure_noise(canonical: Float32Array, tissue: Mask) -> Float32Array | None:
    """Standard deviation of the noise of each channel (Immerkaer 1996), grey levels.

    Args:
        canonical: (H, W, 3) float32 in [0, 255], canonical stain.
        tissue: (H, W) bool, the pixels that count; those beside others do not.

    Returns:
        (2, 3) of all tissue, and of even tissue (of all where there is too little of that); None
        where fewer than `MIN_NOISE_PX` count.
    """
    inside = np.asarray(
        ndimage.binary_erosion(
            tissue,
            np.ones((3, 3), bool),
        )
    )
    if inside.sum() < MIN_NOISE_PX:
        return None
    slope = _slope(canonical)
    even = inside & (slope < MAX_EVEN_SLOPE)
    if even.sum() < MIN_EVEN_PX:
        even = inside
    noise = np.empty((2, 3), np.float32)
    for channel in range(3):
        response = ndimage.convolve(
            canonical[..., channel],
            _LAPLACIAN,
        )
        size = _TO_STD * np.abs(response)
        noise[0, channel] = size[inside].mean()
        noise[1, channel] = size[even].mean()
    return noise


def _slope(canonical: Float32Array) -> Float32Array:
    """(H, W) how steep the smoothed mean of channels is, grey levels per px."""
    third = np.full(
        3,
        1 / 3,
        np.float32,
    )
    smooth = np.asarray(ndimage.gaussian_filter(canonical @ third, _SMOOTH_PX))
    padded = np.pad(
        smooth,
        1,
        mode="edge",
    )
    across = padded[1:-1, 2:] - padded[1:-1, :-2]
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    slope: Float32Array = np.hypot(across, down) / 2
    return slope


def has_jpeg_blocks(pixels: Pixels) -> bool:
    """Whether steps on a grid of 8 px, wherever it begins, are larger than steps elsewhere."""
    mean = np.full(
        3,
        1 / 3,
        np.float32,
    )
    grey = pixels @ mean
    down = np.diff(grey, axis=0)
    across = np.diff(grey, axis=1)
    by_row = np.abs(down).mean(axis=1)
    by_column = np.abs(across).mean(axis=0)
    step_down = _largest_step(by_row)
    step_across = _largest_step(by_column)
    return step_down * step_across > MAX_BLOCK_STEP**2


def _largest_step(steps: Float32Array) -> float:
    """Mean of steps (N,) at the grid's largest offset over the median of all offsets; 1 where
    undefined.
    """
    whole = len(steps) // JPEG_BLOCK_PX
    if not whole:
        return 1.0
    counted = steps[: whole * JPEG_BLOCK_PX]
    by_offset = counted.reshape(whole, JPEG_BLOCK_PX).mean(axis=0)
    median = float(np.median(by_offset))
    if median <= 0:
        return 1.0
    return float(by_offset.max()) / median
