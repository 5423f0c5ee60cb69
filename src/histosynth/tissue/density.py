"""Optical density: how much light a tissue takes, per channel. Amounts of dye add up in it."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Float32Array
from ..core.tile import Pixels


def optical_density(pixels: Pixels | Float32Array) -> Float32Array:
    """(..., 3) in [0, 255] => -ln((v + 1) / 256), float32: 0 for glass, 5.5 for black."""
    density: Float32Array = -np.log((pixels.astype(np.float32) + 1) / 256)
    return density


def from_density(density: Float32Array) -> Float32Array:
    """The way back from `optical_density`: (..., 3) float32 in [0, 255]."""
    out: Float32Array = 256 * np.exp(-density) - 1
    return np.clip(out, 0, 255, out=out)
