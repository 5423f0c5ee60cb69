"""The interface of a detector of nuclei, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import BoolArray, Float32Array
from ..core.tile import Pixels


@dataclass(frozen=True, eq=False)
class DetectedNuclei:
    """Nuclei that a detector found in a picture.

    Attributes:
        xy: (N, 2) float32, pixels, (0, 0) the centre of the top-left pixel.
        class_ids: (N,) uint8, index into the detector's `classes`.
        score: (N,) float32 in [0, 1], comparable within one detector only.
    """

    xy: Float32Array
    class_ids: NDArray[np.uint8]
    score: Float32Array

    def __len__(self) -> int:
        return len(self.xy)

    def where(self, keep: BoolArray) -> DetectedNuclei:
        """Those marked True in `keep` (N)."""
        return DetectedNuclei(
            self.xy[keep],
            self.class_ids[keep],
            self.score[keep],
        )

    def shift(self, dx: float, dy: float) -> DetectedNuclei:
        """All moved by (dx, dy) px."""
        moved = self.xy + np.array([dx, dy], np.float32)
        return DetectedNuclei(moved, self.class_ids, self.score)


class Detector(Protocol):
    """Finds nuclei. Its result at a position depends on `halo_px` around it and on nothing else."""

    @property
    def name(self) -> str:
        """For the record: which one, with which weights."""

    @property
    def mpp(self) -> float:
        """Scale it works at, um/px."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes it distinguishes."""

    @property
    def halo_px(self) -> int:
        """Tissue needed around a tile, a multiple of `lattice_px`."""

    @property
    def lattice_px(self) -> int:
        """Windows must begin on multiples of this; elsewhere the results differ slightly."""

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture (H, W, 3) uint8 at `mpp`."""
