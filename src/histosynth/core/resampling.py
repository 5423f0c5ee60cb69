"""One way to bring a picture to another scale."""

from __future__ import annotations

import numpy as np
from PIL import Image

from .tile import Pixels


def resample_rgb(
    pixels: Pixels,
    factor: float,
) -> Pixels:
    """A picture `factor` times as large: by area averaging, or by Lanczos where it enlarges.

    Args:
        pixels: (H, W, 3) uint8.
        factor: of both sides; the sides of the result are rounded, and at least 1 px.

    Returns:
        (H', W', 3) uint8; the picture itself where its size stays the same.
    """
    height, width = pixels.shape[:2]
    new_width = max(round(width * factor), 1)
    new_height = max(round(height * factor), 1)
    if (new_width, new_height) == (width, height):
        return pixels
    method = Image.Resampling.LANCZOS
    if factor < 1:
        method = Image.Resampling.BOX
    contiguous = np.ascontiguousarray(pixels)
    image = Image.fromarray(contiguous)
    image = image.resize((new_width, new_height), method)
    return np.array(image)
