"""Contact sheets: rows of pictures with a caption each, and nuclei drawn as dots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from .dots import CLASS_COLOURS, colour_of, draw_dots
from .nuclei import ANY_CLASS, Nuclei
from .tile import Mask, Pixels

_COLOUR_NAMES = (
    "orange",
    "blue",
    "green",
    "pink",
    "yellow",
    "sky blue",
)
PAPER_COLOUR = (255, 255, 255)
TEXT_COLOUR = (40, 40, 40)

_LINE_PX = 22
_TITLE_SIZE = 16
_CAPTION_SIZE = 14
_BLANK = 250
"""Grey level of the ground that nuclei are drawn on where there is no tile."""


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
        gap: space between pictures, pixels.
        title: line at the top.

    Returns:
        (H, W, 3) uint8.
    """
    columns = max((len(pictures) for _, pictures in rows), default=1)
    title_height = _LINE_PX + gap if title else 0
    row_height = _LINE_PX + cell + gap
    width = gap + columns * (cell + gap)
    height = title_height + len(rows) * row_height + gap
    sheet = Image.new("RGB", (width, height), PAPER_COLOUR)
    if title:
        _write(sheet, title, gap, gap, size=_TITLE_SIZE)
    for index, (caption, pictures) in enumerate(rows):
        top = gap + title_height + index * row_height
        _write(sheet, caption, gap, top, size=_CAPTION_SIZE)
        for column, picture in enumerate(pictures):
            left = gap + column * (cell + gap)
            sheet.paste(_fitted(picture, cell), (left, top + _LINE_PX))
    return np.array(sheet)


def _write(
    sheet: Image.Image,
    text: str,
    x: int,
    y: int,
    *,
    size: int,
) -> None:
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=size)
    draw.text((x, y), text, fill=TEXT_COLOUR, font=font)


def _fitted(picture: Pixels, side: int) -> Image.Image:
    """A picture reduced to fit a square; smaller ones stay as they are."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def draw_nuclei(
    nuclei: Nuclei,
    *,
    over: Pixels | None = None,
    radius_px: float = 4.0,
) -> Pixels:
    """Nuclei as dots, one colour a class, on white or over a tile (H, W, 3)."""
    width, height = nuclei.size
    if over is None:
        over = np.full((height, width, 3), _BLANK, np.uint8)
    ground = Image.fromarray(np.ascontiguousarray(over))
    colours = [class_colour(int(class_id)) for class_id in nuclei.class_ids]
    return np.array(draw_dots(ground, nuclei.xy, colours, radius_px=radius_px))


def class_colour(class_id: int) -> tuple[int, int, int]:
    """Red, green and blue in 0..255 of a class by its index; grey of `ANY_CLASS`."""
    return colour_of(class_id, ANY_CLASS)


def colour_legend(classes: Sequence[str]) -> str:
    """The colour of each class, in words."""
    entries = []
    for index, class_name in enumerate(classes):
        colour = _COLOUR_NAMES[index % len(_COLOUR_NAMES)]
        entries.append(f"{class_name} {colour}")
    return ", ".join(entries)


def colour_codes(classes: Sequence[str]) -> list[tuple[str, str]]:
    """(class, its colour as a page writes it)."""
    codes = []
    for index, class_name in enumerate(classes):
        red, green, blue = CLASS_COLOURS[index % len(CLASS_COLOURS)]
        codes.append((class_name, f"#{red:02x}{green:02x}{blue:02x}"))
    return codes


def fill_mask(
    pixels: Pixels,
    mask: Mask,
    colour: tuple[int, int, int] = PAPER_COLOUR,
) -> Pixels:
    """A copy of a tile whose mask has one colour."""
    out = pixels.copy()
    out[mask] = colour
    return out
