"""The grain table of an autoencoder, fitted to tissue and what is decoded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array, IndexArray
from .appearance import is_tissue
from .density import optical_density
from .film_grain import KERNEL_PX, GrainTable, Row, Rows, brightness_and_slope
from .tile_noise import measure_noise

MIN_FIT_TILES = 8
"""Tiles below which nothing is fitted."""
SLOPES = 6
"""Knots of slope, each in the middle of equally many pixels."""
BRIGHTNESSES = (60, 95, 125, 150, 170, 188, 204, 218, 228, 235, 241, 248)
"""Knots of brightness, closer where glass begins, which has little grain."""
_SPECTRUM_PX = 256
"""Side of the squares whose spectra are averaged."""
_MIN_SPREAD = 0.5
_MIN_FACTOR = 0.05
_MIN_BIN_PX = 200
_PATCH_SIGMA_PX = 1.5
_RIDGE = 1e-3


@dataclass(frozen=True, eq=False)
class _Loss:
    """What is lost of one tile (H, W, 3), and where; the tile's own noise (2, 3)."""

    lost: Float32Array
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
    brightness = np.array(BRIGHTNESSES, np.float64)
    slope = _middles([loss.slope for loss in losses])
    strength = _strength(losses, slope)
    noise = np.stack([loss.noise for loss in losses])
    by_slope = [_evened_by_slope(loss, slope, strength) for loss in losses]
    by_brightness = _by_brightness(losses, by_slope, brightness)
    even = []
    for loss, each in zip(losses, by_slope, strict=True):
        factor = _interpolated(loss.brightness, brightness, by_brightness)
        even.append((each / np.maximum(factor, _MIN_FACTOR)).astype(np.float32))
    return GrainTable(
        brightness=_row(brightness),
        slope=_row(slope),
        by_brightness=_rows(by_brightness),
        kernels=tuple(_rows(kernel) for kernel in _kernels(even)),
        mixing=_rows(_mixing(even)),
        patches=round(_patches(even), 4),
        strength=tuple(_rows(each) for each in strength),
        noise=_rows(np.median(noise, axis=0)),
    )


def _loss_of(real: Float32Array, decoded: Float32Array) -> _Loss | None:
    noise = measure_noise(real, is_tissue(optical_density(real)))
    if noise is None:
        return None
    brightness, slope = brightness_and_slope(decoded)
    return _Loss(real - decoded, noise, brightness, slope)


def _middles(values: Sequence[Float32Array]) -> Float64Array:
    """Middles of bins that hold equally many pixels, without the outermost ones."""
    pixels = np.concatenate([each.ravel() for each in values])
    edges = np.quantile(pixels, np.linspace(0.005, 0.995, SLOPES + 1))
    middles: Float64Array = (edges[1:] + edges[:-1]) / 2
    return middles


def _nearest(values: Float32Array, knots: Float64Array) -> IndexArray:
    """Index of the knot nearest to each value."""
    return np.searchsorted((knots[1:] + knots[:-1]) / 2, values)


def _strength(losses: Sequence[_Loss], slope: Float64Array) -> Float64Array:
    """(3, J, 3) constant and gains that lead from the noise of tiles to what is lost of them."""
    spread = np.full((len(losses), 3, SLOPES), np.nan)
    for index, loss in enumerate(losses):
        bins = _nearest(loss.slope, slope).ravel()
        count = np.bincount(bins, minlength=SLOPES)
        for channel in range(3):
            squares = loss.lost[..., channel].ravel().astype(np.float64) ** 2
            sums = np.bincount(bins, squares, minlength=SLOPES)
            enough = count >= _MIN_BIN_PX
            spread[index, channel, enough] = np.sqrt(sums[enough] / count[enough])
    noise = np.stack([loss.noise for loss in losses]).astype(np.float64)
    fitted = np.zeros((3, SLOPES, 3))
    for channel in range(3):
        for knot in range(SLOPES):
            values = spread[:, channel, knot]
            known = np.isfinite(values)
            fitted[channel, knot] = _plane(noise[known, :, channel], values[known])
    return fitted


def _plane(noise: Float64Array, spread: Float64Array) -> Float64Array:
    """Constant and two gains by least squares; gains share what they cannot be told apart by."""
    if not len(spread):
        return np.zeros(3)
    mean = noise.mean(axis=0)
    centred = noise - mean
    square = centred.T @ centred + _RIDGE * len(spread) * np.eye(2)
    gains = np.linalg.solve(square, centred.T @ (spread - spread.mean()))
    return np.array([spread.mean() - gains @ mean, *gains])


def _interpolated(
    values: Float32Array,
    knots: Float64Array,
    factors: Float64Array,
) -> Float64Array:
    """(H, W, 3) factors (3, K) between knots."""
    return np.stack([np.interp(values, knots, each) for each in factors], axis=-1)


def _evened_by_slope(
    loss: _Loss,
    slope: Float64Array,
    strength: Float64Array,
) -> Float32Array:
    """(H, W, 3) what is lost, over what its tile's noise and its slope let expect."""
    regressors = np.stack([np.ones(3), *loss.noise.astype(np.float64)])
    expected = np.einsum("cjk,kc->cj", strength, regressors)
    spread = np.maximum(_interpolated(loss.slope, slope, expected), _MIN_SPREAD)
    return (loss.lost / spread).astype(np.float32)


def _by_brightness(
    losses: Sequence[_Loss],
    by_slope: Sequence[Float32Array],
    brightness: Float64Array,
) -> Float64Array:
    """(3, K) root mean square at each brightness; that of a neighbour where few pixels are."""
    bins = np.concatenate([_nearest(loss.brightness, brightness).ravel() for loss in losses])
    pixels = np.concatenate([each.reshape(-1, 3) for each in by_slope]).astype(np.float64)
    count = np.bincount(bins, minlength=len(brightness))
    known = count >= _MIN_BIN_PX
    factors = []
    for channel in range(3):
        sums = np.bincount(bins, pixels[:, channel] ** 2, minlength=len(brightness))
        roots = np.sqrt(sums[known] / count[known])
        factors.append(np.interp(brightness, brightness[known], roots))
    return np.stack(factors)


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


def _row(values: Float64Array) -> Row:
    return tuple(round(float(value), 5) for value in values)


def _rows(values: Float64Array) -> Rows:
    return tuple(_row(row) for row in values)
