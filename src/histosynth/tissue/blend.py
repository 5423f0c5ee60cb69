"""Painted tissue into a hole: known pixels bit for bit, and no step in colour at the edge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.tile import Mask, Pixels
from .grain import match_grain
from .hue import measure_hue

RING_PX = 6
"""Pixels this near the edge, on either side, tell how far the painting is off there."""
BAND_PX = 24
"""Width of the band inside the hole over which that offset fades out."""
COARSE_PX = 4
"""Pixels per cell where wide blurs are computed."""
ACROSS_SHARE = 0.25
"""Share of the offset that is taken across the edge (known outside, painted inside); the rest
compares known and painted at the same pixels outside. Chosen so that colours change across a hole's
edge about as much as across the same line in real tissue: 0.97 of it (docs/log.md)."""


def paste(
    known: Pixels,
    painted: Float32Array,
    mask: Mask,
    *,
    copied: tuple[Pixels, Float32Array] | None = None,
) -> Pixels:
    """Put painted tissue into the hole of a tile.

    The painting covers known tissue too, which tells its grain; known tissue tells the hue. Both
    are matched first. Then the smoothed difference at the edge is carried into the hole and fades
    within
    `BAND_PX`: the low-frequency part of Poisson blending (Perez et al. 2003), without letting one
        edge
    tint the whole hole.

    Args:
        known: (H, W, 3) uint8; returned unchanged outside the hole.
        painted: (H, W, 3) float32 in [0, 255], the whole tile.
        mask: (H, W) bool.
        copied: (H, W, 3) uint8 and (H, W) in [0, 1]: tissue that is right as it is, and its share.

    Returns:
        (H, W, 3) uint8, equal to `known` wherever `mask` is False.
    """
    out = known.copy()
    depth = np.asarray(ndimage.distance_transform_edt(mask))
    outside = np.asarray(ndimage.distance_transform_edt(~mask))
    painted = np.clip(painted, 0, 255)
    # what stands in the hole is not looked at
    real = np.where(mask[..., None], painted, known.astype(np.float32))
    filled = beside = match_grain(real, painted, outside)
    if (curve := measure_hue(real[~mask])) is not None and mask.any():
        # each side is off by its own amount: a painting may be right outside and drift inside
        filled, beside = curve.apply(filled, mask), curve.apply(filled, ~mask)
    ring = ~mask & (outside <= RING_PX)
    if ring.any():
        here = _extended(real - beside, ring)
        rim = mask & (depth <= RING_PX)
        across = _extended(
            _smooth_near(real, ring) - _smooth_near(filled, rim), mask & (depth <= RING_PX / 2)
        )
        offset = ACROSS_SHARE * across + (1 - ACROSS_SHARE) * here
        fade = 0.5 + 0.5 * np.cos(np.pi * np.clip(depth / BAND_PX, 0, 1))
        band = mask & (depth <= BAND_PX)
        filled[band] += (offset * fade[..., None].astype(np.float32))[band]
    if copied is not None:
        kept, share = copied
        filled += share[..., None] * (kept - filled)
    out[mask] = filled[mask].round().clip(0, 255).astype(np.uint8)
    return out


def _smooth_near(image: Float32Array, where: Mask) -> Float32Array:
    """Mean of an image over `where`, as seen from each pixel: normalised Gaussian convolution."""
    return _normalised(image, where, ((float(RING_PX), 1.0),))


def _extended(difference: Float32Array, ring: Mask) -> Float32Array:
    """Smooth extension of values on the ring to everywhere: normalised Gaussian convolution.

    A narrow Gaussian decides where it reaches, wider ones farther in.
    """
    return _normalised(difference, ring, ((5.0, 1.0), (12.0, 1e-2), (30.0, 1e-4)))


def _normalised(
    image: Float32Array, where: Mask, scales: tuple[tuple[float, float], ...]
) -> Float32Array:
    weight = where.astype(np.float32)
    stacked = np.dstack([image * weight[..., None], weight])
    spread = np.zeros_like(stacked)
    for sigma, share in scales:
        spread += np.float32(share) * _blurred(stacked, sigma)
    return np.asarray(spread[..., :3] / np.maximum(spread[..., 3:], 1e-9), dtype=np.float32)


def _blurred(stacked: Float32Array, sigma: float) -> Float32Array:
    """Gaussian blur of (H, W, C); wide ones on a grid of `COARSE_PX` px: nearly the same, and much
    faster.
    """
    if sigma < 3 * COARSE_PX:
        return np.asarray(ndimage.gaussian_filter(stacked, (sigma, sigma, 0), truncate=3))
    height, width, channels = stacked.shape
    padded = np.pad(stacked, ((0, -height % COARSE_PX), (0, -width % COARSE_PX), (0, 0)))
    cells = padded.reshape(
        len(padded) // COARSE_PX,
        COARSE_PX,
        -1,
        COARSE_PX,
        channels,
    ).mean(axis=(1, 3))
    smooth = ndimage.gaussian_filter(cells, (sigma / COARSE_PX, sigma / COARSE_PX, 0), truncate=3)
    middle = (COARSE_PX - 1) / 2
    rows, columns = ((np.arange(side) - middle) / COARSE_PX for side in (height, width))
    return _between(_between(smooth, rows, 0), columns, 1)


def _between(cells: Float32Array, places: NDArray[np.float64], axis: int) -> Float32Array:
    """Linear interpolation along an axis, constant beyond the ends."""
    places = np.clip(places, 0, cells.shape[axis] - 1)
    low = np.minimum(places.astype(int), max(cells.shape[axis] - 2, 0))
    high = np.minimum(low + 1, cells.shape[axis] - 1)
    part = (
        (places - low).astype(np.float32).reshape([-1 if each == axis else 1 for each in range(3)])
    )
    return np.asarray(cells.take(low, axis) * (1 - part) + cells.take(high, axis) * part)
