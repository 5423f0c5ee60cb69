"""Where a tile holds no tissue: lumina, tears, glass, the inside of fat cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.pictures import PictureInput, as_rgb
from ..core.synthetic import stated_mpp
from ..core.tile import Mask
from ..core.units import check_mpp
from .density import optical_density

MAX_EMPTY_DENSITY = 0.12
"""Mean optical density below which smoothed pixels show glass; chosen by eye on training tiles."""
MAX_EMPTY_VARIATION = 0.02
"""Standard deviation of optical density, over 4.5 um, below which ground is even. On training tiles
large places of less density have less than 0.015 (glass) or more than 0.03 (pale fibres)."""
_USUAL_MPP = 0.5
_SMOOTHED_UM = 2.0
_WINDOW_UM = 4.5
_LEAST_SHARE = 1e-6
_LEAST_RADIUS_UM = 3.0


def find_empty(
    pixels: PictureInput,
    *,
    mpp: float | None = None,
) -> Mask:
    """Places of a tile without tissue, as `synthesize` takes them.

    Mean optical density (-ln) over 2 um below 0.12 on even ground, wherever a diamond of 3 um each
    way fits: neither pale fibres nor the loose ground between them count. Glass darker than 226 of
    255, as some scanners show it, is not found, nor glass whose noise is above 4 grey levels at
    0.5 um/px. Pixels wider than 2 um are too coarse to see fibres: there lightness alone counts.

    Args:
        pixels: the tile, whatever `as_rgb` takes.
        mpp: its scale, um/px; None: that which it states, else 0.5.

    Returns:
        (H, W) bool.

    Raises:
        NotRGB, UnreadableImage: it is no picture that can be used.
        ValueError: the scale is none of a microscope.
    """
    if mpp is None:
        mpp = stated_mpp(pixels) or _USUAL_MPP
    check_mpp(mpp)
    rgb = as_rgb(pixels, "the tile")
    density = optical_density(rgb).mean(axis=2)
    smoothed = _mean_around(density, _SMOOTHED_UM / mpp)
    is_light = smoothed < MAX_EMPTY_DENSITY
    radius = max(round(_LEAST_RADIUS_UM / mpp), 1)
    light = ndimage.binary_opening(
        is_light,
        iterations=radius,
    )
    variation = _variation(density, light, mpp)
    even = variation < MAX_EMPTY_VARIATION
    seeds = ndimage.binary_opening(
        light & even,
        iterations=radius,
    )
    # near its edge glass is not even: its blur is taken back
    edge = max(round(_WINDOW_UM / mpp / 2), 1)
    grown = ndimage.binary_dilation(
        seeds,
        iterations=edge,
        mask=light,
    )
    return np.asarray(grown)


def _mean_around(values: NDArray[np.floating], side_px: float) -> NDArray[np.floating]:
    side = max(round(side_px), 1)
    return np.asarray(ndimage.uniform_filter(values, side))


def _variation(density: NDArray[np.floating], light: Mask, mpp: float) -> NDArray[np.floating]:
    """(H, W) standard deviation of the density over the light pixels around each."""
    weight = light.astype(np.float64)
    values = _mean_around(density, _USUAL_MPP / mpp) * weight  # noise of finer pixels is no fibre
    side = _WINDOW_UM / mpp
    share = np.maximum(_mean_around(weight, side), _LEAST_SHARE)
    mean = _mean_around(values, side) / share
    square = _mean_around(values**2, side) / share
    variance = np.maximum(square - mean**2, 0)
    return np.asarray(np.sqrt(variance))
