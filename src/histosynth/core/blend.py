"""Painted tissue into a hole: known pixels bit for bit, and no step in colour at the edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .tile import Mask, Pixels

RING_PX = 6
"""Known pixels this near the hole tell how far the painting is off there."""
BAND_PX = 24
"""Width of the band inside the hole over which that offset fades out."""


def paste(known: Pixels, painted: NDArray[np.float32], hole: Mask) -> Pixels:
    """Put painted tissue into the hole of a tile.

    The painting covers known tissue too, so just outside the hole both are there to compare. Their
    smoothed difference is carried into the hole and fades within `BAND_PX`: the low-frequency
    part of Poisson blending (Perez et al. 2003), without letting one edge tint the whole hole.

    Args:
        known: (H, W, 3) uint8; returned unchanged outside the hole.
        painted: (H, W, 3) float32 in [0, 255], the whole tile.
        hole: (H, W) bool.

    Returns:
        (H, W, 3) uint8, equal to `known` wherever `hole` is False.
    """
    out = known.copy()
    depth = np.asarray(ndimage.distance_transform_edt(hole))
    band = hole & (depth <= BAND_PX)
    ring = ~hole & (ndimage.distance_transform_edt(~hole) <= RING_PX)
    filled = painted.astype(np.float32, copy=True)
    if ring.any():
        offset = _extended(known.astype(np.float32) - painted, ring)
        fade = 0.5 + 0.5 * np.cos(np.pi * np.clip(depth / BAND_PX, 0, 1))
        filled[band] += (offset * fade[..., None].astype(np.float32))[band]
    out[hole] = filled[hole].round().clip(0, 255).astype(np.uint8)
    return out


def _extended(difference: NDArray[np.float32], ring: Mask) -> NDArray[np.float32]:
    """Smooth extension of values on the ring to everywhere: normalised Gaussian convolution.

    A narrow Gaussian decides where it reaches, wider ones farther in.
    """
    weight = ring.astype(np.float32)
    stacked = np.dstack([difference * weight[..., None], weight])
    spread = np.zeros_like(stacked)
    for sigma, share in ((5.0, 1.0), (12.0, 1e-2), (30.0, 1e-4)):
        for channel in range(4):
            smooth = ndimage.gaussian_filter(stacked[..., channel], sigma, truncate=3)
            spread[..., channel] = spread[..., channel] + share * smooth
    return np.asarray(spread[..., :3] / np.maximum(spread[..., 3:], 1e-9), dtype=np.float32)
