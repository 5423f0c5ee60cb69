"""The folder of parts: a file for each block of each level, whole or not at all.

A part holds the encoded tiles of its block and, for the next level, a half-size picture without
loss. Its header names what it belongs to and the length and checksum of each piece, so that a part
that was cut off, damaged or written for another slide counts as missing.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, NamedTuple

from ...core.errors import MissingParts, SizeMismatch
from ...core.geometry import Size
from ...core.plain_files import open_plain
from ...core.store import atomic_write, digest
from ...core.tile import Pixels, check_rgb
from .block_pictures import half_picture, tiles_of
from .encoding import Encoding, pack_pixels, unpack_pixels
from .pyramid import Pyramid, half_of

_MAGIC = b"HSBLOCK1"
_HEAD = struct.Struct("<8s32sIIII")
"""Magic, digest of what it belongs to, level, column, row, number of pieces."""
_PIECE = struct.Struct("<QI")
"""Bytes and CRC-32 of a piece."""
_NOT_WHOLE = (
    OSError,
    ValueError,
    struct.error,
)
_CHECKSUM = struct.Struct("<I")


@dataclass(frozen=True)
class SlideParts:
    """A folder of parts and the slide that they become. It passes to other processes.

    Attributes:
        folder: of the parts, beside the result; it is created.
        pyramid: of the slide.
        encoding: of its tiles.
        key: what the pixels depend on, e.g. a digest of the recipe: parts of another key count as
            missing.
    """

    folder: Path
    pyramid: Pyramid
    encoding: Encoding
    key: str = ""

    @cached_property
    def identity(self) -> bytes:
        """32 bytes that every part holds."""
        facts = {
            "size": list(self.pyramid.size),
            "tile_px": self.pyramid.tile_px,
            "encoding": asdict(self.encoding),
            "key": self.key,
        }
        return bytes.fromhex(digest(facts))


class PartPlace(NamedTuple):
    """A block of a level: one piece of work of an engine."""

    parts: SlideParts
    column: int
    row: int
    level: int = 0

    @property
    def path(self) -> Path:
        """The file of the block."""
        level = f"level-{self.level:02d}"
        row = f"{self.row:06d}"
        name = f"{self.column:06d}.part"
        return self.parts.folder / level / row / name

    @property
    def tiles(self) -> Size:
        """Tiles (across, down) of the block."""
        return self.parts.pyramid.block_tiles(
            self.column,
            self.row,
            self.level,
        )

    @property
    def half_size(self) -> Size:
        """(width, height) of the half-size picture."""
        box = self.parts.pyramid.block_box(
            self.column,
            self.row,
            self.level,
        )
        width = half_of(box.width)
        height = half_of(box.height)
        return Size(width, height)

    @property
    def is_last_level(self) -> bool:
        """Whether no level needs a half-size picture of it."""
        count = len(self.parts.pyramid.levels)
        return self.level == count - 1

    @property
    def piece_count(self) -> int:
        """Pieces of the part: its tiles, and the half-size picture."""
        across, down = self.tiles
        return across * down + (not self.is_last_level)


def write_block(
    parts: SlideParts,
    column: int,
    row: int,
    pixels: Pixels,
    *,
    level: int = 0,
) -> None:
    """Encode a block and write its part; the same bytes on every run, in any process.

    Args:
        parts: the folder and what is written.
        column: of the block.
        row: of the block.
        pixels: (H, W, 3) uint8 RGB of `pyramid.block_box(column, row, level)`.
        level: of the block; those below 0 are made by `finish_slide`.

    Raises:
        SizeMismatch: pixels of another size.
        NotWritable: the folder cannot be written, or its disk is full.
    """
    place = PartPlace(parts, column, row, level)
    box = parts.pyramid.block_box(column, row, level)
    check_rgb(pixels, "block")
    height, width = pixels.shape[:2]
    if (width, height) != box.size:
        raise SizeMismatch(
            "block",
            (width, height),
            box.size,
        )
    tiles = tiles_of(pixels, parts.pyramid.tile_px)
    pieces = [parts.encoding.encode(tile) for tile in tiles]
    if not place.is_last_level:
        pieces.append(pack_pixels(half_picture(pixels)))
    with atomic_write(place.path) as temporary, temporary.open("wb") as file:
        file.write(_header(place, pieces))
        for piece in pieces:
            file.write(piece)


def has_block(
    parts: SlideParts,
    column: int,
    row: int,
    *,
    level: int = 0,
) -> bool:
    """Whether a whole, undamaged part of a block is there. Its pieces are read and compared."""
    place = PartPlace(parts, column, row, level)
    try:
        for index in range(place.piece_count):
            read_pieces(place, [index])
    except MissingParts:
        return False
    return True


def read_pieces(place: PartPlace, wanted: Sequence[int]) -> list[bytes]:
    """Pieces of a part: its tiles, row by row, then the half-size picture.

    Raises:
        MissingParts: no whole part is there.
    """
    try:
        with open_plain(place.path) as file:
            offsets = _offsets(place, file)
            return [_read_piece(file, offsets[index]) for index in wanted]
    except _NOT_WHOLE as error:
        raise _missing(place) from error


def read_half(place: PartPlace) -> Pixels:
    """The half-size picture of a block, (H, W, 3) uint8.

    Raises:
        MissingParts: no whole part is there.
    """
    data = read_pieces(place, [place.piece_count - 1])[0]
    return unpack_pixels(data, place.half_size)


def tile_bytes(place: PartPlace) -> int:
    """Bytes of the encoded tiles of a block.

    Raises:
        MissingParts: no whole part is there.
    """
    try:
        with open_plain(place.path) as file:
            offsets = _offsets(place, file)
    except _NOT_WHOLE as error:
        raise _missing(place) from error
    across, down = place.tiles
    tiles = offsets[: across * down]
    return sum(where.length for where in tiles)


def _missing(place: PartPlace) -> MissingParts:
    where = f"column {place.column}, row {place.row} of level {place.level}"
    return MissingParts(
        place.parts.folder,
        1,
        where,
    )


class _Where(NamedTuple):
    """A piece in a part's file: its offset, its bytes and their CRC-32."""

    offset: int
    length: int
    checksum: int


