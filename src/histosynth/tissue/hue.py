"""Hue at each density: the part of a stain that three scales cannot describe.

In one slide pale tissue may be grey and dark tissue violet; in another pale tissue is pink. The
mean hue of a whole tile depends on the tissue in it; the mean hue of pixels of *one* density hardly
does. So the hue at each density is measured in a reference tile, or in the tissue around a mask,
and given to the generated tissue.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float32Array, Float64Array
from ..core.line_of_facts import line_of_facts
from ..core.tile import Mask
from .density import from_density, optical_density

KNOTS = 7
"""Densities at which hue is measured, from 0 to the 98th percentile of the tissue."""
BINS = 16
"""Bins per knot."""
HUE_SHARE = 0.6
"""Share of the difference that is removed: the difference also holds what is not stain (more red
fibres in one tile than in the other). 0 to 1 were tried (docs/log.md): most is gained by 0.6, and
above it a reference of other tissue begins to tint nuclei."""
HALF_WEIGHT_PX = 200.0
"""Pixels at which a knot has half of its weight."""
MIN_HUE_PX = 2000
"""Pixels below which hue is not measured."""
_MIN_TOP_DENSITY = 0.3


@dataclass(frozen=True, eq=False)
class HueCurve:
    """Mean hue of the pixels around each of some densities.

    Attributes:
        top: density of the last knot; the first is 0.
        hue: (K, 3) float32, optical density less its mean over channels.
        pixels: (K,) float32, weighted number of pixels at each knot.
    """

    top: float
    hue: Float32Array
    pixels: Float32Array

    def __repr__(self) -> str:
        return line_of_facts("HueCurve", [f"{len(self.hue)} densities up to {self.top:.3g}"])

    def apply(
        self,
        painted: Float32Array,
        where: Mask | None = None,
    ) -> Float32Array:
        """Pixels (..., 3) in [0, 255] with this hue at each density, float32.

        Density, and all variation about the mean hue, stay: a red fibre stays redder than its
        neighbours. Densities found in too few pixels on either side stay as they are.

        Args:
            painted: the generated pixels.
            where: (...) bool, the part whose own hue is to become this one; None: all of it. The
                other pixels are shifted by as much.
        """
        density = optical_density(painted.reshape(-1, 3))
        measured = density
        if where is not None:
            measured = density[where.ravel()]
        return self._shift_of(measured).moved(density).reshape(painted.shape)

    def shift_of(self, painted: Float32Array) -> HueShift:
        """What gives this hue to pixels such as these (..., 3) in [0, 255]."""
        return self._shift_of(optical_density(painted.reshape(-1, 3)))

    def _shift_of(self, density: Float32Array) -> HueShift:
        own = _measure(density, self.top)
        pixels = np.minimum(self.pixels, own.pixels)
        weight = HUE_SHARE * (pixels / (pixels + HALF_WEIGHT_PX))
        shift = weight[:, None] * (self.hue - own.hue)
        return HueShift(self.top, shift)


@dataclass(frozen=True, eq=False)
class HueShift:
    """One change of hue for all parts of a slide, so that none shows where it ends.

    Attributes:
        top: density of the last knot; the first is 0.
        shift: (K, 3) optical density that is added at each knot.
    """

    top: float
    shift: Float32Array

    def __repr__(self) -> str:
        return line_of_facts("HueShift", [f"{len(self.shift)} densities up to {self.top:.3g}"])

    def apply(self, painted: Float32Array) -> Float32Array:
        """Pixels (..., 3) in [0, 255] with their hue changed, float32."""
        density = optical_density(painted.reshape(-1, 3))
        return self.moved(density).reshape(painted.shape)

    def moved(self, density: Float32Array) -> Float32Array:
        """Pixels (N, 3) in [0, 255] of densities (N, 3), with their hue changed."""
        shift = _interpolate(
            density.mean(axis=1),
            self.top,
            self.shift,
        )
        return from_density(density + shift.astype(np.float32))


def measure_hue(pixels: Float32Array) -> HueCurve | None:
    """The hue curve of pixels (N, 3) in [0, 255]; None if they are fewer than `MIN_HUE_PX`."""
    if len(pixels) < MIN_HUE_PX:
        return None
    density = optical_density(pixels)
    percentile = np.percentile(density.mean(axis=1), 98)
    top = max(float(percentile), _MIN_TOP_DENSITY)
    return _measure(density, top)


def _measure(density: Float32Array, top: float) -> HueCurve:
    """Hue of pixels of these densities (N, 3), smoothed by a Gaussian over bins of density."""
    mean = density.mean(axis=1)
    step = top / (KNOTS - 1) / BINS
    last_bin = BINS * (KNOTS + 1)
    bins = (np.maximum(mean, 0) / step).astype(int)
    bins = np.minimum(bins, last_bin)
    sums = np.stack(
        [np.bincount(bins, weights=density[:, channel] - mean) for channel in range(3)],
        axis=1,
    )
    centres = np.arange(len(sums)) + 0.5
    knots = BINS * np.arange(KNOTS)
    distances = centres[:, None] - knots
    deviations = distances / (BINS / 2)
    weights = np.exp(-0.5 * deviations**2)
    count: Float64Array = np.bincount(bins) @ weights
    hue = (weights.T @ sums) / np.maximum(count, 1e-6)[:, None]
    return HueCurve(
        top,
        hue.astype(np.float32),
        count.astype(np.float32),
    )


def _interpolate(
    density: Float32Array,
    top: float,
    values: Float32Array,
) -> Float64Array:
    """Values (K, 3) at the knots from 0 to `top`, interpolated at densities (N,): (N, 3)."""
    knots = np.linspace(
        0,
        top,
        len(values),
    )
    channels = [
        np.interp(
            density,
            knots,
            values[:, channel],
        )
        for channel in range(3)
    ]
    return np.stack(channels, axis=1)
