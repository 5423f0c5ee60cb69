"""Hue at each density: the part of a stain that three scales cannot carry.

In one slide pale tissue may be grey and dark tissue violet; in another pale tissue is pink. The
mean hue of a whole tile depends on what stands in it; the mean hue of pixels of *one* density
hardly does. So that is what is taken from a reference tile, or from the tissue around a hole, and
given to what was painted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import Float32Array
from ..core.tile import Mask
from .density import from_density, optical_density

KNOTS = 7
"""Densities at which hue is measured, from 0 to the 98th percentile of the tissue."""
BINS = 16
"""Bins per knot."""
HUE_SHARE = 0.6
"""How much of the difference is taken back: what differs beside the stain (more red fibres here
than there) is in it too. 0 to 1 were tried (docs/log.md): most is gained by 0.6, and above it a
reference of other tissue begins to tint nuclei."""
SURE_PX = 200.0
"""Pixels that make a knot half sure."""
MIN_HUE_PX = 2000
"""Pixels below which there is no telling."""


@dataclass(frozen=True, eq=False)
class HueCurve:
    """Mean hue of the pixels around each of some densities.

    Attributes:
        top: density of the last knot; the first is 0.
        hue: (K, 3) float32, optical density less its mean over channels.
        pixels: (K,) float32, how many pixels each stands on.
    """

    top: float
    hue: Float32Array
    pixels: Float32Array

    def apply(self, painted: Float32Array, where: Mask | None = None) -> Float32Array:
        """A painting (..., 3) in [0, 255] with this hue at each density, float32.

        Density itself, and all that varies about the mean hue, stay: a red fibre stays redder than
            its
        neighbours. Densities seen in too few pixels, here or there, stay as they are.

        Args:
            painted: the painting.
            where: (...) bool, the part whose own hue is to become this one; None: all of it. The
                rest is moved by as much.
        """
        density = optical_density(painted.reshape(-1, 3))
        found = _measure(density if where is None else density[where.ravel()], self.top)
        few = np.minimum(self.pixels, found.pixels)
        shift = HUE_SHARE * (few / (few + SURE_PX))[:, None] * (self.hue - found.hue)
        mean = density.mean(axis=1)
        knots = np.linspace(0, self.top, len(self.hue))
        moved = np.stack(
            [np.interp(mean, knots, shift[:, channel]) for channel in range(3)], axis=1
        )
        return from_density(density + moved.astype(np.float32)).reshape(painted.shape)


def measure_hue(pixels: Float32Array) -> HueCurve | None:
    """The hue curve of pixels (N, 3) in [0, 255]; None where they are too few to tell."""
    if len(pixels) < MIN_HUE_PX:
        return None
    density = optical_density(pixels)
    return _measure(density, max(float(np.percentile(density.mean(axis=1), 98)), 0.3))


def _measure(density: Float32Array, top: float) -> HueCurve:
    mean = density.mean(axis=1)
    step = top / (KNOTS - 1) / BINS
    bins = np.minimum((np.maximum(mean, 0) / step).astype(int), BINS * (KNOTS + 1))
    sums = np.stack(
        [np.bincount(bins, weights=density[:, channel] - mean) for channel in range(3)], axis=1
    )
    near = (np.arange(len(sums)) + 0.5)[:, None] - BINS * np.arange(KNOTS)
    weights = np.exp(-0.5 * (near / (BINS / 2)) ** 2)
    count: NDArray[np.float64] = np.bincount(bins) @ weights
    hue = (weights.T @ sums) / np.maximum(count, 1e-6)[:, None]
    return HueCurve(top, hue.astype(np.float32), count.astype(np.float32))
