"""A model of layouts and a seed to the nuclei of one tile."""

from __future__ import annotations

import numpy as np

from ...core.nuclei import Nuclei
from .field import draw_field
from .model import LayoutModel
from .points import Points, Surface, grid_shape, move, scatter

SWEEPS = 25
"""Moves of each nucleus; after some 15 the pair distances no longer change (docs/log.md)."""
_LAST_PX = 0.501
"""Nearest that a nucleus comes to the end of a tile, so that three decimals keep it inside."""


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
    width, height = size
    points = draw_points(model, (width * mpp, height * mpp), random)
    # a tile begins half a pixel before the centre of its first pixel
    xy = points.xy / mpp - 0.5
    xy = np.minimum(xy, [width - _LAST_PX, height - _LAST_PX])
    return Nuclei.of(
        xy,
        [model.classes[class_id] for class_id in points.class_ids],
        size=size,
        mpp=mpp,
        classes=model.classes,
    )


def draw_points(
    model: LayoutModel,
    window: tuple[float, float],
    random: np.random.Generator,
) -> Points:
    """Nuclei of a window (width, height) um, drawn with tissue around it: it has no rim."""
    surface = outer_surface(model, window, random)
    counts = random.poisson(surface.expected())
    points = scatter(surface, counts, random)
    move(points, surface, model.forces, random, sweeps=SWEEPS)
    return inside_of(points, model, window)


def outer_surface(
    model: LayoutModel,
    window: tuple[float, float],
    random: np.random.Generator,
) -> Surface:
    """Drawn densities of a window (width, height) um and of what acts on it from around it."""
    width, height = window
    outer = (width + 2 * model.reach_um, height + 2 * model.reach_um)
    return Surface(draw_field(model, grid_shape(outer), random), outer)


def inside_of(
    points: Points,
    model: LayoutModel,
    window: tuple[float, float],
) -> Points:
    """The nuclei of an outer window that lie in the window itself, um from its corner."""
    xy = points.xy - model.reach_um
    inside = ((xy >= 0) & (xy < window)).all(axis=1)
    return Points(xy[inside], points.class_ids[inside])
