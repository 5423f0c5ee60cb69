"""Pictures of a tile set for people: what of a slide was kept, what was refused, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..core.sheet import PAPER_COLOUR, TEXT_COLOUR, contact_sheet, draw_nuclei
from ..core.tile import Pixels, decode_rgb
from ..core.tileset import Row
from ..slides import Slide, thumbnail

KEPT = (0, 158, 115)
REASONS = {
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
"""Okabe & Ito (2008), told apart by colour-blind readers too, and three more."""


def reason_of(row: Row) -> str:
    """The gate that refused a tile; "" for one that is kept."""
    return row.refused.partition(":")[0]


def overview(slide: Slide, rows: Sequence[Row], *, side: int = 1200) -> Pixels:
    """The slide, small, with its tiles framed: green where kept, else the colour of the reason.

    Args:
        slide: opened.
        rows: of its tiles.
        side: of the longer side of the picture, px.

    Returns:
        (H, W, 3) uint8.
    """
    full = slide.levels[0]
    small = thumbnail(slide, slide.mpp * max(max(full.width, full.height) / side, 1.0))
    scale_x = small.shape[1] / full.width
    scale_y = small.shape[0] / full.height
    image = Image.fromarray(small).convert("RGBA")
    veil = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(veil)
    counts: dict[str, int] = {}
    for row in sorted(rows, key=lambda each: not each.refused):  # kept frames lie on top
        reason = reason_of(row)
        box = row.ref.box
        counts[reason] = counts.get(reason, 0) + 1
        colour = REASONS.get(reason, TEXT_COLOUR) if reason else KEPT
        place = (
            box.x * scale_x + 1,
            box.y * scale_y + 1,
            box.right * scale_x - 2,
            box.bottom * scale_y - 2,
        )
        if place[2] > place[0] and place[3] > place[1]:
            fill = (*colour, 0 if not reason else 25 if reason == "tissue" else 90)
            draw.rectangle(
                place,
                fill=fill,
                outline=(*colour, 255),
                width=1 if reason == "tissue" else 2,
            )
    flat = Image.alpha_composite(image, veil).convert("RGB")
    return _with_key(np.array(flat, dtype=np.uint8), slide.path.name, counts)


def sheet_of(
    shown: Sequence[Row],
    rows: Sequence[Row],
    *,
    most: int = 8,
    cell: int = 192,
) -> Pixels:
    """Kept tiles, the same with their nuclei, and examples of each reason for refusal.

    Args:
        shown: rows with pictures to choose from.
        rows: all of them, for the counts.
        most: so many of each.
        cell: side of a picture, px.
    """
    counts = Counter(reason_of(row) for row in rows)
    kept = spread([row for row in shown if not row.refused and row.image], most)
    lines: list[tuple[str, list[Pixels]]] = []
    if kept:
        pictures = [decode_rgb(row.image or b"", row.tile_id) for row in kept]
        lines.append((f"kept ({counts['']:,}): stain as in the set", pictures))
        if any(row.nuclei is not None for row in kept):
            dots = [
                draw_nuclei(row.nuclei, over=picture, radius_px=picture.shape[0] / 160)
                if row.nuclei is not None
                else picture
                for row, picture in zip(kept, pictures, strict=True)
            ]
            found = sum(len(row.nuclei) for row in kept if row.nuclei is not None)
            lines.append((f"their nuclei ({found:,} in these)", dots))
    for reason in REASONS:
        examples = spread([row for row in shown if reason_of(row) == reason and row.image], most)
        if examples:
            first = examples[0].refused.partition(": ")[2]
            pictures = [decode_rgb(row.image or b"", row.tile_id) for row in examples]
            lines.append((f"refused, {reason} ({counts[reason]:,}); the first: {first}", pictures))
    return contact_sheet(lines or [("no tile was read", [])], cell=cell, title="Tile set")


def spread(rows: Sequence[Row], most: int) -> list[Row]:
    """At most so many, evenly from first to last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[int(place)] for place in np.linspace(0, len(rows) - 1, most).round()]


def _with_key(picture: Pixels, title: str, counts: dict[str, int]) -> Pixels:
    """The picture over a line that says which colour is what."""
    height, width = picture.shape[:2]
    order = ["", *REASONS]
    shown = sorted(counts, key=lambda name: order.index(name) if name in order else len(order))
    line = 22
    pad = 8
    sheet = Image.new(
        "RGB",
        (max(width, 320), line + pad + height + pad + line * len(shown)),
        PAPER_COLOUR,
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=14)
    draw.text((pad, 4), title, fill=TEXT_COLOUR, font=font)
    sheet.paste(Image.fromarray(picture), (0, line + pad))
    for place, name in enumerate(shown):
        y = line + pad + height + pad + place * line
        draw.rectangle(
            (pad, y, pad + 14, y + 14), fill=REASONS.get(name, TEXT_COLOUR) if name else KEPT
        )
        text = f"refused, {name}" if name else "kept"
        draw.text(
            (pad + 22, y - 2),
            f"{text}: {counts[name]:,}",
            fill=TEXT_COLOUR,
            font=font,
        )
    return np.array(sheet, dtype=np.uint8)
