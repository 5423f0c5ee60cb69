"""Contact sheets: rows of pictures with a caption each, and nuclei drawn as dots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .nuclei import ANY_CLASS, Nuclei
from .tile import Mask, Pixels

# Okabe & Ito (2008): told apart by colour-blind readers too.
CLASS_COLOURS = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (86, 180, 233),
)
PAPER_COLOUR = (255, 255, 255)
TEXT_COLOUR = (40, 40, 40)
ANY_CLASS_COLOUR = (120, 120, 120)


def contact_sheet(
    rows: Sequence[tuple[str, Sequence[Pixels]]],
    *,
    cell: int = 256,
    gap: int = 6,
    title: str = "",
) -> Pixels:
    """Pictures in rows, each row under its caption.

    Args:
        rows: (caption, pictures) from top to bottom; pictures are fitted into `cell` squares.
        cell: side of a picture on the sheet, pixels.
        gap: space between pictures.
        title: line at the top.

    Returns:
        (H, W, 3) uint8.
    """
    line = 22
    columns = max((len(pictures) for _, pictures in rows), default=1)
    width = gap + columns * (cell + gap)
    height = (line + gap if title else 0) + sum(line + cell + gap for _ in rows) + gap
    sheet = Image.new("RGB", (width, height), PAPER_COLOUR)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    y = gap
    if title:
        draw.text(
            (gap, y),
            title,
            fill=TEXT_COLOUR,
            font=ImageFont.load_default(size=16),
        )
        y += line + gap
    for caption, pictures in rows:
        draw.text((gap, y), caption, fill=TEXT_COLOUR, font=font)
        y += line
        for column, picture in enumerate(pictures):
            fitted = Image.fromarray(np.ascontiguousarray(picture))
            fitted.thumbnail((cell, cell), Image.Resampling.LANCZOS)
            sheet.paste(fitted, (gap + column * (cell + gap), y))
        y += cell + gap
    return np.array(sheet, dtype=np.uint8)


def draw_nuclei(nuclei: Nuclei, *, over: Pixels | None = None, radius_px: float = 4.0) -> Pixels:
    """Nuclei as dots, one colour a kind, on white or over a tile."""
    width, height = nuclei.size
    base = np.full((height, width, 3), 250, np.uint8) if over is None else over
    scale = 2  # drawn at twice the size, for round dots
    image = Image.fromarray(np.ascontiguousarray(base)).resize((width * scale, height * scale))
    draw = ImageDraw.Draw(image)
    for (x, y), class_ids in zip(nuclei.xy, nuclei.class_ids, strict=True):
        centre = ((float(x) + 0.5) * scale, (float(y) + 0.5) * scale)
        r = radius_px * scale
        box = (centre[0] - r, centre[1] - r, centre[0] + r, centre[1] + r)
        draw.ellipse(
            box,
            fill=ANY_CLASS_COLOUR
            if class_ids == ANY_CLASS
            else CLASS_COLOURS[int(class_ids) % len(CLASS_COLOURS)],
        )
    return np.array(image.resize((width, height), Image.Resampling.BOX), dtype=np.uint8)


def colour_legend(classes: Sequence[str]) -> str:
    """Which colour is which kind, in words."""
    names = ("orange", "blue", "green", "pink", "yellow", "sky blue")
    return ", ".join(
        f"{class_ids} {names[index % len(names)]}" for index, class_ids in enumerate(classes)
    )


def fill_mask(pixels: Pixels, mask: Mask, colour: tuple[int, int, int] = PAPER_COLOUR) -> Pixels:
    """A tile with its hole shown as paper."""
    out = pixels.copy()
    out[mask] = colour
    return out
