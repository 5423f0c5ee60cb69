"""Pictures of a tile set for people: what of a slide was kept, what was refused, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..core.images import decode_rgb
from ..core.sheet import PAPER_COLOUR, TEXT_COLOUR, contact_sheet, draw_nuclei
from ..core.tile import Pixels
from ..core.tileset import Row
from ..slides import Slide, thumbnail

_Colour = tuple[int, int, int]
KEPT_COLOUR: _Colour = (0, 158, 115)
REASON_COLOURS: Mapping[str, _Colour] = {
    "tissue": (150, 150, 150),
    "blur": (0, 114, 178),
    "pen": (86, 180, 233),
    "fold": (204, 121, 167),
    "air": (240, 228, 66),
    "saturation": (230, 159, 0),
    "artefact": (213, 94, 0),
    "stain": (0, 0, 0),
    "nuclei": (120, 80, 40),
    "unreadable": (200, 0, 0),
}
"""Those of Okabe & Ito (2008), which colour-blind readers distinguish, and three more. Reasons that
are not listed are drawn in ink."""
_FILL_ALPHA = 90
_TISSUE_FILL_ALPHA = 25
_KEY_LINE_PX = 22
_PAD_PX = 8
_KEY_SQUARE_PX = 14
_KEY_TEXT_PX = 22
"""From the square to its text."""
_MIN_SHEET_PX = 320

_Row = tuple[str, list[Pixels]]
"""Title and pictures of one row of a contact sheet."""


def reason_of(row: Row) -> str:
    """The gate that refused a tile; "" for one that is kept."""
    gate, _, _ = row.refused.partition(":")
    return gate


def overview(
    slide: Slide,
    rows: Sequence[Row],
    *,
    side: int = 1200,
) -> Pixels:
    """The slide, small, with its tiles framed: green where kept, else the colour of the reason.

    Args:
        slide: opened.
        rows: of its tiles.
        side: of the longer side of the picture, px.

    Returns:
        (H, W, 3) uint8.
    """
    full = slide.levels[0]
    shrink = max(max(full.width, full.height) / side, 1.0)
    small = thumbnail(slide, slide.mpp * shrink)
    height, width, _ = small.shape
    scale = (width / full.width, height / full.height)
    image = Image.fromarray(small).convert("RGBA")
    frames = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(frames)
    for row in sorted(rows, key=lambda each: not each.refused):
        _draw_frame(draw, row, scale, (width, height))
    framed = Image.alpha_composite(image, frames).convert("RGB")
    counts = Counter(reason_of(row) for row in rows)
    return _with_key(
        np.array(framed, dtype=np.uint8),
        slide.path.name,
        counts,
    )


def _draw_frame(
    draw: ImageDraw.ImageDraw,
    row: Row,
    scale: tuple[float, float],
    size: tuple[int, int],
) -> None:
    """Frame a tile; refused ones are filled too, faintly where tissue is lacking."""
    scale_x, scale_y = scale
    width, height = size
    box = row.ref.box
    left = box.x * scale_x + 1
    top = box.y * scale_y + 1
    # tiles that reach beyond the slide are drawn as far as its edge: what is outside takes time
    right = min(
        box.right * scale_x - 2,
        width,
    )
    bottom = min(
        box.bottom * scale_y - 2,
        height,
    )
    is_empty = right <= left or bottom <= top
    if is_empty:
        return
    reason = reason_of(row)
    lacks_tissue = reason == "tissue"
    colour = _colour_of(reason)
    alpha = 0
    if reason:
        alpha = _TISSUE_FILL_ALPHA if lacks_tissue else _FILL_ALPHA
    draw.rectangle(
        (left, top, right, bottom),
        fill=(*colour, alpha),
        outline=(*colour, 255),
        width=1 if lacks_tissue else 2,
    )


def _colour_of(reason: str) -> _Colour:
    if not reason:
        return KEPT_COLOUR
    return REASON_COLOURS.get(reason, TEXT_COLOUR)


def tile_set_sheet(
    shown: Sequence[Row],
    rows: Sequence[Row],
    *,
    max_of_each: int = 8,
    cell: int = 192,
) -> Pixels:
    """Kept tiles, the same with their nuclei, and examples of each reason for refusal.

    Args:
        shown: rows with pictures to choose from.
        rows: all of them, for the counts.
        max_of_each: so many of each at most.
        cell: side of a picture, px.
    """
    counts = Counter(reason_of(row) for row in rows)
    kept = _examples(shown, "", max_of_each)
    lines: list[_Row] = []
    if kept:
        lines.append((f"kept ({counts['']:,}): stain as in the set", _pictures_of(kept)))
    if any(row.nuclei is not None for row in kept):
        lines.append(_nuclei_line(kept))
    for reason in _ordered(counts):
        examples = _examples(shown, reason, max_of_each)
        if reason and examples:
            _, _, first = examples[0].refused.partition(": ")
            title = f"refused, {reason} ({counts[reason]:,}); the first: {first}"
            lines.append((title, _pictures_of(examples)))
    if not lines:
        lines.append(("no tile was read", []))
    return contact_sheet(lines, cell=cell, title="Tile set")


def _examples(
    shown: Sequence[Row],
    reason: str,
    max_count: int,
) -> list[Row]:
    """Rows with a picture and this reason, spread evenly."""
    fitting = [row for row in shown if reason_of(row) == reason and row.image]
    return spread(fitting, max_count)


def _pictures_of(rows: Sequence[Row]) -> list[Pixels]:
    return [decode_rgb(row.image or b"", row.tile_id) for row in rows]


def _nuclei_line(kept: Sequence[Row]) -> _Row:
    """The kept tiles with their nuclei drawn on them."""
    pictures = []
    count = 0
    for row, picture in zip(kept, _pictures_of(kept), strict=True):
        if row.nuclei is not None:
            count += len(row.nuclei)
            radius = picture.shape[0] / 160
            picture = draw_nuclei(row.nuclei, over=picture, radius_px=radius)
        pictures.append(picture)
    return f"their nuclei ({count:,} in these)", pictures


def spread(rows: Sequence[Row], max_count: int) -> list[Row]:
    """At most so many, evenly from first to last."""
    if len(rows) <= max_count:
        return list(rows)
    positions = np.linspace(0, len(rows) - 1, max_count).round()
    return [rows[int(position)] for position in positions]


def _ordered(reasons: Mapping[str, int]) -> list[str]:
    """Reasons in the order of the key: kept, those with a colour, others."""
    order = ["", *REASON_COLOURS]

    def rank(reason: str) -> int:
        return order.index(reason) if reason in order else len(order)

    return sorted(reasons, key=rank)


def _with_key(
    picture: Pixels,
    title: str,
    counts: Mapping[str, int],
) -> Pixels:
    """The picture under its title and over a key of the colours."""
    height, width = picture.shape[:2]
    reasons = _ordered(counts)
    key_top = _KEY_LINE_PX + _PAD_PX + height + _PAD_PX
    sheet = Image.new(
        "RGB",
        (max(width, _MIN_SHEET_PX), key_top + _KEY_LINE_PX * len(reasons)),
        PAPER_COLOUR,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    draw.text(
        (_PAD_PX, 4),
        title,
        fill=TEXT_COLOUR,
        font=font,
    )
    sheet.paste(Image.fromarray(picture), (0, _KEY_LINE_PX + _PAD_PX))
    for line, reason in enumerate(reasons):
        y = key_top + line * _KEY_LINE_PX
        square = (_PAD_PX, y, _PAD_PX + _KEY_SQUARE_PX, y + _KEY_SQUARE_PX)
        draw.rectangle(square, fill=_colour_of(reason))
        text = f"refused, {reason}" if reason else "kept"
        draw.text(
            (_PAD_PX + _KEY_TEXT_PX, y - 2),
            f"{text}: {counts[reason]:,}",
            fill=TEXT_COLOUR,
            font=font,
        )
    return np.array(sheet, dtype=np.uint8)