def _header(place: PartPlace, pieces: Sequence[bytes]) -> bytes:
    header = _head_of(place)
    for piece in pieces:
        checksum = zlib.crc32(piece)
        header += _PIECE.pack(len(piece), checksum)
    checksum = zlib.crc32(header)
    return header + _CHECKSUM.pack(checksum)


def _head_of(place: PartPlace) -> bytes:
    return _HEAD.pack(
        _MAGIC,
        place.parts.identity,
        place.level,
        place.column,
        place.row,
        place.piece_count,
    )


def _offsets(place: PartPlace, file: BinaryIO) -> list[_Where]:
    """Where each piece lies.

    Raises:
        ValueError, struct.error: no whole part of this block.
    """
    head = file.read(_HEAD.size)
    if head != _head_of(place):
        raise ValueError("the part of another block")
    table = file.read(_PIECE.size * place.piece_count)
    (checksum,) = _CHECKSUM.unpack(file.read(_CHECKSUM.size))
    if checksum != zlib.crc32(head + table):
        raise ValueError("a damaged header")
    offset = _HEAD.size + len(table) + _CHECKSUM.size
    found = []
    for length, piece_checksum in _PIECE.iter_unpack(table):
        where = _Where(offset, length, piece_checksum)
        found.append(where)
        offset += length
    if file.seek(0, 2) != offset:
        raise ValueError("cut off")
    return found


def _read_piece(file: BinaryIO, where: _Where) -> bytes:
    file.seek(where.offset)
    data = file.read(where.length)
    is_short = len(data) < where.length
    if is_short or zlib.crc32(data) != where.checksum:
        raise ValueError("a damaged piece")
    return data
