"""Signs of the picture of differences: dots, rings and stripes."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from ...core.arrays import BoolArray, Float64Array, IndexArray
from ...core.dots import ANY_CLASS_COLOUR
from ...core.sheet import PAPER_COLOUR, TEXT_COLOUR

OVERSAMPLING = 2
"""Pictures are drawn at twice the size, for round dots."""
_AGREED_RADIUS_PX = 3.5
_RADIUS_PX = 7.0
_RIM_RADIUS_PX = 8.2
_RIM_WIDTH_PX = 5
_RING_WIDTH_PX = 2.5
_ARC_DEG = 60
_BROKEN_ARC_DEG = 34

Colour = tuple[int, int, int]
BOTH_AGREE = (ANY_CLASS_COLOUR, ANY_CLASS_COLOUR)
"""Colours of a dot on whose class both agree."""


def box_around(
    at: Float64Array,
    scale: float,
    radius: float,
) -> tuple[float, float, float, float]:
    """The square (left, top, right, bottom) around a point, in px of the oversampled drawing.

    Args:
        at: (x, y), px of the picture.
        scale: px of the drawing per px of the picture.
        radius: px of the drawing.
    """
    x, y = ((float(value) + 0.5) * scale * OVERSAMPLING for value in at)
    reach = radius * OVERSAMPLING
    return x - reach, y - reach, x + reach, y + reach


def draw_dot(
    draw: ImageDraw.ImageDraw,
    at: Float64Array,
    scale: float,
    halves: tuple[Colour, Colour],
) -> None:
    """A dot with a left and a right half; small and pale-rimmed where both agree."""
    is_agreed = halves == BOTH_AGREE
    radius = _AGREED_RADIUS_PX if is_agreed else _RADIUS_PX
    rim = PAPER_COLOUR if is_agreed else TEXT_COLOUR
    left, right = halves
    box = box_around(at, scale, radius)
    draw.ellipse(box_around(at, scale, radius + 1), fill=rim)
    draw.pieslice(box, 90, 270, fill=left)
    draw.pieslice(box, 270, 450, fill=right)


def draw_ring(
    draw: ImageDraw.ImageDraw,
    at: Float64Array,
    scale: float,
    colour: Colour,
    *,
    broken: bool,
) -> None:
    """A ring, whole or broken, with a pale rim, as some colours are close to those of tissue."""
    draw.ellipse(
        box_around(at, scale, _RIM_RADIUS_PX),
        outline=PAPER_COLOUR,
        width=round(_RIM_WIDTH_PX * OVERSAMPLING),
    )
    box = box_around(at, scale, _RADIUS_PX)
    arc = _BROKEN_ARC_DEG if broken else _ARC_DEG
    for start in range(0, 360, _ARC_DEG):
        draw.arc(
            box,
            start,
            start + arc,
            fill=colour,
            width=round(_RING_WIDTH_PX * OVERSAMPLING),
        )


def stripes(
    rows: IndexArray,
    lean: IndexArray,
    width_px: int,
) -> BoolArray:
    """Every second of diagonal stripes.

    Args:
        rows: row of each pixel.
        lean: column of each pixel, or its negative for stripes that lean the other way.
        width_px: of a stripe.
    """
    on: BoolArray = (rows + lean) // width_px % 2 == 0
    return on


def draw_striped_square(
    draw: ImageDraw.ImageDraw,
    box: tuple[float, float, float, float],
    colours: tuple[Colour, Colour],
    *,
    leaning: bool,
) -> None:
    """A square of 16 px in stripes of two colours."""
    left, top, _, _ = box
    first, second = colours
    span = np.arange(16 * OVERSAMPLING)
    lean = -span if leaning else span
    on = stripes(span[:, None], lean[None, :], 4 * OVERSAMPLING)
    draw.rectangle(box, fill=second)
    for y, x in np.argwhere(on).tolist():
        draw.point((round(left) + x, round(top) + y), fill=first)
    draw.rectangle(box, outline=TEXT_COLOUR, width=1)
