"""Air: grey that is neither glass nor dyed: rims of bubbles, dust, dried mounting medium."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ....core.arrays import Float32Array
from ....core.tile import Mask, Pixels
from ....tissue.density import optical_density
from ..coarse import coarse_pixels
from ..gate import share_gate

_MIN_GREY_DENSITY = 0.25
_MAX_GREY_CHROMA = 0.25
"""Largest spread of the channels' densities in grey, relative to their mean."""


def measure_grey(pixels: Pixels, mpp: float) -> float:
    """Share that is darker than glass and of no dye's colour."""
    return float(is_grey(optical_density(coarse_pixels(pixels, mpp))).mean())


def is_grey(density: Float32Array) -> Mask:
    """(H, W) bool of an optical density (H, W, 3): darker than glass, and of no dye's colour."""
    smooth = np.asarray(ndimage.gaussian_filter(density, (1, 1, 0)))
    thinnest = smooth.min(axis=2)
    chroma = smooth.max(axis=2) - thinnest
    is_dark = thinnest > _MIN_GREY_DENSITY
    is_colourless = chroma < _MAX_GREY_CHROMA * smooth.mean(axis=2)
    return np.asarray(is_dark & is_colourless)


AIR = share_gate(
    "air",
    measure_grey,
    0.1,
    "grey covers",
)
