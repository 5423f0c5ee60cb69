"""What two pieces of tissue share beyond the places of their nuclei.

A tile that was generated from the nuclei of a training tile correlates with it because nuclei are
dark and stand at the same places. Only what nuclei do not determine tells whether the tissue itself
was copied: both textures are fitted by the places and depths of the dark spots of both, at several
widths, and what is left of them is compared (a partial correlation).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core.arrays import Float32Array, Float64Array

SPOT_UM = 2.0
"""Sigma of the Laplacian of Gaussian whose extrema are nuclei (Lindeberg 1998)."""
MIN_SPOT = 0.08
"""Response of the Laplacian of Gaussian, optical density."""
WIDTHS_UM = (1.0, 2.0, 3.5, 6.0)
"""Sigmas of the bells around each nucleus: nucleus, cytoplasm, crowding."""
CROWDING_UM = 6.0
"""What changes over more than this is crowding of nuclei, and is removed."""
_ROUNDING = 1e-6
"""Less than this share of the textures is rounding."""


def correlation_beyond_layout(first: Float32Array, second: Float32Array) -> float:
    """Correlation of two textures without what the places of nuclei explain, in [-1, 1].

    Args:
        first: (h, w) density at 1 um/px, from `register.texture` or a part of it.
        second: (h, w), the same place of the other tissue.

    Returns:
        nan where nothing is left of one of them.
    """
    constant = np.ones(first.size)
    columns = [constant]
    columns += _layout_maps(first)
    columns += _layout_maps(second)
    design = np.stack(columns, axis=1)
    textures = [
        _without_crowding(first).ravel(),
        _without_crowding(second).ravel(),
    ]
    both = np.stack(textures, axis=1)
    weights, *_ = np.linalg.lstsq(design, both)
    left = both - design @ weights
    norms = np.linalg.norm(left, axis=0)
    length = float(np.linalg.norm(both))
    if norms.min() <= _ROUNDING * length:
        return math.nan
    product = left[:, 0] @ left[:, 1]
    return float(product / norms.prod())


def _layout_maps(texture: Float32Array) -> list[Float64Array]:
    """Bells of each width around the nuclei of a texture, flat."""
    spots = _spots(texture)
    maps = []
    for width in WIDTHS_UM:
        bells = ndimage.gaussian_filter(
            spots,
            width,
            mode="constant",
        )
        fine = _without_crowding(bells)
        maps.append(fine.ravel())
    return maps


def _spots(texture: Float32Array) -> Float64Array:
    """(h, w) how dark the spot is at the middle of each dark spot, 0 elsewhere."""
    values = texture.astype(np.float64)
    curvature = ndimage.gaussian_laplace(values, SPOT_UM)
    response = -curvature * SPOT_UM**2
    side = 2 * round(SPOT_UM) + 1
    highest = ndimage.maximum_filter(response, size=side)
    is_highest = response == highest
    is_dark = response > MIN_SPOT
    return np.where(
        is_highest & is_dark,
        response,
        0.0,
    )


def _without_crowding(texture: NDArray[np.floating]) -> Float64Array:
    """A texture without what changes slowly."""
    values = texture.astype(np.float64)
    slow = ndimage.gaussian_filter(values, CROWDING_UM)
    return np.asarray(values - slow)
