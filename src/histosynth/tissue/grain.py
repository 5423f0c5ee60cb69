"""Grain: the finest texture, which an autoencoder loses and a scanner leaves."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array

MIN_GRAIN_PX = 2000
"""Known pixels below which nothing is matched."""
GRAIN_SHARE = 0.6
"""Share of the missing grain that is given back. All of it (1.0) costs 1.3 % of perceptual distance
in the mask, since grain at other positions than the real one is no nearer to it; 0.6 costs 0.5 %
(docs/log.md)."""
MAX_GRAIN_GAIN = 2.0
"""Largest factor by which a band is raised."""
SIGMAS_PX = (0.7, 1.4, 2.8)
"""Bands of grain: below the first, between each two."""
GRAIN_CLEAR_PX = 4
"""Known pixels this near the mask do not count: the mask influences how they are generated."""


def match_grain(
    known: Float32Array,
    painted: Float32Array,
    distance_px: Float64Array,
) -> Float32Array:
    """Raise the fine bands of a generated tile to those of the known tissue.

    A generated tile covers the known tissue too, which shows how much grain generation loses: the
    gain of each band is the ratio of root mean squares of known and generated tissue outside the
    mask.

    Args:
        known: (H, W, 3) float32 in [0, 255].
        painted: (H, W, 3) float32 in [0, 255].
        distance_px: (H, W) distance to the mask in pixels, 0 inside it.

    Returns:
        (H, W, 3) float32 in [0, 255].
    """
    clear = distance_px > GRAIN_CLEAR_PX
    out = painted.copy()
    if clear.sum() < MIN_GRAIN_PX:
        return out
    real = known
    synthetic = painted
    for sigma in SIGMAS_PX:
        coarse_real = _smooth(real, sigma)
        coarse_synthetic = _smooth(synthetic, sigma)
        band = synthetic - coarse_synthetic
        wanted = (real - coarse_real)[clear]
        gain = _gain(wanted, band[clear])
        out += np.float32(GRAIN_SHARE * (gain - 1)) * band
        real = coarse_real
        synthetic = coarse_synthetic
    return np.clip(out, 0, 255, out=out)


def _gain(
    wanted: Float32Array,
    found: Float32Array,
) -> float:
    """Ratio of root mean squares, in [1, MAX_GRAIN_GAIN]."""
    wanted_power = float((wanted**2).mean())
    found_power = float((found**2).mean())
    ratio = np.sqrt(wanted_power / max(found_power, 1e-6))
    return float(np.clip(ratio, 1, MAX_GRAIN_GAIN))


def _smooth(
    image: Float32Array,
    sigma: float,
) -> Float32Array:
    return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0)))
