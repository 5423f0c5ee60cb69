"""Macenko's method: the dyes are the extreme directions in the plane of most variance.

Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009.
"""

from __future__ import annotations

import numpy as np

from ...core.tile import Pixels
from .dyes import DyeStain, stain_of_dyes, stained_density
from .stain import StainMethod
from .unlit import lit_pixels

EXTREME_PERCENTILES = (1, 99)


def fit_macenko(pixels: Pixels, name: str = "the picture") -> DyeStain:
    """Find the dyes by Macenko's method.

    Args:
        pixels: (..., 3) uint8 of tissue; glass and black ground in it are left out.
        name: of the picture, for refusals.

    Raises:
        StainNotFound: too little tissue, one dye only, or directions that no dye has.
    """
    pixels = lit_pixels(pixels, name)
    density = stained_density(pixels, name)
    covariance = np.cov(density.T)
    _, vectors = np.linalg.eigh(covariance)
    plane = vectors[:, 1:]
    along, across = (density @ plane).T
    angles = np.arctan2(across, along)
    extremes = []
    for angle in np.percentile(angles, EXTREME_PERCENTILES):
        direction = [np.cos(angle), np.sin(angle)]
        extremes.append(plane @ direction)
    # haematoxylin absorbs more red
    first, second = sorted(extremes, key=lambda direction: -direction[0])
    return stain_of_dyes(
        np.array([first, second]),
        pixels,
        name,
        "macenko",
    )


MACENKO = StainMethod(
    "macenko",
    fit_macenko,
    DyeStain.from_dict,
    revision=2,
)
