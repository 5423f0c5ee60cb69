"""Pictures inside the page: PNG as data URIs, shrunk until the page stays small enough to be sent
around.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ...core.tile import Pixels
from ...metrics.finding import Gallery

SIDE = 256
"""Pictures are fitted into a square of so many pixels."""
LEAST_SIDE = 64
MOST = 256
"""Pictures on a page; rows beyond are left out, and it is said."""
BUDGET = 12_000_000
"""Characters of all pictures of a page."""


@dataclass(frozen=True)
class Picture:
    """One picture, ready for `src`."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """A gallery with its pictures encoded; `missing` rows found no room."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]
    missing: int


def encode(galleries: Sequence[Gallery]) -> list[Shown]:
    """All galleries of a page, with pictures of the largest side that the budget allows."""
    kept: list[int] = []
    room = MOST
    for gallery in galleries:
        rows = 0
        for _, pictures in gallery.rows:
            if len(pictures) > room:
                break
            room -= len(pictures)
            rows += 1
        kept.append(rows)
    side = SIDE
    while True:
        shown = [_shown(gallery, rows, side) for gallery, rows in zip(galleries, kept, strict=True)]
        size = sum(len(each.uri) for one in shown for _, pictures in one.rows for each in pictures)
        if size <= BUDGET or side <= LEAST_SIDE:
            return shown
        side = max(LEAST_SIDE, min(int(side * 0.97 * (BUDGET / size) ** 0.5), side - 1))


def _shown(gallery: Gallery, many: int, side: int) -> Shown:
    rows = tuple(
        (text, tuple(picture(each, side) for each in row)) for text, row in gallery.rows[:many]
    )
    return Shown(
        gallery.title,
        gallery.columns,
        rows,
        len(gallery.rows) - many,
    )


def picture(pixels: Pixels, side: int = SIDE) -> Picture:
    """(H, W, 3) uint8 as a PNG, fitted into a square."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return Picture(
        "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode(),
        image.width,
        image.height,
    )
