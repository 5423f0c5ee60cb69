"""Optical density: how much light a tissue takes, per channel. Amounts of dye add up in it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.tile import Pixels

Floats = NDArray[np.float32]


def optical_density(pixels: Pixels | Floats) -> Floats:
    """(..., 3) in [0, 255] => -ln((v + 1) / 256), float32: 0 for glass, 5.5 for black."""
    density: Floats = -np.log((pixels.astype(np.float32) + 1) / 256)
    return density


def from_density(density: Floats) -> Floats:
    """The way back from `optical_density`: (..., 3) float32 in [0, 255]."""
    out: Floats = 256 * np.exp(-density) - 1
    return np.clip(out, 0, 255, out=out)
