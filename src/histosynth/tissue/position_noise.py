"""Noise that depends on a seed and a position alone: neighbouring windows agree where they meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import Float32Array

_Words = NDArray[np.uint64]
# odd constants of splitmix64 (Steele, Lea and Flood 2014)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_PARTS = 4
"""Uniform numbers of 16 bits whose sum is nearly normal."""
_STD = np.float32(65536 * np.sqrt(_PARTS / 12))
_MEAN = np.float32(65535 * _PARTS / 2)


def noise_at(
    seed: int,
    x: int,
    y: int,
    *,
    width: int,
    height: int,
    channels: int,
) -> Float32Array:
    """Noise of the pixels of a window, the same in any window that holds a pixel.

    Only integers are mixed (splitmix64), so that every machine gives the same bits. A number is
    the sum of four uniform ones: variance 1, within 3.5 of 0.

    Args:
        seed: any whole number; its lowest 64 bits count.
        x: position of the window's first column, which may be negative.
        y: of its first row.
        width: of the window, px.
        height: of the window, px.
        channels: independent numbers a pixel.

    Returns:
        (channels, height, width) float32, mean 0 and variance 1.
    """
    with np.errstate(over="ignore"):
        key = _mixed(
            np.array(
                [seed & (2**64 - 1)],
                dtype=np.uint64,
            )
            + _GAMMA
        )
        columns = _mixed(
            _positions(
                x,
                width,
            )
            + key
        )
        rows = _mixed(
            _positions(
                y,
                height,
            )
            ^ _mixed(key)
        )
        pixels = columns[None, :] + _GAMMA * rows[:, None]
        numbers = [_normal(_mixed(pixels + _GAMMA * np.uint64(index))) for index in range(channels)]
    return np.stack(numbers)


def _positions(first: int, count: int) -> _Words:
    """Positions along an axis as words; negative ones wrap around."""
    return np.arange(
        first,
        first + count,
        dtype=np.int64,
    ).view(np.uint64)


def _mixed(words: _Words) -> _Words:
    """The finaliser of splitmix64: every bit of a word changes about half of the result's."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))


def _normal(words: _Words) -> Float32Array:
    """Nearly normal numbers from words: the sum of their four parts of 16 bits."""
    parts = words.view(np.uint16).reshape(
        *words.shape,
        _PARTS,
    )
    total = parts[..., 0].astype(np.float32)
    for index in range(
        1,
        _PARTS,
    ):
        total += parts[..., index]
    return (total - _MEAN) / _STD
