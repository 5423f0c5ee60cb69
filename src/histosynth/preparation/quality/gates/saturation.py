"""Saturation: pixels at the end of the camera's scale, black in a channel or burnt out."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ....core.tile import Pixels
from ..gate import share_gate

_MAX_BLACK_LEVEL = 3


def measure_saturation(pixels: Pixels, mpp: float) -> float:
    """Share of pixels that are black in a channel, or burnt out among dyed ones.

    Glass may be burnt out. Tissue may not: single burnt pixels among dyed ones count.
    """
    red = pixels[..., 0]
    green = pixels[..., 1]
    blue = pixels[..., 2]
    # channel by channel: reductions over an axis of three are slow
    spoilt = (red <= _MAX_BLACK_LEVEL) | (green <= _MAX_BLACK_LEVEL) | (blue <= _MAX_BLACK_LEVEL)
    burnt = (red == 255) & (green == 255) & (blue == 255)
    if burnt.any():
        glass = np.asarray(ndimage.binary_opening(burnt, iterations=2))
        spoilt |= burnt & ~glass
    return float(spoilt.mean())


SATURATION = share_gate(
    "saturation",
    measure_saturation,
    0.05,
    "pixels at the end of the scale:",
)
