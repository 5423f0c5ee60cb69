"""What the segments of a JPEG stream state: its frame, its tables, and where its scan is."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .huffman import BLOCK, HuffmanTable

SIDE = 8
"""Pixels along a side of a block."""
START = b"\xff\xd8"
HUFFMAN = 0xC4
QUANTISATION = 0xDB
SCAN = 0xDA
_FRAMES = (0xC0, 0xC1)
_OTHER_FRAMES = (0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_RESTART = 0xDD
_APP = range(0xE0, 0xF0)


@dataclass(frozen=True)
class JpegComponent:
    """A component of a frame.

    Attributes:
        number: its identifier.
        across: blocks in a MCU.
        down: rows of blocks in a MCU.
        quantisation: of its table.
        dc: of its table.
        ac: of its table.
    """

    number: int
    across: int
    down: int
    quantisation: int
    dc: int = 0
    ac: int = 0


@dataclass(eq=False)
class JpegHead:
    """What the segments of a stream and of its tables state."""

    size: tuple[int, int] = (0, 0)
    components: list[JpegComponent] = field(default_factory=list)
    quantisation: dict[int, NDArray[np.int32]] = field(default_factory=dict)
    huffman: dict[int, HuffmanTable] = field(default_factory=dict)
    restart: int = 0
    markers: bytes = b""
    scan: bytes = b""

    def read(self, data: bytes) -> None:
        """Read a stream up to its scan.

        Raises:
            ValueError: it is damaged, or of a form that is not read.
        """
        for marker, segment in _segments(data):
            if marker in _FRAMES:
                self._read_frame(segment)
            elif marker in _OTHER_FRAMES:
                raise ValueError("a JPEG stream that is not baseline (progressive or arithmetic)")
            elif marker == HUFFMAN:
                self._read_huffman(segment)
            elif marker == QUANTISATION:
                self._read_quantisation(segment)
            elif marker == _RESTART:
                (self.restart,) = struct.unpack(">H", segment[:2])
            elif marker in _APP:
                length = struct.pack(">H", len(segment) + 2)
                self.markers += bytes([0xFF, marker]) + length + segment
            elif marker == SCAN:
                self._read_scan(segment)

    def _read_frame(self, segment: bytes) -> None:
        bits, height, width, count = struct.unpack(">BHHB", segment[:6])
        if bits != 8 or count != 3 or len(segment) < 6 + 3 * count:
            raise ValueError(f"a JPEG stream of {count} components of {bits} bits")
        self.size = (width, height)
        for index in range(count):
            number, factors, table = segment[6 + 3 * index : 9 + 3 * index]
            component = JpegComponent(
                number,
                factors >> 4,
                factors & 15,
                table,
            )
            if not (1 <= component.across <= 4 and 1 <= component.down <= 4):
                raise ValueError("a JPEG stream of impossible sampling factors")
            self.components.append(component)

    def _read_huffman(self, segment: bytes) -> None:
        at = 0
        while at < len(segment):
            counts = segment[at + 1 : at + 17]
            end = at + 17 + sum(counts)
            self.huffman[segment[at]] = HuffmanTable(counts, segment[at + 17 : end])
            at = end

    def _read_quantisation(self, segment: bytes) -> None:
        at = 0
        while at < len(segment):
            form = ">u2" if segment[at] >> 4 else "u1"
            end = at + 1 + BLOCK * np.dtype(form).itemsize
            values = np.frombuffer(segment[at + 1 : end], form)
            if len(values) != BLOCK or not values.all():
                raise ValueError("a JPEG stream with a damaged table")
            self.quantisation[segment[at] & 15] = values.astype(np.int32)
            at = end

    def _read_scan(self, segment: bytes) -> None:
        if len(segment) < 10 or segment[0] != len(self.components):
            raise ValueError("a JPEG stream of several scans")
        named = {}
        for index in range(segment[0]):
            number, tables = segment[1 + 2 * index : 3 + 2 * index]
            named[number] = tables
        self.components = [
            replace(
                each,
                dc=named[each.number] >> 4,
                ac=named[each.number] & 15,
            )
            for each in self.components
        ]


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, contents) of each segment, up to the first scan."""
    if not data.startswith(START):
        raise ValueError("no JPEG stream")
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise ValueError("a damaged JPEG stream")
        marker = data[at + 1]
        if marker in (0xD9, 0xFF):
            at += 2 if marker == 0xD9 else 1
            continue
        (length,) = struct.unpack(">H", data[at + 2 : at + 4])
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == SCAN:
            yield 0, data[at:]
            return


def mcu_of(components: Sequence[JpegComponent]) -> tuple[int, int]:
    """(width, height) of a MCU, px."""
    across = max(each.across for each in components)
    down = max(each.down for each in components)
    return SIDE * across, SIDE * down


def read_jpeg_head(data: bytes, tables: bytes = b"") -> JpegHead:
    """What a stream states before its scan; raises as `read_jpeg` does."""
    found = JpegHead()
    try:
        if tables:
            found.read(tables)
        found.read(data)
    except (
        IndexError,
        KeyError,
        struct.error,
    ) as error:
        raise ValueError("a damaged JPEG stream") from error
    if not found.components or min(found.size) < 1:
        raise ValueError("a JPEG stream without a frame")
    found.scan = _scan_of(data)
    return found


def _scan_of(data: bytes) -> bytes:
    for marker, rest in _segments(data):
        if not marker:
            return rest
    raise ValueError("a JPEG stream without a scan")
