"""Grain: the finest texture, which an autoencoder loses and a scanner leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array

MIN_GRAIN_PX = 2000
"""Known pixels below which nothing is matched."""
GRAIN_SHARE = 0.6
MAX_GRAIN_GAIN = 2.0
"""How much of the missing grain is given back, and the most that a band is raised by. All of it
(1.0) costs
1.3 % of perceptual distance in the hole, since grain in other places than the real is no nearer to
it; 0.6 costs 0.5 % (docs/log.md)."""
SIGMAS_PX = (0.7, 1.4, 2.8)
"""Bands of grain: below the first, between each two."""
GRAIN_CLEAR_PX = 4
"""Known pixels this near the hole do not count: they are painted under its influence."""


def match_grain(
    known: Float32Array, painted: Float32Array, outside: NDArray[np.float64]
) -> Float32Array:
    """Raise the fine bands of a painting to what the known tissue has.

    A painting of a damaged tile covers the known tissue too, and tells there what is lost on the
        way: each
    band's gain is the ratio of root mean squares of known and painted tissue outside the hole.

    Args:
        known: (H, W, 3) float32 in [0, 255].
        painted: (H, W, 3) float32 in [0, 255].
        outside: (H, W) distance to the hole in pixels, 0 inside it.

    Returns:
        (H, W, 3) float32 in [0, 255].
    """
    clear = outside > GRAIN_CLEAR_PX
    out = painted.copy()
    real = known
    made = painted
    if clear.sum() < MIN_GRAIN_PX:
        return out
    for sigma in SIGMAS_PX:
        coarse_real, coarse_made = (_smooth(each, sigma) for each in (real, made))
        wanted = (real - coarse_real)[clear]
        found = (made - coarse_made)[clear]
        gain = np.sqrt(float((wanted**2).mean()) / max(float((found**2).mean()), 1e-6))
        out += np.float32(GRAIN_SHARE * (np.clip(gain, 1, MAX_GRAIN_GAIN) - 1)) * (
            made - coarse_made
        )
        real = coarse_real
        made = coarse_made
    return np.clip(out, 0, 255, out=out)


def _smooth(image: Float32Array, sigma: float) -> Float32Array:
    return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0)))
