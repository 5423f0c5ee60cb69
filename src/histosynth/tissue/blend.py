"""Generated tissue pasted into a mask: known pixels bit for bit, and no colour step at the edge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array
from ..core.tile import Mask, Pixels
from .grain import match_grain
from .hue import measure_hue

RING_PX = 6
"""Pixels this near the edge, on either side, show how far the generated tissue is off there."""
BAND_PX = 24
"""Width of the band inside the mask over which that offset fades out."""
COARSE_PX = 4
"""Pixels per cell where wide blurs are computed."""
ACROSS_SHARE = 0.25
"""Share of the offset that is measured across the edge (known outside, generated inside); the rest
compares known and generated at the same pixels outside. Chosen so that colours change across the
edge of a mask about as much as across the same line in real tissue: 0.97 of it (docs/log.md)."""

_GaussianMix = Sequence[tuple[float, float]]
"""(sigma in px, weight) of Gaussians that are added."""
_EXTENSION: _GaussianMix = (
    (5.0, 1.0),
    (12.0, 1e-2),
    (30.0, 1e-4),
)
_RING_MEAN: _GaussianMix = ((float(RING_PX), 1.0),)


def paste(
    known: Pixels,
    painted: Float32Array,
    mask: Mask,
    *,
    copied: tuple[Pixels, Float32Array] | None = None,
    raises_grain: bool = True,
) -> Pixels:
    """Put generated tissue into the mask of a tile.

    The generated tile covers known tissue too, which shows its loss of grain; known tissue has the
    hue to match. Both are matched first. Then the smoothed difference at the edge is carried into
    the mask and fades within `BAND_PX`: the low-frequency part of Poisson blending (Perez et al.
    2003), without letting one edge tint the whole mask.

    Args:
        known: (H, W, 3) uint8; returned unchanged outside the mask.
        painted: (H, W, 3) float32 in [0, 255], the whole tile.
        mask: (H, W) bool.
        copied: (H, W, 3) uint8 and (H, W) in [0, 1]: tissue that is right as it is, and its share.
        raises_grain: what there is of the finest texture is raised to that around; False: grain was
            drawn already, or is not wanted.

    Returns:
        (H, W, 3) uint8, equal to `known` wherever `mask` is False.
    """
    depth_px = np.asarray(ndimage.distance_transform_edt(mask))
    distance_px = np.asarray(ndimage.distance_transform_edt(~mask))
    painted = np.clip(painted, 0, 255)
    # the values of `known` inside the mask have no meaning, and are not used
    real = np.where(
        mask[..., None],
        painted,
        known.astype(np.float32),
    )
    grained = match_grain(real, painted, distance_px) if raises_grain else painted
    inner, outer = _match_hue(real, grained, mask)
    ring = ~mask & (distance_px <= RING_PX)
    if ring.any():
        offset = _edge_offset(
            real,
            inner,
            outer,
            mask=mask,
            ring=ring,
            depth_px=depth_px,
        )
        inner = _add_fading(inner, offset, mask, depth_px)
    if copied is not None:
        tissue, share = copied
        inner += share[..., None] * (tissue - inner)
    out = known.copy()
    out[mask] = inner[mask].round().clip(0, 255).astype(np.uint8)
    return out


def _match_hue(
    real: Float32Array,
    grained: Float32Array,
    mask: Mask,
) -> tuple[Float32Array, Float32Array]:
    """Generated tissue with the hue of the known tissue.

    Returns:
        Two versions, both of the whole tile: one whose hue is matched inside the mask, and one
        whose hue is matched outside. Each side is off by its own amount: generated tissue may be
        right outside and drift inside.
    """
    curve = measure_hue(real[~mask])
    if curve is None or not mask.any():
        return grained, grained
    inner = curve.apply(grained, mask)
    outer = curve.apply(grained, ~mask)
    return inner, outer


def _edge_offset(
    real: Float32Array,
    inner: Float32Array,
    outer: Float32Array,
    *,
    mask: Mask,
    ring: Mask,
    depth_px: Float64Array,
) -> Float32Array:
    """What generated tissue lacks at the edge, extended smoothly to the whole tile."""
    at_same_pixels = _extended(real - outer, ring)
    rim = mask & (depth_px <= RING_PX)
    step = _smooth_near(real, ring) - _smooth_near(inner, rim)
    across_edge = _extended(step, mask & (depth_px <= RING_PX / 2))
    return ACROSS_SHARE * across_edge + (1 - ACROSS_SHARE) * at_same_pixels


def _add_fading(
    inner: Float32Array,
    offset: Float32Array,
    mask: Mask,
    depth_px: Float64Array,
) -> Float32Array:
    """Add the offset to the band inside the mask, less and less with depth; changes `inner`."""
    depth = np.clip(depth_px / BAND_PX, 0, 1)
    fade = 0.5 + 0.5 * np.cos(np.pi * depth)
    band = mask & (depth_px <= BAND_PX)
    faded = offset * fade[..., None].astype(np.float32)
    inner[band] += faded[band]
    return inner


def _smooth_near(
    image: Float32Array,
    where: Mask,
) -> Float32Array:
    """Mean of an image over `where`, weighted by nearness to each pixel: normalised convolution."""
    return _normalised(image, where, _RING_MEAN)


def _extended(
    difference: Float32Array,
    ring: Mask,
) -> Float32Array:
    """Smooth extension of values on the ring to everywhere: normalised Gaussian convolution.

    A narrow Gaussian decides where it reaches, wider ones farther in.
    """
    return _normalised(difference, ring, _EXTENSION)


def _normalised(
    image: Float32Array,
    where: Mask,
    mix: _GaussianMix,
) -> Float32Array:
    weight = where.astype(np.float32)
    stacked = np.dstack([image * weight[..., None], weight])
    spread = np.zeros_like(stacked)
    for sigma, share in mix:
        spread += np.float32(share) * _blurred(stacked, sigma)
    sums = spread[..., :3]
    weights = np.maximum(spread[..., 3:], 1e-9)
    return np.asarray(sums / weights, dtype=np.float32)


def _blurred(
    stacked: Float32Array,
    sigma: float,
) -> Float32Array:
    """Gaussian blur of (H, W, C).

    Wide blurs are computed on a grid of `COARSE_PX` px: nearly the same, and much faster.
    """
    if sigma < 3 * COARSE_PX:
        return np.asarray(
            ndimage.gaussian_filter(
                stacked,
                (sigma, sigma, 0),
                truncate=3,
            )
        )
    height, width, _ = stacked.shape
    cells = _cell_means(stacked)
    coarse_sigma = sigma / COARSE_PX
    smooth = ndimage.gaussian_filter(
        cells,
        (coarse_sigma, coarse_sigma, 0),
        truncate=3,
    )
    middle = (COARSE_PX - 1) / 2
    rows = (np.arange(height) - middle) / COARSE_PX
    columns = (np.arange(width) - middle) / COARSE_PX
    return _interpolate_along(
        _interpolate_along(smooth, rows, axis=0),
        columns,
        axis=1,
    )


def _cell_means(stacked: Float32Array) -> Float32Array:
    """Means of (H, W, C) over cells of `COARSE_PX` px; incomplete cells are filled with 0."""
    height, width, channels = stacked.shape
    spare = ((0, -height % COARSE_PX), (0, -width % COARSE_PX), (0, 0))
    padded = np.pad(stacked, spare)
    cells = padded.reshape(
        len(padded) // COARSE_PX,
        COARSE_PX,
        -1,
        COARSE_PX,
        channels,
    )
    return np.asarray(cells.mean(axis=(1, 3)))


def _interpolate_along(
    cells: Float32Array,
    positions: Float64Array,
    *,
    axis: int,
) -> Float32Array:
    """Linear interpolation along an axis at positions in cells, constant beyond the ends."""
    last = cells.shape[axis] - 1
    positions = np.clip(positions, 0, last)
    low = np.minimum(positions.astype(int), max(last - 1, 0))
    high = np.minimum(low + 1, last)
    shape = [1, 1, 1]
    shape[axis] = -1
    part = (positions - low).astype(np.float32).reshape(shape)
    before = cells.take(low, axis) * (1 - part)
    after = cells.take(high, axis) * part
    return np.asarray(before + after)
