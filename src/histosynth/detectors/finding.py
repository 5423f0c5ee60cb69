"""Nuclei of one picture at any scale."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.tile import Pixels
from ..core.units import same_scale
from .detector import Detector


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
    if not same_scale(mpp, detector.mpp):
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
        Size(width, height),
        mpp,
    )
