"""SSIM as a map, so that its mean can be taken over any region."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...core.arrays import Float64Array
from ...core.tile import Pixels

SIGMA_PX = 1.5
REACH_PX = 5
K1 = 0.01
K2 = 0.03
RANGE = 255.0


def ssim_map(first: Pixels, second: Pixels) -> Float64Array:
    """(H, W) structural similarity of two pictures (H, W, 3), mean of channels, in [-1, 1].

    Wang et al. 2004, eq. 13: windows of 11 x 11 px, Gaussian with sigma 1.5, on values 0..255.
    Pictures go on mirrored beyond their border.
    """
    one, two = (np.moveaxis(side, 2, 0).astype(np.float64) for side in (first, second))
    mean_1 = _smooth(one)
    mean_2 = _smooth(two)
    spread_1 = _smooth(one * one) - mean_1 * mean_1
    spread_2 = _smooth(two * two) - mean_2 * mean_2
    both = _smooth(one * two) - mean_1 * mean_2
    c1 = (K1 * RANGE) ** 2
    c2 = (K2 * RANGE) ** 2
    above = (2 * mean_1 * mean_2 + c1) * (2 * both + c2)
    below = (mean_1**2 + mean_2**2 + c1) * (spread_1 + spread_2 + c2)
    return np.asarray((above / below).mean(axis=0))


def _smooth(channels: Float64Array) -> Float64Array:
    """(3, H, W) under the window."""
    return np.asarray(
        ndimage.gaussian_filter(
            channels,
            (0, SIGMA_PX, SIGMA_PX),
            radius=(0, REACH_PX, REACH_PX),
        )
    )
