"""Nuclei as dots, one colour a class."""

from __future__ import annotations

from collections.abc import Iterable

from PIL import Image, ImageDraw

from .arrays import Float32Array

# Okabe & Ito (2008): distinguishable for colour-blind readers too.
CLASS_COLOURS = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
)
ANY_CLASS_COLOUR = (120, 120, 120)
_OVERSAMPLING = 2
"""Dots are drawn at so many times the size and reduced, for round ones."""


def colour_of(class_id: int, classes: int) -> tuple[int, int, int]:
    """The colour of one of so many classes; grey of a nucleus without one."""
    if class_id >= classes:
        return ANY_CLASS_COLOUR
    return CLASS_COLOURS[class_id % len(CLASS_COLOURS)]


def draw_dots(
    ground: Image.Image,
    xy: Float32Array,
    colours: Iterable[tuple[int, int, int]],
    *,
    radius_px: float,
) -> Image.Image:
    """Dots on a copy of a picture.

    Args:
        ground: RGB.
        xy: (N, 2) centres; (0, 0) is the centre of the top-left pixel.
        colours: of the N dots.
        radius_px: of each.
    """
    width, height = ground.size
    image = ground.resize((width * _OVERSAMPLING, height * _OVERSAMPLING))
    draw = ImageDraw.Draw(image)
    radius = radius_px * _OVERSAMPLING
    for (x, y), colour in zip(xy, colours, strict=True):
        centre_x = (float(x) + 0.5) * _OVERSAMPLING
        centre_y = (float(y) + 0.5) * _OVERSAMPLING
        box = (
            centre_x - radius,
            centre_y - radius,
            centre_x + radius,
            centre_y + radius,
        )
        draw.ellipse(box, fill=colour)
    return image.resize((width, height), Image.Resampling.BOX)
