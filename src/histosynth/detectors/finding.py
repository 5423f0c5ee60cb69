"""Nuclei of one picture at any scale."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..core.nuclei import Nuclei
from ..core.tile import Pixels
from .detector import Detector

SAME_SCALE = 0.03
"""Within this of the detector's scale a picture is looked at as it is."""


def find_nuclei(pixels: Pixels, mpp: float, detector: Detector) -> Nuclei:
    """What a detector finds in a picture, in the picture's own px.

    Args:
        pixels: (H, W, 3) uint8.
        mpp: its scale, um/px.
        detector: looks at its own scale; the picture is resampled for it without aliasing.
    """
    height, width = pixels.shape[:2]
    factor = mpp / detector.mpp
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    if abs(factor - 1) > SAME_SCALE:
        method = Image.Resampling.BOX if factor < 1 else Image.Resampling.LANCZOS
        found = detector(np.array(Image.fromarray(pixels).resize(size, method), dtype=np.uint8))
        scale = np.array([width / size[0], height / size[1]], np.float32)
        xy = (found.xy + np.float32(0.5)) * scale - np.float32(0.5)
    else:
        found = detector(pixels)
        xy = found.xy
    inside = np.all((xy >= -0.5) & (xy < np.array([width, height]) - 0.5), axis=1)
    kept = np.asarray(inside)
    return Nuclei(
        xy[kept].astype(np.float32),
        found.class_ids[kept],
        detector.classes,
        (width, height),
        mpp,
    )
