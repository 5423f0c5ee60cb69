"""Masks as polygons: outlines whose inside holds the centres of the mask's pixels and no others."""

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
    corners: Float64Array,
    corner: tuple[float, float],
    step: tuple[float, float],
) -> Ring:
    """A closed ring without corners on straight lines, in px of the slide."""
    points = np.asarray(corners)
    before = points[1:] - points[:-1]
    after = np.roll(
        before,
        -1,
        axis=0,
    )
    turns = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    kept = points[1:][turns]
    # the padding is one pixel, a pixel's centre half of one from its corner
    x = (kept[:, 0] - 0.5) * step[0] + corner[0]
    y = (kept[:, 1] - 0.5) * step[1] + corner[1]
    ring = [
        (round(float(a), 2), round(float(b), 2))
        for a, b in zip(
            x,
            y,
            strict=True,
        )
    ]
    return tuple([*ring, ring[0]]) if ring else ()
