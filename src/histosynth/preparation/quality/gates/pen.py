"""Pen: ink on the slide."""

from __future__ import annotations

from ....core.tile import Pixels
from ....tissue.density import optical_density
from ...tissue_mask import ink_mask
from ..coarse import coarse_pixels
from ..gate import share_gate


def measure_ink(pixels: Pixels, mpp: float) -> float:
    """Share under ink."""
    coarse = coarse_pixels(pixels, mpp)
    density = optical_density(coarse)
    ink = ink_mask(density)
    return float(ink.mean())


PEN = share_gate("pen", measure_ink, 0.03, "ink covers")
