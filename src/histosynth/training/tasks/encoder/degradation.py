"""Degradations of pictures that the encoder learns to measure: blur, noise and JPEG."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image
from scipy import ndimage

from ....core.arrays import Float32Array, Float64Array
from ....core.tile import Pixels

DEGRADATIONS = ("blur", "noise", "jpeg")
MAX_BLUR_PX = 1.8
"""Standard deviation of the strongest blur."""
MAX_NOISE_LEVELS = 14
"""Standard deviation of the strongest noise, grey levels."""
BEST_JPEG_QUALITY = 95
WORST_JPEG_QUALITY = 25


def degrade(
    pixels: Pixels,
    strengths: Float64Array,
    random: np.random.Generator,
) -> Pixels:
    """A picture with blur of up to 1.8 px, noise of up to 14 grey levels, and JPEG of quality 95
    down to 25.

    Args:
        pixels: (H, W, 3) uint8.
        strengths: (3,) in [0, 1], as `DEGRADATIONS`; one of 0 is left out.
        random: source of noise.
    """
    blur, noise, jpeg = (float(strength) for strength in strengths)
    values = pixels.astype(np.float32)
    if blur:
        values = _blurred(values, MAX_BLUR_PX * blur)
    if noise:
        added = random.normal(0, MAX_NOISE_LEVELS * noise, values.shape)
        values = values + added.astype(np.float32)
    rounded = np.clip(values, 0, 255).round()
    degraded: Pixels = rounded.astype(np.uint8)
    if jpeg:
        degraded = _compressed(degraded, jpeg)
    return degraded


def _blurred(values: Float32Array, sigma_px: float) -> Float32Array:
    sigmas = (sigma_px, sigma_px, 0)
    blurred = ndimage.gaussian_filter(values, sigmas)
    return np.asarray(blurred, np.float32)


def _compressed(pixels: Pixels, strength: float) -> Pixels:
    """The picture after JPEG compression."""
    lost = (BEST_JPEG_QUALITY - WORST_JPEG_QUALITY) * strength
    quality = round(BEST_JPEG_QUALITY - lost)
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file), dtype=np.uint8)
