"""Coarse pixels of known size, so that a limit on an area means the same at any scale."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ...core.tile import Pixels
from ...core.units import um_to_px

COARSE_PIXEL_UM = 4.0


def coarse_pixels(pixels: Pixels, mpp: float) -> Pixels:
    """The tile at about `COARSE_PIXEL_UM` a pixel, by means of blocks.

    A tile whose own pixels are larger is returned unchanged.
    """
    block_px = um_to_px(COARSE_PIXEL_UM, mpp)
    block = max(round(block_px), 1)
    image = Image.fromarray(pixels)
    reduced = image.reduce(block)
    return np.asarray(reduced, dtype=np.uint8)
