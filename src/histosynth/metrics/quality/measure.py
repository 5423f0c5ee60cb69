"""What can be measured of a tile's picture quality without another tile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import fft, ndimage

from ...core.arrays import Float32Array, Float64Array, IndexArray
from ...core.tile import Mask, Pixels
from ...tissue.appearance import is_tissue
from ...tissue.density import optical_density

FINE_DETAIL_PER_UM = 0.4
"""Cycles per um above which detail is fine: structures below 1.25 um."""
COARSE_PER_UM = 0.05
SLOPE_FROM_PER_UM = 0.1
FREQUENCY_RINGS = 12
"""Log-spaced rings of frequencies to which the slope is fitted."""
MIN_FITTED_RINGS = 4
FOCUS_UM = 0.5
MIN_PIXELS = 500
"""Pixels that a measure of tissue or of smooth areas needs."""
MIN_NOISE_SIDE_PX = 16
JPEG_BLOCK = 8
BURNT_FROM = 254
"""Pixels at least so bright in all channels are burnt out."""
BLACK_TO = 3
"""Pixels at most so bright in a channel are black in it."""
_MEAN_OF_CHANNELS = np.full(3, 1 / 3, np.float32)


def measure_quality(pixels: Pixels, mpp: float) -> dict[str, Float64Array]:
    """The picture quality of a tile.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mpp: micrometres per pixel.

    Returns:
        * `quality/focus` (1,): log10 of the variance of the Laplacian at 0.5 um over that of
          density, tissue only; falls with blur, does not depend on how strong the stain is, and
          rises with noise;
        * `quality/spectrum` (2,): share of power above 0.4 cycles/um, in [0, 1], and slope of log
          power over log frequency; both fall with blur;
        * `quality/noise` (1,): standard deviation in smooth areas, grey levels;
        * `quality/blocks` (1,): steps on the grid of 8 px over steps elsewhere, 1: no blocks;
        * `quality/clipped` (2,): shares of pixels that are white, and black in a channel, in
          [0, 1].

        nan where a tile is too even or too small to define them.
    """
    density = optical_density(pixels)
    grey = density @ _MEAN_OF_CHANNELS
    darkest = pixels.min(axis=2)
    white = darkest >= BURNT_FROM
    black = darkest <= BLACK_TO
    return {
        "quality/focus": np.array([focus(grey, is_tissue(density), mpp)]),
        "quality/spectrum": np.array(spectrum(grey, mpp)),
        "quality/noise": np.array([noise(pixels)]),
        "quality/blocks": np.array([blocks(pixels)]),
        "quality/clipped": np.array([white.mean(), black.mean()]),
    }


def focus(
    grey: Float32Array,
    tissue: Mask,
    mpp: float,
) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) of mean density (H, W) over its
    variance, log10.

    Smoothed at 0.5 um first, so that grain counts less and scales can be compared.
    """
    inside = grey[tissue]
    if len(inside) < MIN_PIXELS:
        return np.nan
    laplacian = ndimage.gaussian_laplace(
        grey,
        max(FOCUS_UM / mpp, 0.7),
        truncate=3.0,
    )
    spread = float(inside.var(dtype=np.float64))
    sharpness = float(np.asarray(laplacian)[tissue].var(dtype=np.float64))
    if spread <= 1e-9 or sharpness <= 0:
        return np.nan
    return float(np.log10(sharpness / spread))


def spectrum(grey: Float32Array, mpp: float) -> tuple[float, float]:
    """Share of power in fine detail, and slope of the power spectrum, of mean density (H, W).

    The slope is a line through log power over log frequency (Field 1987), from 0.1 cycles/um to 0.8
    of the highest frequency that the pixels can represent.
    """
    height, width = grey.shape
    plane = _frequency_plane(height, width, mpp)
    windowed = (grey - grey.mean()) * plane.window
    power = np.abs(np.asarray(fft.rfft2(windowed))) ** 2
    total = float(power[plane.counted].sum(dtype=np.float64))
    if total <= 1e-6 * grey.size or not plane.fine.any():
        return np.nan, np.nan
    share = float(power[plane.fine].sum(dtype=np.float64)) / total
    return share, _spectral_slope(power, plane.ring, mpp)


