"""A model of layouts and a seed to the nuclei of one tile: a slide of the tile's size."""

from __future__ import annotations

import numpy as np

from ...core.geometry import Box
from ...core.nuclei import Nuclei
from .drawn_layout import DrawnLayout
from .model import LayoutModel


def draw_nuclei_like(
    model: LayoutModel,
    size: tuple[int, int],
    *,
    mpp: float,
    seed: int,
    number: int = 0,
) -> Nuclei:
    """Draw the nuclei of a tile.

    Args:
        model: of the layouts.
        size: (width, height) in pixels.
        mpp: micrometres per pixel.
        seed: source of all randomness.
        number: of the layout: each number of a seed is another layout, however many are drawn.

    Returns:
        Nuclei of the model's classes.
    """
    random = np.random.default_rng([seed, number])
    layout = DrawnLayout(
        model,
        size,
        mpp=mpp,
        seed=int(random.integers(1 << 62)),
        like="model",
    )
    return layout.window(
        Box(
            0,
            0,
            *size,
        )
    )
