"""From a decoded picture to a finished one: grain, glass, stain and limits of its appearance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.tile import Mask
from ..tissue.appearance import Appearance
from ..tissue.density import optical_density
from ..tissue.empty import MAX_EMPTY_DENSITY
from ..tissue.film_grain import add_grain
from ..tissue.grain_patches import NearestLooks
from ..tissue.grain_table import Grain
from .items import SampleItem

_GLASS_EDGE_PX = 4.0
_GLASS_SHARE = 0.85
"""Stated glass takes so much of the reference's white, this far inside of its edge: the rest keeps
it from being one colour."""
_GLASS_AROUND_PX = 4


def in_appearance(
    item: SampleItem,
    canonical: NDArray[np.float32],
    known: Grain | None,
    *,
    grain: bool,
    nearest: NearestLooks | None = None,
) -> NDArray[np.float32]:
    """A decoded picture (H, W, 3) float32 in [0, 255] in the item's own appearance.

    Args:
        item: whose appearance and seed.
        canonical: the picture, in canonical stain.
        known: grain of the bundle; None: it was not measured.
        grain: whether it is wanted.
        nearest: what searches its patches; None: on the CPU.
    """
    noise = item.appearance.noise
    if item.appearance.has_blocks and item.condition.context is None:
        noise = None  # a hole is to be as flat as what is around it, a new tile is not
    finish = Finish(
        replace(item.appearance, noise=noise),
        item.generator.initial_seed(),
        known if grain else None,
        nearest,
    )
    return finish.applied(canonical, item.condition.empty)


@dataclass(frozen=True, eq=False)
class Finish:
    """What turns decoded pictures into finished ones.

    Attributes:
        appearance: whose stain, hue, noise and extremes.
        seed: of the grain.
        grain: of the bundle; None: none is wanted.
        nearest: what searches its patches; None: on the CPU.
    """

    appearance: Appearance
    seed: int
    grain: Grain | None
    nearest: NearestLooks | None = None

    def applied(
        self,
        canonical: Float32Array,
        empty: Mask | None,
        corner: tuple[int, int] = (0, 0),
    ) -> Float32Array:
        """A decoded picture (H, W, 3) float32 in [0, 255] in the appearance.

        Args:
            canonical: the picture, in canonical stain.
            empty: (H, W) bool, where it was stated that there is no tissue.
            corner: of the picture on its slide, px.
        """
        grain = self.grain
        if grain is None:
            return self.appearance.apply(self._with_glass(canonical, canonical, empty))
        x, y = corner
        strength = grain.table.strength_of(self.appearance.noise)

        def with_grain(pixels: Float32Array) -> Float32Array:
            grained = add_grain(
                pixels,
                grain.patches,
                strength,
                seed=self.seed,
                x=x,
                y=y,
                nearest=self.nearest,
            )
            return self._with_glass(grained, pixels, empty)

        return self.appearance.apply(
            canonical,
            with_grain,
            np.array(grain.table.extremes, np.float32),
        )

    def _with_glass(
        self,
        grained: Float32Array,
        pixels: Float32Array,
        empty: Mask | None,
    ) -> Float32Array:
        """Pixels (H, W, 3) with grain, and without it where they show glass that was asked for.

        Grain is of tissue: patches are taken from tissue alone, and glass beside it is smooth. The
        network does not paint glass quite even: it becomes the reference's, but tissue in it stays.
        """
        if empty is None:
            return grained
        density = optical_density(pixels).mean(axis=2)
        around = ndimage.uniform_filter(density, _GLASS_AROUND_PX)
        glass_share = np.where(
            empty,
            1 - (around / MAX_EMPTY_DENSITY).clip(0, 1),
            np.float32(0),
        )
        smooth = grained + glass_share[..., None] * (pixels - grained)
        depth = ndimage.distance_transform_edt(empty)
        share = glass_share * (depth / _GLASS_EDGE_PX).clip(0, _GLASS_SHARE)
        glass = self.appearance.frame.to_canonical(self.appearance.glass())
        even: Float32Array = smooth + share[..., None] * (glass - smooth)
        return even.astype(np.float32)
