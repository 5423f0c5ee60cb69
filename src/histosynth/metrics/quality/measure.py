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
    tissue = is_tissue(density)
    sharpness = focus(grey, tissue, mpp)
    detail = spectrum(grey, mpp)
    grain = noise(pixels)
    block_ratio = blocks(pixels)
    clipped = [
        white.mean(),
        black.mean(),
    ]
    return {
        "quality/focus": np.array([sharpness]),
        "quality/spectrum": np.array(detail),
        "quality/noise": np.array([grain]),
        "quality/blocks": np.array([block_ratio]),
        "quality/clipped": np.array(clipped),
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
    response = np.asarray(laplacian)[tissue]
    spread = float(inside.var(dtype=np.float64))
    sharpness = float(response.var(dtype=np.float64))
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
    centred = grey - grey.mean()
    windowed = centred * plane.window
    coefficients = np.asarray(fft.rfft2(windowed))
    power = np.abs(coefficients) ** 2
    counted = power[plane.counted]
    total = float(counted.sum(dtype=np.float64))
    if total <= 1e-6 * grey.size or not plane.fine.any():
        return np.nan, np.nan
    fine = power[plane.fine]
    share = float(fine.sum(dtype=np.float64)) / total
    slope = _spectral_slope(power, plane.ring, mpp)
    return share, slope


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
    means = sums[defined] / counts[defined]
    log_power = np.log(means)
    slope_per_ring, _ = np.polyfit(rings, log_power, 1)
    slope = float(slope_per_ring)
    return slope / _ring_width(mpp)


def _ring_width(mpp: float) -> float:
    """Of one ring, in log frequency."""
    highest = 0.8 * 0.5 / mpp
    ratio = max(highest / SLOPE_FROM_PER_UM, 1.01)
    return float(np.log(ratio)) / FREQUENCY_RINGS


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
    hann = np.outer(np.hanning(height), np.hanning(width))
    window = hann.astype(np.float32)
    down = np.fft.fftfreq(height, mpp)
    across = np.fft.rfftfreq(width, mpp)
    frequency = np.hypot(down[:, None], across)
    with np.errstate(divide="ignore"):
        log_frequency = np.log(frequency / SLOPE_FROM_PER_UM)
        place = np.floor(log_frequency / _ring_width(mpp))
    in_ring = (place >= 0) & (place < FREQUENCY_RINGS)
    ring = np.where(in_ring, place, -1).astype(np.intp)
    highest = 0.5 / mpp
    not_coarse = frequency >= COARSE_PER_UM
    counted = not_coarse & (frequency <= highest)
    fine = counted & (frequency > FINE_DETAIL_PER_UM)
    return _FrequencyPlane(
        window,
        ring,
        fine,
        counted,
    )


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
    slopes = ndimage.gaussian_gradient_magnitude(
        grey,
        2.0,
        truncate=3.0,
    )
    gradient = np.asarray(slopes)[1:-1, 1:-1]
    inner = pixels[1:-1, 1:-1]
    not_black = inner.min(axis=2) > 3
    not_white = inner.max(axis=2) < 252
    unclipped = not_black & not_white
    if unclipped.sum() < MIN_PIXELS:
        return np.nan
    limit = np.quantile(gradient[unclipped], 1 / 3)
    smooth = unclipped & (gradient <= limit)
    across = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    both = across[2:] - 2 * across[1:-1] + across[:-2]
    in_smooth = np.abs(both)[smooth]
    response = in_smooth.mean(dtype=np.float64)
    sigma = np.sqrt(np.pi / 2) * response / 6
    return float(sigma)


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
    before = step[:, :-2]
    after = step[:, 2:]
    around = (after + before) / 2
    excess = np.abs(step[:, 1:-1] - around)
    by_column = excess.mean(axis=0, dtype=np.float64)
    positions = []
    for position in range(JPEG_BLOCK):
        on_grid = by_column[position::JPEG_BLOCK]
        positions.append(on_grid.mean())
    by_position = np.array(positions)
    usual = float(np.median(by_position))
    if usual <= 0:
        return np.nan
    return float(by_position.max()) / usual
