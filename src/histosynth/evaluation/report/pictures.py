"""Pictures inside the page: PNG as data URIs, reduced until the page is small enough to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.page.pictures import Picture, encode_picture
from ...metrics.finding import Gallery

MAX_SIDE_PX = 256
"""Pictures are fitted into a square of so many pixels."""
MIN_SIDE_PX = 64
MAX_PICTURES = 256
"""Pictures on a page; further rows are left out, and the page states it."""
MAX_CHARACTERS = 12_000_000
"""Characters of all pictures of a page."""


@dataclass(frozen=True)
class EncodedGallery:
    """A gallery with its pictures encoded; `missing` rows were left out."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Picture, ...]], ...]
    missing: int

    @property
    def characters(self) -> int:
        """Characters of its pictures."""
        return sum(len(each.uri) for _, pictures in self.rows for each in pictures)


def encode_galleries(galleries: Sequence[Gallery]) -> list[EncodedGallery]:
    """All galleries of a page, with pictures of the largest side that the limit allows."""
    counts = _rows_that_fit(galleries)
    side = MAX_SIDE_PX
    while True:
        encoded = []
        for gallery, count in zip(galleries, counts, strict=True):
            encoded.append(_encode(gallery, count, side))
        characters = sum(each.characters for each in encoded)
        if characters <= MAX_CHARACTERS or side <= MIN_SIDE_PX:
            return encoded
        smaller = int(side * 0.97 * (MAX_CHARACTERS / characters) ** 0.5)
        side = max(MIN_SIDE_PX, min(smaller, side - 1))


def _rows_that_fit(galleries: Sequence[Gallery]) -> list[int]:
    """How many rows of each gallery are shown."""
    counts = []
    room = MAX_PICTURES
    for gallery in galleries:
        count = 0
        for _, pictures in gallery.rows:
            if len(pictures) > room:
                break
            room -= len(pictures)
            count += 1
        counts.append(count)
    return counts


def _encode(
    gallery: Gallery,
    count: int,
    side: int,
) -> EncodedGallery:
    rows = []
    for text, pictures in gallery.rows[:count]:
        rows.append((text, tuple(encode_picture(each, side) for each in pictures)))
    missing = len(gallery.rows) - count
    return EncodedGallery(
        gallery.title,
        gallery.columns,
        tuple(rows),
        missing,
    )
