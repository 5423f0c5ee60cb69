"""Masks as polygons along the edges of their pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from contourpy import FillType, contour_generator

from ..annotation.regions import Region, Ring
from ..core.arrays import Float64Array
from ..core.tile import Mask

_LEAST_CORNERS = 4


def mask_regions(
    mask: Mask,
    *,
    name: str,
    corner: tuple[float, float] = (0, 0),
    step: tuple[float, float] = (1, 1),
) -> list[Region]:
    """Polygons of a mask.

    Args:
        mask: (H, W) bool.
        name: class of the regions.
        corner: (x, y) of the mask's first pixel's corner, in px of the slide.
        step: (width, height) of a pixel of the mask, in px of the slide.
    """
    if not mask.any():
        return []
    generator = contour_generator(
        z=np.pad(mask, 1).astype(np.float32),
        fill_type=FillType.OuterOffset,
    )
    filled: Any = generator.filled(0.5, np.inf)
    regions = []
    for corners, ends in zip(*filled, strict=True):
        rings = [
            _ring(
                ring,
                corner,
                step,
            )
            for ring in np.split(corners, ends[1:-1])
        ]
        outline, *inner = rings
        if len(outline) >= _LEAST_CORNERS:
            within = tuple(ring for ring in inner if len(ring) >= _LEAST_CORNERS)
            regions.append(
                Region(
                    name,
                    outline,
                    within,
                )
            )
    return regions


def _ring(
    points: Float64Array,
    corner: tuple[float, float],
    step: tuple[float, float],
) -> Ring:
    """A closed ring along the edges of pixels, in px of the slide.

    Args:
        points: (N, 2) of a contour of the padded mask, closed: each in the middle of an edge.
        corner: (x, y) of the mask on the slide.
        step: (width, height) of a pixel.
    """
    first = points[:-1]
    second = points[1:]
    is_upright = first[:, 0] % 1 != 0
    turns = is_upright != (second[:, 0] % 1 != 0)
    x = np.where(is_upright, first[:, 0], second[:, 0])[turns]
    y = np.where(is_upright, second[:, 1], first[:, 1])[turns]
    # the padding is one pixel, a pixel's centre half of one from its corner
    x = (x - 0.5) * step[0] + corner[0]
    y = (y - 0.5) * step[1] + corner[1]
    ring = [(round(float(a), 2), round(float(b), 2)) for a, b in zip(x, y, strict=True)]
    return (*ring, ring[0]) if ring else ()
