"""The grain table of an autoencoder, fitted to tissue and to what is decoded of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float32Array, Float64Array, IndexArray
from .appearance import is_tissue, measure_extremes
from .density import optical_density
from .film_grain import brightness_and_slope
from .grain_spectrum import fit_kernels, fit_mixing, fit_patches
from .grain_table import GrainTable, NumberRow, NumberRows
from .tile_noise import measure_noise

MIN_FIT_TILES = 8
"""Tiles below which nothing is fitted."""
SLOPES = 6
"""Knots of slope, each in the middle of equally many pixels."""
BRIGHTNESSES = (60, 95, 125, 150, 170, 188, 204, 218, 228, 235, 241, 248)
"""Knots of brightness, closer where glass begins, which has little grain."""
_SLOPE_QUANTILES = (0.005, 0.995)
_MIN_BIN_PX = 200
_MIN_SPREAD = 0.5
_MIN_FACTOR = 0.05
_RIDGE = 1e-3
_DECIMALS = 5


@dataclass(frozen=True, eq=False)
class _Loss:
    """What is lost of one tile (H, W, 3), and where; its own noise (2, 3) and extremes (4,)."""

    lost: Float32Array
    noise: Float32Array
    extremes: Float32Array
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
    losses = []
    for real, decoded in pairs:
        loss = _loss_of(real, decoded)
        if loss is not None:
            losses.append(loss)
    if len(losses) < MIN_FIT_TILES:
        raise ValueError(f"grain needs {MIN_FIT_TILES} tiles of tissue, not {len(losses)}")
    brightness = np.array(BRIGHTNESSES, np.float64)
    slope = _middles([loss.slope for loss in losses])
    strength = _strength(losses, slope)
    by_slope = [
        _evened_by_slope(
            loss,
            slope,
            strength,
        )
        for loss in losses
    ]
    by_brightness = _by_brightness(
        losses,
        by_slope,
        brightness,
    )
    even = []
    for loss, lost in zip(
        losses,
        by_slope,
        strict=True,
    ):
        factor = _interpolated(
            loss.brightness,
            brightness,
            by_brightness,
        )
        evened = lost / np.maximum(factor, _MIN_FACTOR)
        even.append(evened.astype(np.float32))
    noise = np.stack([loss.noise for loss in losses])
    extremes = np.stack([loss.extremes for loss in losses])
    return GrainTable(
        brightness=_row(brightness),
        slope=_row(slope),
        by_brightness=_rows(by_brightness),
        kernels=tuple(_rows(kernel) for kernel in fit_kernels(even)),
        mixing=_rows(fit_mixing(even)),
        patches=round(fit_patches(even), _DECIMALS),
        strength=tuple(_rows(of_channel) for of_channel in strength),
        noise=_rows(np.median(noise, axis=0)),
        extremes=_row(np.median(extremes, axis=0)),
    )


def _loss_of(real: Float32Array, decoded: Float32Array) -> _Loss | None:
    density = optical_density(real)
    noise = measure_noise(real, is_tissue(density))
    extremes = measure_extremes(real.reshape(-1, 3))
    if noise is None or extremes is None:
        return None
    brightness, slope = brightness_and_slope(decoded)
    return _Loss(
        real - decoded,
        noise,
        extremes,
        brightness,
        slope,
    )


def _middles(values: Sequence[Float32Array]) -> Float64Array:
    """Middles of bins that hold equally many pixels, without the outermost ones."""
    pixels = np.concatenate([each.ravel() for each in values])
    low, high = _SLOPE_QUANTILES
    shares = np.linspace(
        low,
        high,
        SLOPES + 1,
    )
    edges = np.quantile(pixels, shares)
    middles: Float64Array = (edges[1:] + edges[:-1]) / 2
    return middles


def _nearest(values: Float32Array, knots: Float64Array) -> IndexArray:
    """Index of the knot nearest to each value, in one row."""
    borders = (knots[1:] + knots[:-1]) / 2
    return np.searchsorted(borders, values.ravel())


def _root_mean_squares(
    values: Float32Array,
    bins: IndexArray,
    count: int,
) -> Float64Array:
    """Of the values in each of `count` bins; nan where a bin holds too few."""
    squares = values.ravel().astype(np.float64) ** 2
    sums = np.bincount(
        bins,
        squares,
        minlength=count,
    )
    pixels = np.bincount(bins, minlength=count)
    enough = pixels >= _MIN_BIN_PX
    roots = np.full(count, np.nan)
    roots[enough] = np.sqrt(sums[enough] / pixels[enough])
    return roots


def _strength(losses: Sequence[_Loss], slope: Float64Array) -> Float64Array:
    """(3, J, 3) constant and gains that lead from the noise of tiles to what is lost of them."""
    spread = np.zeros((len(losses), 3, SLOPES))
    for index, loss in enumerate(losses):
        bins = _nearest(loss.slope, slope)
        for channel in range(3):
            lost = loss.lost[..., channel]
            spread[index, channel] = _root_mean_squares(
                lost,
                bins,
                SLOPES,
            )
    noise = np.stack([loss.noise for loss in losses])
    fitted = np.zeros((3, SLOPES, 3))
    for channel in range(3):
        of_channel = noise[:, :, channel].astype(np.float64)
        for knot in range(SLOPES):
            values = spread[:, channel, knot]
            known = np.isfinite(values)
            fitted[channel, knot] = _plane(of_channel[known], values[known])
    return fitted


def _plane(noise: Float64Array, spread: Float64Array) -> Float64Array:
    """Constant and two gains by least squares, with a ridge: both noises are nearly alike."""
    if not len(spread):
        return np.zeros(3)
    mean_noise = noise.mean(axis=0)
    mean_spread = spread.mean()
    centred = noise - mean_noise
    ridge = _RIDGE * len(spread) * np.eye(2)
    gains = np.linalg.solve(
        centred.T @ centred + ridge,
        centred.T @ (spread - mean_spread),
    )
    constant = mean_spread - gains @ mean_noise
    return np.array([constant, *gains])


def _interpolated(
    values: Float32Array,
    knots: Float64Array,
    factors: Float64Array,
) -> Float64Array:
    """(H, W, 3) factors (3, K) between knots."""
    channels = [
        np.interp(
            values,
            knots,
            of_channel,
        )
        for of_channel in factors
    ]
    return np.stack(channels, axis=-1)


def _evened_by_slope(
    loss: _Loss,
    slope: Float64Array,
    strength: Float64Array,
) -> Float32Array:
    """(H, W, 3) what is lost, over what its tile's noise and its slope let expect."""
    noise = loss.noise.astype(np.float64)
    regressors = np.stack([np.ones(3), *noise])
    expected = np.einsum(
        "cjk,kc->cj",
        strength,
        regressors,
    )
    spread = _interpolated(
        loss.slope,
        slope,
        expected,
    )
    evened = loss.lost / np.maximum(spread, _MIN_SPREAD)
    return evened.astype(np.float32)


def _by_brightness(
    losses: Sequence[_Loss],
    by_slope: Sequence[Float32Array],
    brightness: Float64Array,
) -> Float64Array:
    """(3, K) root mean square at each brightness; that of a neighbour where few pixels are."""
    bins = np.concatenate([_nearest(loss.brightness, brightness) for loss in losses])
    pixels = np.concatenate([lost.reshape(-1, 3) for lost in by_slope])
    factors = []
    for channel in range(3):
        roots = _root_mean_squares(
            pixels[:, channel],
            bins,
            len(brightness),
        )
        known = np.isfinite(roots)
        factors.append(
            np.interp(
                brightness,
                brightness[known],
                roots[known],
            )
        )
    return np.stack(factors)


def _row(values: Float64Array) -> NumberRow:
    return tuple(round(float(value), _DECIMALS) for value in values)


def _rows(values: Float64Array) -> NumberRows:
    return tuple(_row(row) for row in values)
