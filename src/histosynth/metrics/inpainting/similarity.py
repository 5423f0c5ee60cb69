"""SSIM as a map, so that its mean can be taken over any region."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...core.arrays import Float64Array
from ...core.tile import Pixels

SIGMA_PX = 1.5
SSIM_REACH_PX = 5
_K1 = 0.01
_K2 = 0.03
_RANGE = 255.0


def ssim_map(first: Pixels, second: Pixels) -> Float64Array:
    """(H, W) structural similarity of two pictures (H, W, 3), mean of channels, in [-1, 1].

    Wang et al. 2004, eq. 13: windows of 11 x 11 px, Gaussian with sigma 1.5, on values 0..255.
    Pictures are mirrored beyond their border.
    """
    x = np.moveaxis(first, 2, 0).astype(np.float64)
    y = np.moveaxis(second, 2, 0).astype(np.float64)
    mean_x = _smooth(x)
    mean_y = _smooth(y)
    variance_x = _smooth(x * x) - mean_x * mean_x
    variance_y = _smooth(y * y) - mean_y * mean_y
    covariance = _smooth(x * y) - mean_x * mean_y
    c1 = (_K1 * _RANGE) ** 2
    c2 = (_K2 * _RANGE) ** 2
    means_product = 2 * mean_x * mean_y + c1
    means_squares = mean_x**2 + mean_y**2 + c1
    numerator = means_product * (2 * covariance + c2)
    denominator = means_squares * (variance_x + variance_y + c2)
    similarity = numerator / denominator
    return np.asarray(similarity.mean(axis=0))


def _smooth(channels: Float64Array) -> Float64Array:
    """(3, H, W) under the window."""
    smoothed = ndimage.gaussian_filter(
        channels,
        (0, SIGMA_PX, SIGMA_PX),
        radius=(0, SSIM_REACH_PX, SSIM_REACH_PX),
    )
    return np.asarray(smoothed)