def _spectral_slope(
    power: Float32Array,
    ring: IndexArray,
    mpp: float,
) -> float:
    in_ring = ring >= 0
    counts = np.bincount(ring[in_ring], minlength=FREQUENCY_RINGS)
    sums = np.bincount(
        ring[in_ring],
        power[in_ring],
        minlength=FREQUENCY_RINGS,
    )
    defined = (counts > 0) & (sums > 0)
    if defined.sum() < MIN_FITTED_RINGS:
        return np.nan
    rings = np.arange(FREQUENCY_RINGS)[defined]
    log_power = np.log(sums[defined] / counts[defined])
    slope, _ = np.polyfit(rings, log_power, 1)
    return float(slope) / _ring_width(mpp)


def _ring_width(mpp: float) -> float:
    """Of one ring, in log frequency."""
    highest = 0.8 * 0.5 / mpp
    return float(np.log(max(highest / SLOPE_FROM_PER_UM, 1.01))) / FREQUENCY_RINGS


@dataclass(frozen=True, eq=False)
class _FrequencyPlane:
    """Frequencies of pictures of one size and scale.

    Attributes:
        window: (H, W) Hann window.
        ring: (H, W // 2 + 1) the log-spaced ring of each frequency, -1 for none.
        fine: (H, W // 2 + 1) frequencies that are counted and fine.
        counted: (H, W // 2 + 1) frequencies that are counted.
    """

    window: Float32Array
    ring: IndexArray
    fine: Mask
    counted: Mask


@lru_cache(maxsize=8)
def _frequency_plane(
    height: int,
    width: int,
    mpp: float,
) -> _FrequencyPlane:
    window = np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    frequency = np.hypot(
        np.fft.fftfreq(height, mpp)[:, None],
        np.fft.rfftfreq(width, mpp)[None],
    )
    with np.errstate(divide="ignore"):
        place = np.floor(np.log(frequency / SLOPE_FROM_PER_UM) / _ring_width(mpp))
    in_ring = (place >= 0) & (place < FREQUENCY_RINGS)
    ring = np.where(in_ring, place, -1).astype(np.intp)
    counted = (frequency >= COARSE_PER_UM) & (frequency <= 0.5 / mpp)
    fine = counted & (frequency > FINE_DETAIL_PER_UM)
    return _FrequencyPlane(window, ring, fine, counted)


def noise(pixels: Pixels) -> float:
    """Standard deviation of noise (Immerkaer 1996) in smooth areas, mean of channels, grey levels.

    sigma = sqrt(pi / 2) mean|I * N| / 6, N the difference of two Laplacians, which responds neither
    to planes nor to straight edges. Smooth is the third of the unclipped pixels with the least
    gradient at 2 px.
    """
    if min(pixels.shape[:2]) < MIN_NOISE_SIDE_PX:
        return np.nan
    values = pixels.astype(np.float32)
    grey = values @ _MEAN_OF_CHANNELS
    gradient = np.asarray(
        ndimage.gaussian_gradient_magnitude(
            grey,
            2.0,
            truncate=3.0,
        )
    )
    gradient = gradient[1:-1, 1:-1]
    inner = pixels[1:-1, 1:-1]
    unclipped = (inner.min(axis=2) > 3) & (inner.max(axis=2) < 252)
    if unclipped.sum() < MIN_PIXELS:
        return np.nan
    smooth = unclipped & (gradient <= np.quantile(gradient[unclipped], 1 / 3))
    across = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    both = across[2:] - 2 * across[1:-1] + across[:-2]
    response = np.abs(both)[smooth].mean(dtype=np.float64)
    return float(np.sqrt(np.pi / 2) * response / 6)


def blocks(pixels: Pixels) -> float:
    """Mean step on the grid of 8 px where it is largest, over the median of its eight positions.

    A step is by how much a difference of neighbours exceeds the mean of the two next to it (after
    Wang et al. 2002); the grid's position is unknown, because tiles are cut anywhere.
    """
    grey = pixels.astype(np.float32) @ _MEAN_OF_CHANNELS
    ratios = []
    for oriented in (grey, grey.T):
        if oriented.shape[1] < 4 * JPEG_BLOCK:
            return np.nan
        ratios.append(_block_ratio(oriented))
    return float(np.mean(ratios))


def _block_ratio(grey: Float32Array) -> float:
    """Of steps across columns; nan where most positions of the grid have none."""
    step = np.diff(grey, axis=1)
    around = (step[:, 2:] + step[:, :-2]) / 2
    excess = np.abs(step[:, 1:-1] - around).mean(
        axis=0,
        dtype=np.float64,
    )
    positions = [excess[position::JPEG_BLOCK].mean() for position in range(JPEG_BLOCK)]
    by_position = np.array(positions)
    usual = float(np.median(by_position))
    if usual <= 0:
        return np.nan
    return float(by_position.max()) / usual
