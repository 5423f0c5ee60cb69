"""Changes of a tile that keep what it shows: pose and stain.

Poses are the eight of the square. Stain jitter scales haematoxylin and eosin separately in optical
density (Tellez et al. 2018, "HED"), so that colours move along the directions in which dyes,
section thickness and scanners move them.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ..core.arrays import Float32Array
from ..core.tile import Pixels
from .density import from_density, optical_density

# Optical density of haematoxylin, eosin and a residual (Ruifrok & Johnston 2001), one row each.
_HED_DENSITY = np.array(
    [
        [0.650, 0.704, 0.286],
        [0.072, 0.990, 0.105],
        [0.268, 0.570, 0.776],
    ]
)
HED = _HED_DENSITY / np.linalg.norm(
    _HED_DENSITY,
    axis=1,
    keepdims=True,
)
"""The same as unit vectors."""
_STRENGTH_BY_DYE = np.array([1.0, 1.0, 0.5])


def pose(
    pixels: NDArray[np.generic],
    index: int,
) -> NDArray[np.generic]:
    """Turn (H, W, ...) by `index % 4` quarter turns, then mirror left-right if `index >= 4`."""
    turned = np.rot90(pixels, index % 4)
    if index >= 4:
        return turned[:, ::-1]
    return turned


def stain_matrix(
    generator: Generator,
    strength: float,
) -> Float32Array:
    """A random colour change in optical density, (3, 3): `od @ matrix` is the new density.

    Args:
        generator: source of randomness.
        strength: standard deviation of the log of each dye's scale; 0 changes nothing,
            0.15 stays within what laboratories produce.
    """
    log_scales = generator.normal(0.0, strength, 3)
    scales = np.exp(log_scales * _STRENGTH_BY_DYE)
    # the hues of the dyes differ between laboratories too, a little
    hue_change = generator.normal(0.0, strength / 6, (3, 3))
    directions = HED + hue_change
    matrix = np.linalg.inv(HED) @ np.diag(scales) @ directions
    return np.asarray(matrix, np.float32)


def restain(
    pixels: Pixels,
    matrix: Float32Array,
) -> Float32Array:
    """Apply a density change (3, 3) to (H, W, 3) uint8; returns float32 in [0, 255]."""
    density = optical_density(pixels)
    return from_density(density @ matrix)
