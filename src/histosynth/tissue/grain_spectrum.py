"""Spectrum, correlation and patches of what an autoencoder loses, once it is equally strong
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array
from .grain_table import KERNEL_PX

_SQUARE_PX = 256
"""Side of the squares whose spectra are averaged."""
_LOCAL_SIGMA_PX = 1.5
_MIN_POWER = 1e-3


def fit_kernels(even: Sequence[Float32Array]) -> list[Float64Array]:
    """Symmetric filters (7, 7) of unit power with the mean spectrum of each channel.

    Args:
        even: what is lost of tiles, (H, W, 3).
    """
    kernels = []
    for channel in range(3):
        spectra = [_power(lost[..., channel]) for lost in even]
        amplitude = np.sqrt(
            np.mean(
                spectra,
                axis=0,
            )
        )
        kernel = _middle_of(np.fft.ifft2(amplitude).real)
        kernel = _symmetric(kernel)
        power = (kernel**2).sum()
        kernels.append(kernel / np.sqrt(power))
    return kernels


def _power(lost: Float32Array) -> Float64Array:
    """Power spectrum of the first square of a tile; smaller tiles are filled with zeros."""
    square = lost[:_SQUARE_PX, :_SQUARE_PX]
    centred = square - square.mean()
    spectrum = np.fft.fft2(
        centred,
        (_SQUARE_PX, _SQUARE_PX),
    )
    power: Float64Array = np.abs(spectrum) ** 2 / square.size
    return power


def _middle_of(response: Float64Array) -> Float64Array:
    """The middle (7, 7) of a response whose origin is its first number."""
    centred = np.fft.fftshift(response)
    middle = _SQUARE_PX // 2
    reach = KERNEL_PX // 2
    part = slice(
        middle - reach,
        middle + reach + 1,
    )
    return centred[part, part]


def _symmetric(kernel: Float64Array) -> Float64Array:
    """Mean over the eight poses of a square."""
    poses = []
    for turned in (kernel, kernel.T):
        for flipped in (turned, turned[::-1]):
            poses += [flipped, flipped[:, ::-1]]
    mean: Float64Array = np.mean(
        poses,
        axis=0,
    )
    return mean


def fit_mixing(even: Sequence[Float32Array]) -> Float64Array:
    """Lower triangle whose product with its transpose is the correlation of channels.

    Args:
        even: what is lost of tiles, (H, W, 3).
    """
    covariances = [
        np.cov(
            lost.reshape(
                -1,
                3,
            ).T
        )
        for lost in even
    ]
    covariance = np.mean(
        covariances,
        axis=0,
    )
    deviation = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(
        deviation,
        deviation,
    )
    return np.asarray(np.linalg.cholesky(correlation))


def fit_patches(even: Sequence[Float32Array]) -> float:
    """Standard deviation of the log of the strength from patch to patch, beyond that of chance.

    Args:
        even: what is lost of tiles, (H, W, 3).
    """
    random = np.random.default_rng(0)
    white = random.standard_normal((_SQUARE_PX, _SQUARE_PX, 3))
    by_chance = _spread_of_log_power(white)
    spreads = [_spread_of_log_power(lost) for lost in even]
    mean_spread = float(np.mean(spreads))
    variance = max(
        mean_spread**2 - by_chance**2,
        0,
    )
    # of power; the strength is its root
    return float(np.sqrt(variance)) / 2


def _spread_of_log_power(lost: Float32Array | Float64Array) -> float:
    power = (lost**2).mean(axis=2)
    local = ndimage.gaussian_filter(
        power,
        _LOCAL_SIGMA_PX,
    )
    log_power = np.log(local + _MIN_POWER)
    return float(log_power.std())
