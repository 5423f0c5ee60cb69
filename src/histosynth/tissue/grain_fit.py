"""The grain table of an autoencoder, fitted to tissue and what is decoded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array
from .appearance import is_tissue
from .density import optical_density
from .film_grain import KERNEL_PX, GrainTable, brightness_and_slope
from .tile_noise import measure_noise

MIN_FIT_TILES = 8
"""Tiles below which nothing is fitted."""
_LEVELS = 6
_QUANTILES = (0.005, 0.995)
_SPECTRUM_PX = 256
"""Side of the squares whose spectra are averaged."""
_MIN_SPREAD = 0.05
_PATCH_SIGMA_PX = 1.5


@dataclass(frozen=True, eq=False)
class _Loss:
    """What is lost of one tile, of unit power a channel, and where."""

    lost: Float32Array
    power: Float64Array
    noise: Float32Array
    brightness: Float32Array
    slope: Float32Array


def fit_grain(pairs: Sequence[tuple[Float32Array, Float32Array]]) -> GrainTable:
    """The statistics of what an autoencoder loses.

    Args:
        pairs: tiles (H, W, 3) float32 in [0, 255] in canonical stain, each with what is decoded of
            its latents.

    Raises:
        ValueError: fewer than `MIN_FIT_TILES` tiles hold tissue.
    """
    losses = [loss for real, decoded in pairs if (loss := _loss_of(real, decoded)) is not None]
    if len(losses) < MIN_FIT_TILES:
        raise ValueError(f"grain needs {MIN_FIT_TILES} tiles of tissue, not {len(losses)}")
    brightness = _knots([loss.brightness for loss in losses])
    slope = _knots([loss.slope for loss in losses])
    by_brightness, by_slope = _factors(losses, brightness, slope)
    even = [_evened(loss, (brightness, slope), (by_brightness, by_slope)) for loss in losses]
    noise = np.stack([loss.noise for loss in losses])
    power = np.stack([loss.power for loss in losses])
    return GrainTable(
        brightness=_row(brightness),
        slope=_row(slope),
        by_brightness=_rows(by_brightness),
        by_slope=_rows(by_slope),
        kernels=tuple(_rows(kernel) for kernel in _kernels(even)),
        mixing=_rows(_mixing(even)),
        patches=round(_patches(even), 4),
        strength=_rows(np.stack([_line(noise[:, c], power[:, c]) for c in range(3)])),
        noise=_row(np.median(noise, axis=0)),
    )


def _loss_of(real: Float32Array, decoded: Float32Array) -> _Loss | None:
    tissue = is_tissue(optical_density(real))
    noise = measure_noise(real, tissue)
    if noise is None:
        return None
    lost = real - decoded
    power = np.sqrt((lost[tissue].astype(np.float64) ** 2).mean(axis=0))
    brightness, slope = brightness_and_slope(decoded)
    scaled = (lost / power).astype(np.float32)
    return _Loss(scaled, power, noise, brightness, slope)


def _knots(values: Sequence[Float32Array]) -> Float64Array:
    """Middles of bins that hold equally many pixels, without the outermost ones."""
    pixels = np.concatenate([each.ravel() for each in values])
    low, high = _QUANTILES
    edges = np.quantile(pixels, np.linspace(low, high, _LEVELS + 1))
    middles: Float64Array = (edges[1:] + edges[:-1]) / 2
    return middles


def _factors(
    losses: Sequence[_Loss],
    brightness: Float64Array,
    slope: Float64Array,
) -> tuple[Float64Array, Float64Array]:
    """Factors (3, K) and (3, J) whose products are nearest to the spread at both."""
    rows = np.concatenate([_nearest(loss.brightness, brightness).ravel() for loss in losses])
    columns = np.concatenate([_nearest(loss.slope, slope).ravel() for loss in losses])
    cells = rows * len(slope) + columns
    count = np.bincount(cells, minlength=_LEVELS**2)
    by_brightness = []
    by_slope = []
    for channel in range(3):
        squares = np.concatenate([loss.lost[..., channel].ravel() ** 2 for loss in losses])
        sums = np.bincount(cells, squares, minlength=_LEVELS**2)
        spread = np.sqrt(sums / np.maximum(count, 1)).reshape(_LEVELS, _LEVELS)
        left, values, right = np.linalg.svd(spread)
        first = np.abs(left[:, 0])
        second = np.abs(right[0]) * values[0]
        by_brightness.append(first / first.mean())
        by_slope.append(second * first.mean())
    return np.stack(by_brightness), np.stack(by_slope)


def _nearest(
    values: Float32Array, knots: Float64Array
) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    return np.searchsorted((knots[1:] + knots[:-1]) / 2, values)


def _evened(
    loss: _Loss,
    knots: tuple[Float64Array, Float64Array],
    factors: tuple[Float64Array, Float64Array],
) -> Float32Array:
    """(H, W, 3) what is lost, as strong at every brightness and slope."""
    out = np.empty_like(loss.lost)
    for channel in range(3):
        by_brightness = np.interp(loss.brightness, knots[0], factors[0][channel])
        by_slope = np.interp(loss.slope, knots[1], factors[1][channel])
        spread = np.maximum(by_brightness * by_slope, _MIN_SPREAD)
        out[..., channel] = loss.lost[..., channel] / spread
    return out


def _kernels(even: Sequence[Float32Array]) -> Float64Array:
    """(3, 7, 7) symmetric filters of unit power with the mean spectrum of what is lost."""
    kernels = []
    reach = KERNEL_PX // 2
    middle = _SPECTRUM_PX // 2
    part = slice(middle - reach, middle + reach + 1)
    for channel in range(3):
        power = np.mean([_power(each[..., channel]) for each in even], axis=0)
        whole = np.fft.fftshift(np.fft.ifft2(np.sqrt(power)).real)
        kernel = whole[part, part]
        kernel = (kernel + kernel[::-1] + kernel[:, ::-1] + kernel[::-1, ::-1]) / 4
        kernel = (kernel + kernel.T) / 2
        kernels.append(kernel / np.sqrt((kernel**2).sum()))
    return np.stack(kernels)


def _power(lost: Float32Array) -> Float64Array:
    """Power spectrum of the first square of a tile; smaller tiles are filled with zeros."""
    square = lost[:_SPECTRUM_PX, :_SPECTRUM_PX]
    spectrum = np.fft.fft2(square - square.mean(), (_SPECTRUM_PX, _SPECTRUM_PX))
    power: Float64Array = np.abs(spectrum) ** 2 / square.size
    return power


def _mixing(even: Sequence[Float32Array]) -> Float64Array:
    """Lower triangle whose product with its transpose is the correlation of channels."""
    covariance = np.mean([np.cov(each.reshape(-1, 3).T) for each in even], axis=0)
    deviation = np.sqrt(np.diag(covariance))
    return np.asarray(np.linalg.cholesky(covariance / np.outer(deviation, deviation)))


def _patches(even: Sequence[Float32Array]) -> float:
    """Standard deviation of the log of the strength from patch to patch, beyond that of chance."""
    spreads = []
    for each in even:
        local = ndimage.gaussian_filter((each**2).mean(axis=2), _PATCH_SIGMA_PX)
        spreads.append(float(np.log(local + 1e-3).std()))
    by_chance = _chance_of_patches()
    variance = max(float(np.mean(spreads)) ** 2 - by_chance**2, 0)
    # of power; the strength is its root
    return float(np.sqrt(variance)) / 2


def _chance_of_patches() -> float:
    white = np.random.default_rng(0).standard_normal((_SPECTRUM_PX, _SPECTRUM_PX, 3))
    local = ndimage.gaussian_filter((white**2).mean(axis=2), _PATCH_SIGMA_PX)
    return float(np.log(local + 1e-3).std())


def _line(noise: Float32Array, power: Float64Array) -> Float64Array:
    """Gain and offset of the line that leads from noise to power."""
    if float(np.ptp(noise)) < 1e-3:
        return np.array([float(power.mean()) / max(float(noise.mean()), 1e-3), 0.0])
    return np.polyfit(noise.astype(np.float64), power, 1)


def _row(values: Float64Array | Float32Array) -> tuple[float, ...]:
    return tuple(round(float(value), 5) for value in values)


def _rows(values: Float64Array) -> tuple[tuple[float, ...], ...]:
    return tuple(_row(row) for row in values)
