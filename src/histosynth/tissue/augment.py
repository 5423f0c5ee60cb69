"""What may change about a tile without changing what it is: pose and stain.

Poses are the eight of the square. Stain jitter scales haematoxylin and eosin apart in
optical density (Tellez et al. 2018, "HED"), so that colours move along directions that
dyes, section thickness and scanners move them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.tile import Pixels

# Optical-density directions of haematoxylin, eosin and a residual (Ruifrok & Johnston 2001), rows.
HED = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]])
HED = HED / np.linalg.norm(HED, axis=1, keepdims=True)


def pose(pixels: NDArray[np.generic], index: int) -> NDArray[np.generic]:
    """Turn (H, W, ...) by `index % 4` quarter turns, then mirror left-right if `index >= 4`."""
    turned = np.rot90(pixels, index % 4)
    return turned[:, ::-1] if index >= 4 else turned


def stain_matrix(generator: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """A random colour change in optical density, (3, 3): `od @ matrix` is the new density.

    Args:
        generator: source of randomness.
        strength: standard deviation of the log of each dye's scale; 0 changes nothing,
            0.15 stays within what laboratories produce.
    """
    dyes = np.exp(generator.normal(0.0, strength, 3) * np.array([1.0, 1.0, 0.5]))
    turn = generator.normal(0.0, strength / 6, (3, 3))  # the dyes' hues differ too, a little
    directions = HED + turn
    return (np.linalg.inv(HED) @ np.diag(dyes) @ directions).astype(np.float32)


def restain(pixels: Pixels, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a density change to (H, W, 3) uint8; returns float32 in [0, 255]."""
    density = -np.log((pixels.astype(np.float32) + 1.0) / 256.0)
    out: NDArray[np.float32] = np.clip(256.0 * np.exp(-(density @ matrix)) - 1.0, 0.0, 255.0)
    return out
