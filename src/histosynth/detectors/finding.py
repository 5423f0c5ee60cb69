"""Nuclei of one picture at any scale."""

from __future__ import annotations

import numpy as np

from ..core.geometry import Size
from ..core.nuclei import Nuclei
from ..core.resampling import resample_rgb
from ..core.tile import Pixels
from ..core.units import same_scale
from .detector import Detector


def find_nuclei(
    pixels: Pixels,
    mpp: float,
    detector: Detector,
) -> Nuclei:
    """Nuclei that a detector finds in a picture, in the picture's own px.

    Args:
        pixels: (H, W, 3) uint8.
        mpp: its scale, um/px.
        detector: works at its own scale; the picture is resampled to that.
    """
    height, width = pixels.shape[:2]
    if same_scale(mpp, detector.mpp):
        found = detector(pixels)
        xy = found.xy
    else:
        resampled = resample_rgb(pixels, mpp / detector.mpp)
        found = detector(resampled)
        scale = np.array(
            [width / resampled.shape[1], height / resampled.shape[0]],
            np.float32,
        )
        # pixel centres have whole coordinates: the edge of the picture is at -0.5
        xy = (found.xy + np.float32(0.5)) * scale - np.float32(0.5)
    inside = np.all(
        (xy >= -0.5) & (xy < np.array([width, height]) - 0.5),
        axis=1,
    )
    kept = np.asarray(inside)
    return Nuclei(
        xy[kept].astype(np.float32),
        found.class_ids[kept],
        detector.classes,
        Size(width, height),
        mpp,
    )
