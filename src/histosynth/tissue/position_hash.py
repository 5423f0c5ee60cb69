"""Whole numbers that depend on a seed and a position alone: neighbouring windows agree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from ..core.arrays import Float64Array

Words = NDArray[np.uint64]
# odd constants of splitmix64 (Steele, Lea and Flood 2014)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def hashed_at(
    seed: int,
    x: int,
    y: int,
    *,
    width: int,
    height: int,
    count: int,
) -> Words:
    """Numbers of the places of a window, the same in any window that holds a place.

    Only integers are mixed (splitmix64), so that every machine gives the same bits.

    Args:
        seed: any whole number; its lowest 64 bits count.
        x: position of the window's first column, which may be negative.
        y: of its first row.
        width: of the window.
        height: of the window.
        count: independent numbers a place.

    Returns:
        (count, height, width) uint64, uniform.
    """
    columns = _positions(x, width)
    rows = _positions(y, height)
    return _hashed(
        seed,
        columns[None, :],
        rows[:, None],
        count,
    )


def hashed_places(
    seed: int,
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    *,
    count: int,
) -> Words:
    """The numbers (count, N) that `hashed_at` gives single places.

    Args:
        seed: any whole number; its lowest 64 bits count.
        x: (N,) columns, which may be negative.
        y: (N,) rows.
        count: independent numbers a place.
    """
    return _hashed(
        seed,
        x.view(np.uint64),
        y.view(np.uint64),
        count,
    )


def normal_at(
    seed: int,
    x: int,
    y: int,
    *,
    width: int,
    height: int,
    count: int,
) -> Float64Array:
    """Unit normal numbers (count, height, width) of the places of a window: see `hashed_at`."""
    words = hashed_at(
        seed,
        x,
        y,
        width=width,
        height=height,
        count=count,
    )
    # 53 bits are exact in float64, and half a step keeps them inside of 0 and 1
    levels = ((words >> np.uint64(11)).astype(np.float64) + 0.5) / 2.0**53
    return np.asarray(special.ndtri(levels))


def _hashed(
    seed: int,
    columns: Words,
    rows: Words,
    count: int,
) -> Words:
    """Numbers (count, ...) of columns and rows that are broadcast."""
    with np.errstate(over="ignore"):
        lowest = np.array(
            [seed & (2**64 - 1)],
            np.uint64,
        )
        key = mixed_words(lowest + _GAMMA)
        mixed_columns = mixed_words(columns + key)
        mixed_rows = mixed_words(rows ^ mixed_words(key))
        places = mixed_columns + _GAMMA * mixed_rows
        numbers = [mixed_words(places + _GAMMA * np.uint64(index)) for index in range(count)]
    return np.stack(numbers)


def _positions(
    first: int,
    count: int,
) -> Words:
    """Positions along an axis as words; negative ones wrap around."""
    last = first + count
    return np.arange(
        first,
        last,
        dtype=np.int64,
    ).view(np.uint64)


def mixed_words(words: Words) -> Words:
    """The finaliser of splitmix64: every bit of a word changes about half of the result's."""
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))
