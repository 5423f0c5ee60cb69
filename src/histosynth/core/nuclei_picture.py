"""How notebooks show a set of nuclei: dots on white, with a title and a legend of the classes."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from .dots import ANY_CLASS_COLOUR, colour_of, draw_dots
from .visible import visible

if TYPE_CHECKING:
    from .nuclei import Nuclei

_LegendLine = tuple[str, tuple[int, int, int]]
_LEAST_PX = 256
_MOST_PX = 512
"""Longest side of the tile as it is shown; others are enlarged or reduced."""
_LEAST_WIDTH = 320
_LINE_PX = 20
_GAP_PX = 8
_FONT_SIZE = 14
_SWATCH_PX = 12
_SWATCH_DROP_PX = 4
_MAX_LEGEND_LINES = 20
_MAX_NAME = 32
_DOT_UM = 2.0
_LEAST_DOT_PX = 1.5
_MOST_DOT_PX = 12.0
_PAPER = (255, 255, 255)
_INK = (40, 40, 40)
_EDGE = (200, 200, 200)


def nuclei_png(nuclei: Nuclei) -> bytes:
    """The picture of a set of nuclei, as PNG."""
    stream = BytesIO()
    nuclei_picture(nuclei).save(stream, "PNG")
    return stream.getvalue()


def nuclei_picture(nuclei: Nuclei) -> Image.Image:
    """A title, the tile's frame with its nuclei, and a line for each class with its count."""
    width, height = nuclei.size
    longest = max(width, height)
    scale = min(max(longest, _LEAST_PX), _MOST_PX) / longest
    shown_width = max(round(width * scale), 1)
    shown_height = max(round(height * scale), 1)
    frame = Image.new("RGB", (shown_width, shown_height), _PAPER)
    count = len(nuclei.classes)
    radius = _DOT_UM / nuclei.mpp * scale
    dots = draw_dots(
        frame,
        (nuclei.xy + 0.5) * scale - 0.5,
        [colour_of(int(class_id), count) for class_id in nuclei.class_ids],
        radius_px=min(max(radius, _LEAST_DOT_PX), _MOST_DOT_PX),
    )
    total = len(nuclei)
    noun = "nucleus" if total == 1 else "nuclei"
    title = f"{total:,} {noun}, {width} x {height} px, {nuclei.mpp:g} um/px"
    lines = _legend_lines(nuclei.counts(), count)
    return _page(dots, title, lines)


def _legend_lines(counts: Mapping[str, int], classes: int) -> list[_LegendLine]:
    """Text and colour of each line; classes without a line are counted in the last."""
    lines = []
    for index, (name, count) in enumerate(counts.items()):
        text = f"{visible(name)[:_MAX_NAME]}: {count:,}"
        lines.append((text, colour_of(index, classes)))
    more = len(lines) - _MAX_LEGEND_LINES
    if more > 0:
        last = (f"and {more} more classes", ANY_CLASS_COLOUR)
        lines = [*lines[:_MAX_LEGEND_LINES], last]
    return lines


def _page(
    dots: Image.Image,
    title: str,
    lines: list[_LegendLine],
) -> Image.Image:
    top = _GAP_PX + _LINE_PX
    legend_top = top + dots.height + _GAP_PX
    width = max(dots.width, _LEAST_WIDTH) + 2 * _GAP_PX
    height = legend_top + len(lines) * _LINE_PX + _GAP_PX
    page = Image.new("RGB", (width, height), _PAPER)
    page.paste(dots, (_GAP_PX, top))
    draw = ImageDraw.Draw(page)
    edge = (
        _GAP_PX - 1,
        top - 1,
        _GAP_PX + dots.width,
        top + dots.height,
    )
    draw.rectangle(edge, outline=_EDGE)
    _write(draw, title, _GAP_PX, _GAP_PX // 2)
    for number, (text, colour) in enumerate(lines):
        y = legend_top + number * _LINE_PX
        swatch = (
            _GAP_PX,
            y + _SWATCH_DROP_PX,
            _GAP_PX + _SWATCH_PX,
            y + _SWATCH_DROP_PX + _SWATCH_PX,
        )
        draw.ellipse(swatch, fill=colour)
        _write(draw, text, 2 * _GAP_PX + _SWATCH_PX, y)
    return page


def _write(
    draw: ImageDraw.ImageDraw,
    text: str,
    x: int,
    y: int,
) -> None:
    font = ImageFont.load_default(size=_FONT_SIZE)
    draw.text(
        (x, y),
        text,
        fill=_INK,
        font=font,
    )
