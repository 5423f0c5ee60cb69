"""InstanSeg (Goldsborough et al. 2024), nuclei of one class; extra `histosynth[instanseg]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from ..core.errors import BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels
from .detector import DetectedNuclei

_MODEL = "brightfield_nuclei"


class InstansegDetector:
    """See `Detector`. Its weights are fetched by the package at first use.

    Raises:
        NeedsExtra: the package is not installed.
        BadWeights: its weights are neither on this machine nor available.
    """

    name = f"instanseg {_MODEL}"
    mpp = 0.5
    classes = ("nucleus",)
    halo_px = 64
    lattice_px = 16

    def __init__(self) -> None:
        try:
            from instanseg import InstanSeg
        except ImportError as error:
            raise NeedsExtra("InstanSeg", "instanseg") from error
        try:
            self._model: Any = InstanSeg(_MODEL, verbosity=0)
        except (OSError, RuntimeError, ValueError) as error:
            raise BadWeights(
                Path(_MODEL),
                first_line(error),
            ) from error

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture at 0.5 um/px: the centres of mass of its instances."""
        labels, _ = self._model.eval_small_image(pixels, self.mpp)
        instances = np.asarray(labels).reshape(pixels.shape[:2]).astype(np.int64)
        numbers = np.unique(instances[instances > 0])
        centres: Any = []
        if len(numbers):
            centres = ndimage.center_of_mass(instances > 0, instances, numbers)
        yx = np.array(centres, np.float32).reshape(-1, 2)
        xy = yx[:, ::-1].copy()
        return DetectedNuclei(
            xy,
            np.zeros(len(xy), np.uint8),
            np.ones(len(xy), np.float32),
        )
