"""A BigTIFF of pages whose tiles are compressed already, its levels chained and in SubIFDs.

tifffile writes tiles of its own codecs only, and no page of tables, colours and predictors as they
stand in another file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ASCII = 2
SHORT = 3
LONG = 4
RATIONAL = 5
UNDEFINED = 7
LONG8 = 16
IFD8 = 18
BYTE = 1
_SIZES = {
    BYTE: 1,
    ASCII: 1,
    SHORT: 2,
    LONG: 4,
    RATIONAL: 8,
    UNDEFINED: 1,
    LONG8: 8,
    IFD8: 8,
}
_FORMS = {
    SHORT: "H",
    LONG: "I",
    RATIONAL: "I",
    LONG8: "Q",
    IFD8: "Q",
}
_SUB_IFDS = 330
_TILE_OFFSETS = 324
_TILE_BYTES = 325
_STRIP_OFFSETS = 273
_STRIP_BYTES = 279
_HEADER = struct.Struct("<2sHHHQ")
_ENTRY = struct.Struct("<HHQ8s")
_ALIGNED = 8


@dataclass(frozen=True)
class TiffTag:
    """A tag of a page.

    Attributes:
        code: of the tag.
        form: its type.
        data: its value, little-endian.
    """

    code: int
    form: int
    data: bytes

    @classmethod
    def of(cls, code: int, form: int, *values: int) -> TiffTag:
        """A tag of whole numbers; of rationals, numerators and denominators in turn."""
        return cls(code, form, struct.pack(f"<{len(values)}{_FORMS[form]}", *values))

    @classmethod
    def of_bytes(cls, code: int, form: int, data: bytes) -> TiffTag:
        """A tag of bytes or text."""
        return cls(code, form, data)

    @property
    def count(self) -> int:
        """Values."""
        return len(self.data) // _SIZES[self.form]


@dataclass(frozen=True, eq=False)
class TiffPageParts:
    """A page to write.

    Attributes:
        tags: all but those of its tiles' places and of SubIFDs.
        tiles: of the page, row by row; an empty one is not there.
        is_tiled: its parts are tiles; else strips.
    """

    tags: Sequence[TiffTag]
    tiles: Callable[[], Iterator[bytes]]
    is_tiled: bool = True


def write_pages(
    path: Path,
    pages: Sequence[TiffPageParts],
    *,
    is_nested: bool = True,
) -> None:
    """Write a BigTIFF: the first page, and the others after it.

    Args:
        path: a file that is not there, or is replaced.
        pages: from the finest level.
        is_nested: the others are in SubIFDs of the first page too.
    """
    with path.open("wb") as file:
        file.write(_HEADER.pack(b"II", 43, 8, 0, 0))
        places = [_write_tiles(file, page) for page in pages]
        following = 0
        below: list[int] = []
        for number in range(len(pages) - 1, -1, -1):
            tags = [*pages[number].tags, *places[number]]
            if not number and below and is_nested:
                tags.append(TiffTag.of(_SUB_IFDS, IFD8, *below))
            following = _write_ifd(file, tags, following)
            below.insert(0, following)
        file.seek(0)
        file.write(_HEADER.pack(b"II", 43, 8, 0, following))


def _write_tiles(file: BinaryIO, page: TiffPageParts) -> list[TiffTag]:
    offsets = []
    counts = []
    for tile in page.tiles():
        offsets.append(_place(file) if tile else 0)
        counts.append(len(tile))
        file.write(tile)
    places, sizes = (
        (_TILE_OFFSETS, _TILE_BYTES) if page.is_tiled else (_STRIP_OFFSETS, _STRIP_BYTES)
    )
    return [TiffTag.of(places, LONG8, *offsets), TiffTag.of(sizes, LONG8, *counts)]


def _write_ifd(file: BinaryIO, tags: Sequence[TiffTag], following: int) -> int:
    """Write a page's tags; where they begin."""
    entries = []
    for tag in sorted(tags, key=lambda each: each.code):
        field = tag.data
        if len(field) > _ALIGNED:
            field = struct.pack("<Q", _aligned(file))
            file.write(tag.data)
        entry = _ENTRY.pack(
            tag.code,
            tag.form,
            tag.count,
            field.ljust(_ALIGNED, b"\0"),
        )
        entries.append(entry)
    offset = _aligned(file)
    file.write(struct.pack("<Q", len(entries)))
    file.write(b"".join(entries))
    file.write(struct.pack("<Q", following))
    return offset


def _place(file: BinaryIO) -> int:
    return file.seek(0, os.SEEK_CUR)


def _aligned(file: BinaryIO) -> int:
    """Fill up to a multiple of 8 bytes; where that is."""
    spare = -_place(file) % _ALIGNED
    file.write(b"\0" * spare)
    return _place(file)
