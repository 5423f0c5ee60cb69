"""Statistics of what an autoencoder loses, as a bundle keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Float32Array

KERNEL_PX = 7
"""Side of the filters that give noise its spectrum."""
_MIN_KNOTS = 2
_MAX_KNOTS = 64
_MAX_NUMBER = 1e4
NumberRow = tuple[float, ...]
NumberRows = tuple[NumberRow, ...]


@dataclass(frozen=True)
class GrainTable:
    """What an autoencoder loses of tissue in canonical stain, in about 280 numbers.

    Attributes:
        brightness: (K,) knots in grey levels, rising.
        slope: (J,) knots in grey levels per px, rising.
        by_brightness: (3, K) for each channel, factor of the strength at each brightness.
        kernels: (3, 7, 7) for each channel, the filter of white noise; of unit power.
        mixing: (3, 3) lower triangle that gives channels their correlation.
        patches: standard deviation of the log of the strength from patch to patch.
        strength: (3, J, 3) for each channel and slope, how the standard deviation of what is lost
            of a tile follows from its noise, grey levels: a constant, a gain of the noise of all
            tissue, a gain of that of even tissue.
        noise: (2, 3) noise of typical tissue, all and even, for tiles whose own cannot be measured.
        extremes: (4,) `Appearance.extremes` of typical tissue in canonical stain, for looks whose
            own are not known.

    Raises:
        ValueError: shapes or numbers that no table has.
    """

    brightness: NumberRow
    slope: NumberRow
    by_brightness: NumberRows
    kernels: tuple[NumberRows, ...]
    mixing: NumberRows
    patches: float
    strength: tuple[NumberRows, ...]
    noise: NumberRows
    extremes: NumberRow

    def __post_init__(self) -> None:
        brightnesses = len(self.brightness)
        slopes = len(self.slope)
        for count in (brightnesses, slopes):
            if not _MIN_KNOTS <= count <= _MAX_KNOTS:
                limits = f"{_MIN_KNOTS} to {_MAX_KNOTS}"
                raise ValueError(f"a grain table has {limits} knots, not {count}")
        shapes = {
            "brightness": (brightnesses,),
            "slope": (slopes,),
            "by_brightness": (3, brightnesses),
            "kernels": (3, KERNEL_PX, KERNEL_PX),
            "mixing": (3, 3),
            "strength": (3, slopes, 3),
            "noise": (2, 3),
            "extremes": (4,),
        }
        for name, shape in shapes.items():
            _check_numbers(name, getattr(self, name), shape)
        for knots in (self.brightness, self.slope):
            if (np.diff(knots) <= 0).any():
                raise ValueError("knots of a grain table must rise")
        if not 0 <= self.patches <= 1:
            raise ValueError(f"patches of a grain table must lie in 0..1, not {self.patches}")

    def strength_of(self, noise: Float32Array | None) -> Float32Array:
        """Standard deviation of grain at each slope for a tile of this noise, (3, J) grey levels, 0
        at least.

        Args:
            noise: (2, 3) from `measure_noise`; None: that of typical tissue.
        """
        if noise is None:
            noise = np.array(self.noise, np.float32)
        gains = np.array(self.strength, np.float32)
        of_all = noise[0][:, None]
        of_even = noise[1][:, None]
        spread: Float32Array = gains[..., 0] + gains[..., 1] * of_all + gains[..., 2] * of_even
        return spread.clip(min=0)


def _check_numbers(
    name: str,
    values: Any,
    shape: tuple[int, ...],
) -> None:
    """Refuse nested tuples of another shape, and numbers that no table holds."""
    try:
        numbers = np.array(values, np.float64)
    except ValueError:
        numbers = np.zeros(0)
    if numbers.shape != shape:
        raise ValueError(f"{name} of a grain table must have shape {shape}")
    largest = np.abs(numbers).max()
    if not largest <= _MAX_NUMBER:
        raise ValueError(f"numbers of a grain table must lie within {_MAX_NUMBER:,.0f}")
