"""Outlines of the places without tissue of a drawn slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from contourpy import FillType, contour_generator

from ...core.arrays import Float64Array
from .drawn_layout import DrawnLayout
from .ground_fields import without_tissue_at
from .position_noise import Places

_MAX_NODES = 1500
"""A side of the grid on which outlines are found."""
_LEAST_STEP_UM = 4.0
_TOLERANCE = 0.25
"""Of a step of that grid: corners nearer to the line between others are left out."""


@dataclass(
    frozen=True,
    eq=False,
)
class EmptyOutline:
    """A place without tissue.

    Attributes:
        is_lumen: whether tissue lies all around it; otherwise it reaches the slide's edge.
        rings: (N, 2) px from the first pixel's corner: the outline, then what lies inside it.
    """

    is_lumen: bool
    rings: tuple[Float64Array, ...]


def empty_outlines(layout: DrawnLayout) -> list[EmptyOutline]:
    """Outlines of glass and lumina, to a few um, coarser on large slides."""
    width = layout.size.width * layout.mpp
    height = layout.size.height * layout.mpp
    step = max(
        _LEAST_STEP_UM,
        max(
            width,
            height,
        )
        / _MAX_NODES,
    )
    # one node beyond each edge, so that every outline is closed
    places = Places.of_steps(
        (-1, -1),
        (int(np.ceil(height / step)) + 3, int(np.ceil(width / step)) + 3),
        step,
    )
    values = without_tissue_at(layout.densities, places)
    if values is None:
        return []
    generator = contour_generator(
        places.x,
        places.y,
        values,
        fill_type=FillType.OuterOffset,
    )
    filled: Any = generator.filled(
        0.0,
        np.inf,
    )
    points, offsets = filled
    outlines = []
    limits = np.array([width, height])
    for corners, ends in zip(
        points,
        offsets,
        strict=True,
    ):
        rings = np.split(
            corners,
            ends[1:-1],
        )
        is_lumen = bool(((rings[0] > 0) & (rings[0] < limits)).all())
        cut = [
            ring.clip(
                0,
                limits,
            )
            for ring in rings
        ]
        plain = [
            _simplified(
                ring,
                step * _TOLERANCE,
            )
            for ring in cut
        ]
        if len(plain[0]) < 4:
            continue
        px = [
            np.round(
                ring / layout.mpp,
                2,
            )
            for ring in plain
            if len(ring) > 3
        ]
        outlines.append(
            EmptyOutline(
                is_lumen,
                tuple(px),
            )
        )
    return outlines


def _simplified(ring: Float64Array, tolerance: float) -> Float64Array:
    """A closed ring (N, 2) without corners that lie near the line between others (Douglas and
    Peucker 1973).
    """
    keep = np.zeros(
        len(ring),
        np.bool_,
    )
    middle = len(ring) // 2
    keep[[0, middle, len(ring) - 1]] = True
    spans = [(0, middle), (middle, len(ring) - 1)]
    while spans:
        first, last = spans.pop()
        if last - first < 2:
            continue
        line = ring[last] - ring[first]
        offset = ring[first + 1 : last] - ring[first]
        length = max(
            float(np.hypot(*line)),
            1e-9,
        )
        gaps = np.abs(line[0] * offset[:, 1] - line[1] * offset[:, 0]) / length
        farthest = int(np.argmax(gaps))
        if gaps[farthest] > tolerance:
            split = first + 1 + farthest
            keep[split] = True
            spans += [(first, split), (split, last)]
    return ring[keep]
