"""Where a tile holds no tissue: lumina, tears, glass, the inside of fat cells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.pictures import PictureInput, as_rgb
from ..core.synthetic import stated_mpp
from ..core.tile import Mask
from ..core.units import check_mpp
from .density import optical_density

MAX_EMPTY_DENSITY = 0.12
"""Mean optical density below which smoothed pixels show glass; chosen by eye on training tiles."""
_USUAL_MPP = 0.5
_SMOOTHED_UM = 2.0
_LEAST_RADIUS_UM = 3.0


def find_empty(
    pixels: PictureInput,
    *,
    mpp: float | None = None,
) -> Mask:
    """Places of a tile without tissue, as `synthesize` takes them.

    Mean optical density (-ln) over 2 um below 0.12, wherever a diamond of 3 um each way fits: loose
    ground between fibres does not count. Glass darker than 226 of 255, as some scanners show it, is
    not found.

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
    smoothed = ndimage.uniform_filter(
        density,
        max(round(_SMOOTHED_UM / mpp), 1),
    )
    opened = ndimage.binary_opening(
        smoothed < MAX_EMPTY_DENSITY,
        iterations=max(round(_LEAST_RADIUS_UM / mpp), 1),
    )
    return np.asarray(opened)
