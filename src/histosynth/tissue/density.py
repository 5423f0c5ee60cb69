"""Optical density: how much light tissue absorbs, per channel. Amounts of dye add up in it."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Float32Array
from ..core.tile import Pixels


def optical_density(pixels: Pixels | Float32Array) -> Float32Array:
    """(..., 3) in [0, 255] => -ln((v + 1) / 256), float32: 0 for glass, 5.5 for black."""
    shifted = pixels.astype(np.float32) + 1
    transmitted = shifted / 256
    density: Float32Array = -np.log(transmitted)
    return density


def from_density(density: Float32Array) -> Float32Array:
    """The inverse of `optical_density`: (..., 3) float32 in [0, 255]."""
    transmitted = np.exp(-density)
    pixels: Float32Array = 256 * transmitted - 1
    return np.clip(
        pixels,
        0,
        255,
        out=pixels,
    )
