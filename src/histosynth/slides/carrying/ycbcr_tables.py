"""YCbCr of Aperio slides of compression 33003 to the RGB that OpenSlide shows, and back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array
from ...core.tile import Pixels

_BITS = 16
_ONE = 1 << _BITS
_DISTANCES = np.arange(256.0) - 128

_YCBCR = np.array(
    [
        [
            0.299,
            0.587,
            0.114,
        ],
        [
            -0.168735892,
            -0.331264108,
            0.5,
        ],
        [
            0.5,
            -0.418687589,
            -0.081312411,
        ],
    ]
)
"""Of JFIF."""
_CHROMA_OFFSET = np.array(
    [
        0.0,
        128.0,
        128.0,
    ]
)


def _rounded(values: Float64Array) -> NDArray[np.int64]:
    """Nearest whole numbers; a half is rounded away from 0, as C does."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values).astype(np.int64)


RED_OF_CR = _rounded(1.402 * _DISTANCES)
BLUE_OF_CB = _rounded(1.772 * _DISTANCES)
GREEN_OF_CR = _rounded(-0.71414 * _ONE * _DISTANCES)
GREEN_OF_CB = _rounded((0.5 - 0.34414 * _DISTANCES) * _ONE)
"""Whole numbers as OpenSlide has them; those of green times 65,536."""


def rgb_of_ycbcr(components: Pixels) -> Pixels:
    """The colours of components Y, Cb and Cr, both (H, W, 3) uint8."""
    luma = components[..., 0].astype(np.int64)
    blue, red = components[..., 1], components[..., 2]
    green: NDArray[np.int64] = (GREEN_OF_CB[blue] + GREEN_OF_CR[red]) >> _BITS
    colours = np.stack([luma + RED_OF_CR[red], luma + green, luma + BLUE_OF_CB[blue]], axis=-1)
    return colours.clip(0, 255).astype(np.uint8)


def ycbcr_of_rgb(colours: Pixels) -> Float64Array:
    """Components Y, Cb and Cr (H, W, 3) in [0, 255] of colours (H, W, 3) uint8."""
    samples: Float64Array = colours.astype(np.float64)
    return np.asarray(samples @ _YCBCR.T + _CHROMA_OFFSET)
