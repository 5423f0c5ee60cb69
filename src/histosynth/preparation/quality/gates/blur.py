"""Blur: fine over coarse detail of tissue. The ratio falls with focus, and not with paleness."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ....core.arrays import Float32Array, Scalar
from ....core.tile import Pixels
from ....core.units import um_to_px
from ..gate import ratio_gate

_STRIP_PX = 64
_MAX_TISSUE_LEVEL = 225
"""Green grey level above which a smoothed pixel is glass."""


def measure_sharpness(pixels: Pixels, mpp: float) -> float:
    """Fine detail (0.5 to 1 um) for each unit of coarse detail (2 to 4 um); 1 on glass."""
    green = np.ascontiguousarray(pixels[..., 1])
    strips = _strips(green)
    # shot noise is fine detail too: a first slight smoothing leaves it out
    fine = _smooth(strips, um_to_px(0.25, mpp)) - _smooth(strips, um_to_px(0.5, mpp))
    half = np.asarray(Image.fromarray(green).reduce(2))
    smoothed = _smooth(half, um_to_px(1.0, mpp))
    coarse = _smooth(half, um_to_px(0.5, mpp)) - smoothed
    tissue = smoothed < _MAX_TISSUE_LEVEL
    if not tissue.any():
        return 1.0
    height, width = green.shape
    full_size = np.repeat(np.repeat(tissue, 2, axis=0), 2, axis=1)[:height, :width]
    fine_of_tissue = fine[_strips(full_size)]
    coarse_of_tissue = coarse[tissue]
    return float(fine_of_tissue.std() / max(coarse_of_tissue.std(), 1.0))


def _strips(rows: NDArray[Scalar]) -> NDArray[Scalar]:
    """(N, 64, W): every second strip of a large picture, whose focus is that of the whole."""
    count = rows.shape[0] // (2 * _STRIP_PX)
    if count < 4:
        return rows[None]
    pairs = rows[: count * 2 * _STRIP_PX].reshape(
        count,
        2 * _STRIP_PX,
        -1,
    )
    out: NDArray[Scalar] = pairs[:, :_STRIP_PX]
    return out


def _smooth(grey: NDArray[np.uint8], sigma_px: float) -> Float32Array:
    """Gaussian over the last two axes."""
    leading_axes = (0.0,) * (grey.ndim - 2)
    out: Float32Array = ndimage.gaussian_filter(
        grey,
        (*leading_axes, sigma_px, sigma_px),
        output=np.float32,
        truncate=3.0,
    )
    return out


BLUR = ratio_gate(
    "blur",
    measure_sharpness,
    0.17,
    "it is blurred: fine detail is",
)
