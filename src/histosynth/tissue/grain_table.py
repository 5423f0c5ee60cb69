"""What an autoencoder loses of tissue, as a bundle keeps it: a few numbers, and patches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.arrays import Float32Array
from .grain_patches import GrainPatches

_MAX_NUMBER = 1e4
_SHA256 = re.compile(r"[0-9a-f]{64}")
NumberRow = tuple[float, ...]
NumberRows = tuple[NumberRow, ...]


@dataclass(frozen=True)
class GrainTable:
    """How strong grain is, in 19 numbers, and which patches it is made of.

    Attributes:
        strength: (3, 3) for each channel, how the standard deviation of what is lost of a tile
            follows from its noise, grey levels: a constant, a gain of the noise of all tissue, a
            gain of that of even tissue.
        noise: (2, 3) noise of typical tissue, all and even, for tiles whose own cannot be measured.
        extremes: (4,) `Appearance.extremes` of typical tissue in canonical stain, for looks whose
            own are not known.
        patches_sha256: `GrainPatches.sha256` of its patches.

    Raises:
        ValueError: shapes or numbers that no table has.
    """

    strength: NumberRows
    noise: NumberRows
    extremes: NumberRow
    patches_sha256: str

    def __post_init__(self) -> None:
        shapes = {
            "strength": (3, 3),
            "noise": (2, 3),
            "extremes": (4,),
        }
        for name, shape in shapes.items():
            _check_numbers(name, getattr(self, name), shape)
        if not _SHA256.fullmatch(self.patches_sha256):
            raise ValueError("patches_sha256 of a grain table must be 64 hexadecimal digits")

    def strength_of(self, noise: Float32Array | None) -> Float32Array:
        """Standard deviation of the grain of a tile of this noise, (3,) grey levels, 0 at least.

        Args:
            noise: (2, 3) from `measure_noise`; None: that of typical tissue.
        """
        if noise is None:
            noise = np.array(self.noise, np.float32)
        gains = np.array(self.strength, np.float32)
        of_all, of_even = noise
        spread: Float32Array = gains[:, 0] + gains[:, 1] * of_all + gains[:, 2] * of_even
        return spread.clip(min=0)


@dataclass(frozen=True, eq=False)
class Grain:
    """A table with its patches.

    Raises:
        ValueError: they are not those of the table.
    """

    table: GrainTable
    patches: GrainPatches

    def __post_init__(self) -> None:
        stated = self.table.patches_sha256
        found = self.patches.sha256
        if found != stated:
            raise ValueError(
                f"the patches of grain have sha256 {found[:12]}, and the table states {stated[:12]}"
            )


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
