"""InstanSeg (Goldsborough et al. 2024), nuclei of one class; extra `histosynth[instanseg]`."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import ndimage

from ..core.errors import BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels
from .detector import DetectedNuclei

MODEL = "brightfield_nuclei"


class InstansegDetector:
    """See `prepare.nuclei.detector.Detector`. Its weights are fetched by the package at first use.

    Raises:
        NeedsExtra: the package is not installed.
        BadWeights: its weights are neither here nor to be had.
    """

    name = f"instanseg {MODEL}"
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
            self._model: Any = InstanSeg(MODEL, verbosity=0)
        except (OSError, RuntimeError, ValueError) as error:
            from pathlib import Path

            raise BadWeights(Path(MODEL), first_line(error)) from error

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture at 0.5 um/px: the centres of mass of its instances."""
        labels, _ = self._model.eval_small_image(pixels, self.mpp)
        instances = np.asarray(labels).reshape(pixels.shape[:2]).astype(np.int64)
        numbers = np.unique(instances[instances > 0])
        centres = ndimage.center_of_mass(instances > 0, instances, numbers) if len(numbers) else []
        xy = np.array(centres, np.float32).reshape(-1, 2)[:, ::-1].copy()
        return DetectedNuclei(xy, np.zeros(len(xy), np.uint8), np.ones(len(xy), np.float32))
