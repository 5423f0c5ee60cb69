"""What can be measured of a tile's picture quality without another tile."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from ...core.arrays import Float32Array
from ...core.tile import Mask, Pixels
from ...tissue.appearance import is_tissue
from ...tissue.density import optical_density

FINE_PER_UM = 0.4
"""Cycles per um above which detail is fine: structures below 1.25 um."""
COARSE_PER_UM = 0.05
SLOPE_FROM_PER_UM = 0.1
RINGS = 12
"""Log-spaced rings of frequencies that the slope is fitted to."""
FOCUS_UM = 0.5
LEAST_PX = 500
BLOCK = 8


def measure_quality(pixels: Pixels, mpp: float) -> dict[str, NDArray[np.float64]]:
    """What can be said of a tile's quality without another tile beside it.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mpp: micrometres per pixel.

    Returns:
        `quality/focus` (1,): log10 of the variance of the Laplacian at 0.5 um over that of density,
            tissue
        only; falls with blur, does not depend on how strong the stain is, and rises with noise.
        `quality/spectrum` (2,): share of power above 0.4 cycles/um, in [0, 1], and slope of log
            power over
        log frequency; both fall with blur.
        `quality/noise` (1,): standard deviation in smooth areas, grey levels.
        `quality/blocks` (1,): steps on the grid of 8 px over steps elsewhere, 1: no blocks.
        `quality/clipped` (2,): shares of pixels that are white, and black in a channel, in [0, 1].
        nan where a tile is too even or too small to tell.
    """
    density = optical_density(pixels)
    grey = density @ np.full(3, 1 / 3, np.float32)
    red, green, blue = (pixels[..., channel] for channel in range(3))
    white = np.minimum(np.minimum(red, green), blue) >= 254
    black = np.minimum(np.minimum(red, green), blue) <= 3
    return {
        "quality/focus": np.array([focus(grey, is_tissue(density), mpp)]),
        "quality/spectrum": np.array(spectrum(grey, mpp)),
        "quality/noise": np.array([noise(pixels)]),
        "quality/blocks": np.array([blocks(pixels)]),
        "quality/clipped": np.array([white.mean(), black.mean()]),
    }


def focus(grey: Float32Array, tissue: Mask, mpp: float) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) of mean density (H, W) over its
    variance, log10.

    Smoothed at 0.5 um first, so that grain counts for less and scales can be compared.
    """
    inside = grey[tissue]
    if len(inside) < LEAST_PX:
        return np.nan
    edges = np.asarray(ndimage.gaussian_laplace(grey, max(FOCUS_UM / mpp, 0.7), truncate=3.0))[
        tissue
    ]
    spread = float(inside.var(dtype=np.float64))
    sharp = float(edges.var(dtype=np.float64))
    return float(np.log10(sharp / spread)) if spread > 1e-9 and sharp > 0 else np.nan


def spectrum(grey: Float32Array, mpp: float) -> tuple[float, float]:
    """Share of power in fine detail, and slope of the power spectrum, of mean density (H, W).

    The slope is a line through log power over log frequency (Field 1987), from 0.1 cycles/um to 0.8
    of what the pixels can hold.
    """
    window, ring, fine, seen = _rings(grey.shape[0], grey.shape[1], mpp)
    power = np.abs(np.asarray(fft.rfft2((grey - grey.mean()) * window))) ** 2
    total = float(power[seen].sum(dtype=np.float64))
    if total <= 1e-6 * grey.size or not fine.any():
        return np.nan, np.nan
    share = float(power[fine].sum(dtype=np.float64)) / total
    many = np.bincount(ring[ring >= 0], minlength=RINGS)
    sums = np.bincount(ring[ring >= 0], power[ring >= 0], minlength=RINGS)
    told = (many > 0) & (sums > 0)
    if told.sum() < 4:
        return share, np.nan
    slope = np.polyfit(np.arange(RINGS)[told], np.log(sums[told] / many[told]), 1)[0]
    return share, float(slope) / _ring_width(mpp)


def _ring_width(mpp: float) -> float:
    """Of one ring, in log frequency."""
    return float(np.log(max(0.8 * 0.5 / mpp / SLOPE_FROM_PER_UM, 1.01))) / RINGS


@lru_cache(maxsize=8)
def _rings(
    height: int, width: int, mpp: float
) -> tuple[Float32Array, NDArray[np.intp], Mask, Mask]:
    """A Hann window; which log-spaced ring each frequency lies in, -1 for none; fine ones; all
    that count.
    """
    hann = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    across = np.hypot(np.fft.fftfreq(height, mpp)[:, None], np.fft.rfftfreq(width, mpp)[None])
    with np.errstate(divide="ignore"):
        place = np.floor(np.log(across / SLOPE_FROM_PER_UM) / _ring_width(mpp))
    ring = np.where((place >= 0) & (place < RINGS), place, -1).astype(np.intp)
    seen = (across >= COARSE_PER_UM) & (across <= 0.5 / mpp)
    return hann, ring, seen & (across > FINE_PER_UM), seen


def noise(pixels: Pixels) -> float:
    """Standard deviation of noise (Immerkaer 1996) in smooth areas, mean of channels, grey levels.

    sigma = sqrt(pi / 2) mean|I * N| / 6, N the difference of two Laplacians, which sees neither
    planes nor straight edges. Smooth is the third of what is not clipped with the least gradient at
    2 px.
    """
    if min(pixels.shape[:2]) < 16:
        return np.nan
    values = pixels.astype(np.float32)
    grey = values @ np.full(3, 1 / 3, np.float32)
    steep = np.asarray(ndimage.gaussian_gradient_magnitude(grey, 2.0, truncate=3.0))[1:-1, 1:-1]
    inner = pixels[1:-1, 1:-1]
    usable = (inner.min(axis=2) > 3) & (inner.max(axis=2) < 252)
    if usable.sum() < LEAST_PX:
        return np.nan
    smooth = usable & (steep <= np.quantile(steep[usable], 1 / 3))
    twice = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    response = np.abs(twice[2:] - 2 * twice[1:-1] + twice[:-2])[smooth]
    return float(np.sqrt(np.pi / 2) * response.mean(dtype=np.float64) / 6)


def blocks(pixels: Pixels) -> float:
    """Mean step on the grid of 8 px where it is largest, over the median of the eight places it can
    lie.

    A step is what a difference of neighbours exceeds the mean of the two beside it by (after Wang
    et al. 2002); the grid's place is not known, since tiles are cut anywhere.
    """
    grey = pixels.astype(np.float32) @ np.full(3, 1 / 3, np.float32)
    ratios = []
    for turned in (grey, grey.T):
        if turned.shape[1] < 4 * BLOCK:
            return np.nan
        step = np.diff(turned, axis=1)
        excess = np.abs(step[:, 1:-1] - (step[:, 2:] + step[:, :-2]) / 2).mean(
            axis=0, dtype=np.float64
        )
        phases = np.array([excess[phase::BLOCK].mean() for phase in range(BLOCK)])
        usual = float(np.median(phases))
        ratios.append(float(phases.max()) / usual if usual > 0 else np.nan)
    return float(np.mean(ratios))
