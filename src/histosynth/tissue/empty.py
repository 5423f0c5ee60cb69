"""Where a tile holds no tissue: lumina, tears, glass, the inside of fat cells."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.pictures import PictureInput, as_rgb
from ..core.tile import Mask
from .density import optical_density

MAX_EMPTY_DENSITY = 0.12
"""Mean optical density below which smoothed pixels show glass."""
_SMOOTHED_UM = 2.0
_LEAST_RADIUS_UM = 3.0


def find_empty(
    pixels: PictureInput,
    *,
    mpp: float = 0.5,
) -> Mask:
    """Places of a tile without tissue, as `synthesize` takes them.

    Mean optical density (-ln) over 2 um below 0.12, wherever a diamond of 3 um each way fits: loose
    ground between fibres does not count.

    Args:
        pixels: the tile, whatever `as_rgb` takes.
        mpp: its scale, um/px, above 0.

    Returns:
        (H, W) bool.

    Raises:
        NotRGB, UnreadableImage: it is no picture that can be used.
    """
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
