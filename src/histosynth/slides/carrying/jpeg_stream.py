"""A baseline JPEG stream as its quantised coefficients, of which some are replaced.

What is not replaced decodes to the same pixels in any decoder, since its coefficients and tables
are the same. Streams of TIFF tiles have some of their tables in the tag JPEGTables.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array
from ...core.tile import Mask
from .huffman import (
    BLOCK,
    Coefficients,
    HuffmanTable,
    ScanTables,
    decode_blocks,
    encode_blocks,
    standard_table,
)

SIDE = 8
"""Pixels along a side of a block."""
_START = b"\xff\xd8"
_END = b"\xff\xd9"
_FRAMES = (0xC0, 0xC1)
_OTHER_FRAMES = (0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_HUFFMAN = 0xC4
_QUANTISATION = 0xDB
_RESTART = 0xDD
_SCAN = 0xDA
_APP = range(0xE0, 0xF0)
_ADOBE = 0xEE
_MOST_AC = 1023
_MIDDLE = 128.0


def _zigzag() -> NDArray[np.intp]:
    """Places in a block of 8 x 8, row by row, in zigzag order."""
    places = [(row, column) for row in range(SIDE) for column in range(SIDE)]

    def key(place: tuple[int, int]) -> tuple[int, int]:
        row, column = place
        diagonal = row + column
        return diagonal, row if diagonal % 2 else column

    return np.array([SIDE * row + column for row, column in sorted(places, key=key)])


ZIGZAG = _zigzag()


def _cosines() -> Float64Array:
    """(8, 8) matrix of the DCT of T.81."""
    steps = np.arange(SIDE)
    matrix = np.cos(np.pi * (2 * steps[None] + 1) * steps[:, None] / (2 * SIDE)) / 2
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix)


_COSINES = _cosines()


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
class _Segments:
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
            elif marker == _HUFFMAN:
                self._read_huffman(segment)
            elif marker == _QUANTISATION:
                self._read_quantisation(segment)
            elif marker == _RESTART:
                (self.restart,) = struct.unpack(">H", segment[:2])
            elif marker in _APP:
                length = struct.pack(">H", len(segment) + 2)
                self.markers += bytes([0xFF, marker]) + length + segment
            elif marker == _SCAN:
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
            replace(each, dc=named[each.number] >> 4, ac=named[each.number] & 15)
            for each in self.components
        ]


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, contents) of each segment, up to the first scan."""
    if not data.startswith(_START):
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
        if marker == _SCAN:
            yield 0, data[at:]
            return


@dataclass(frozen=True, eq=False)
class JpegStream:
    """A stream's head, and its blocks.

    Attributes:
        size: (width, height) px.
        components: three.
        quantisation: tables by number, in zigzag order.
        huffman: tables by number.
        markers: application segments, as they are.
        blocks: in the order of the scan.
    """

    size: tuple[int, int]
    components: tuple[JpegComponent, ...]
    quantisation: Mapping[int, NDArray[np.int32]]
    huffman: Mapping[int, HuffmanTable]
    markers: bytes
    blocks: Coefficients

    @property
    def mcu_px(self) -> tuple[int, int]:
        """(width, height) of what is coded together, px."""
        return mcu_of(self.components)

    @cached_property
    def mcus(self) -> tuple[int, int]:
        """MCUs (across, down)."""
        return _mcus(self.size, self.mcu_px)

    def planes(self) -> list[Coefficients]:
        """(rows, columns, 64) of each component."""
        across, down = self.mcus
        found = []
        first = 0
        total = _blocks_per_mcu(self.components)
        by_mcu = self.blocks.reshape(down, across, total, BLOCK)
        for each in self.components:
            count = each.across * each.down
            own = by_mcu[:, :, first : first + count]
            split = own.reshape(down, across, each.down, each.across, BLOCK)
            plane = split.transpose(0, 2, 1, 3, 4)
            found.append(plane.reshape(down * each.down, across * each.across, BLOCK))
            first += count
        return found

    def with_planes(self, planes: Sequence[Coefficients]) -> JpegStream:
        """The same with other coefficients; see `planes`."""
        across, down = self.mcus
        parts = []
        for each, plane in zip(self.components, planes, strict=True):
            split = plane.reshape(down, each.down, across, each.across, BLOCK)
            parts.append(split.transpose(0, 2, 1, 3, 4).reshape(down, across, -1, BLOCK))
        return replace(self, blocks=np.concatenate(parts, axis=2).reshape(-1, BLOCK))

    def with_samples(self, samples: Float64Array, where: Mask) -> JpegStream:
        """The same with the blocks of some pixels from other samples.

        Args:
            samples: (H, W, 3) in [0, 255], in the stream's own colours.
            where: (H, W) bool; every block that holds one of these pixels is replaced.
        """
        width, height = self.mcus[0] * self.mcu_px[0], self.mcus[1] * self.mcu_px[1]
        spare = ((0, height - samples.shape[0]), (0, width - samples.shape[1]))
        filled = np.pad(samples, (*spare, (0, 0)), mode="edge")
        chosen = np.pad(where, spare)
        most_across, most_down = (side // SIDE for side in self.mcu_px)
        planes = []
        for index, (each, plane) in enumerate(zip(self.components, self.planes(), strict=True)):
            step = (most_down // each.down, most_across // each.across)
            values = _reduced(filled[..., index], step)
            is_new = _reduced(chosen.astype(np.float64), (SIDE * step[0], SIDE * step[1])) > 0
            table = self.quantisation[each.quantisation]
            new = np.where(is_new[..., None], _quantised(values, table), plane)
            planes.append(new.astype(np.int32))
        return self.with_planes(planes)

    def encoded(self) -> bytes:
        """The stream with all of its tables."""
        order = _scan_components(self.components, self.mcus)
        tables = _tables_by_index(self.components, self.huffman)
        scan, used = encode_blocks(self.blocks, order, tables)
        if used[1] != used[2]:  # a baseline stream has two pairs of tables
            common = ScanTables(standard_table(False), standard_table(True))
            tables = {0: tables[0], 1: common, 2: common}
            scan, used = encode_blocks(self.blocks, order, tables)
        out = _START + self.markers
        for number in sorted({each.quantisation for each in self.components}):
            out += _quantisation_segment(number, self.quantisation[number])
        width, height = self.size
        frame = struct.pack(">BHHB", 8, height, width, len(self.components))
        head = bytes([len(self.components)])
        for index, each in enumerate(self.components):
            factors = each.across << 4 | each.down
            frame += bytes([each.number, factors, each.quantisation])
            slot = min(index, 1)
            head += bytes([each.number, slot << 4 | slot])
            if index < 2:
                out += _segment(_HUFFMAN, bytes([slot]) + used[index].dc.bytes)
                out += _segment(_HUFFMAN, bytes([0x10 | slot]) + used[index].ac.bytes)
        out += _segment(0xC0, frame)
        return out + _segment(_SCAN, head + b"\0\x3f\0") + scan + _END


def mcu_of(components: Sequence[JpegComponent]) -> tuple[int, int]:
    """(width, height) of a MCU, px."""
    across = max(each.across for each in components)
    down = max(each.down for each in components)
    return SIDE * across, SIDE * down


def read_jpeg(data: bytes, tables: bytes = b"") -> JpegStream:
    """A stream with its coefficients.

    Args:
        data: of a tile.
        tables: of the tag JPEGTables.

    Raises:
        ValueError: damaged, or not baseline of three components in one scan.
    """
    found = read_jpeg_head(data, tables)
    parts = _scan_parts(found.scan)
    mcus = _mcus(found.size, mcu_of(found.components))
    order = _scan_components(found.components, mcus)
    per_part = len(order)
    if found.restart:
        per_part = found.restart * _blocks_per_mcu(found.components)
    try:
        blocks = decode_blocks(
            parts,
            order,
            _tables_by_index(found.components, found.huffman),
            per_part,
        )
    except KeyError as error:
        raise ValueError("a JPEG stream without its tables") from error
    return JpegStream(
        found.size,
        tuple(found.components),
        found.quantisation,
        found.huffman,
        found.markers,
        blocks,
    )


def read_jpeg_head(data: bytes, tables: bytes = b"") -> _Segments:
    """What a stream states before its scan; raises as `read_jpeg` does."""
    found = _Segments()
    try:
        if tables:
            found.read(tables)
        found.read(data)
    except (IndexError, KeyError, struct.error) as error:
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


def _scan_parts(scan: bytes) -> list[bytes]:
    """Bytes between restarts, without stuffed zeros; what follows the scan is cut off."""
    parts = []
    first = 0
    at = scan.find(b"\xff")
    while at >= 0 and at + 1 < len(scan):
        following = scan[at + 1]
        if following == 0xFF:
            at += 1
            continue
        if following and not 0xD0 <= following <= 0xD7:
            break
        if following:
            parts.append(scan[first:at])
            first = at + 2
        at = scan.find(b"\xff", at + 2)
    parts.append(scan[first : at if at >= 0 else len(scan)])
    return [part.replace(b"\xff\x00", b"\xff") for part in parts]


def _mcus(size: tuple[int, int], mcu_px: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // mcu_px[0]), -(-size[1] // mcu_px[1])


def _blocks_per_mcu(components: Sequence[JpegComponent]) -> int:
    return sum(each.across * each.down for each in components)


def _scan_components(components: Sequence[JpegComponent], mcus: tuple[int, int]) -> list[int]:
    """The component of each block of a scan."""
    of_mcu = []
    for index, each in enumerate(components):
        of_mcu += [index] * (each.across * each.down)
    return of_mcu * (mcus[0] * mcus[1])


def _tables_by_index(
    components: Sequence[JpegComponent],
    huffman: Mapping[int, HuffmanTable],
) -> dict[int, ScanTables]:
    return {
        index: ScanTables(huffman[each.dc], huffman[0x10 | each.ac])
        for index, each in enumerate(components)
    }


def _reduced(values: Float64Array, step: tuple[int, int]) -> Float64Array:
    """Means of blocks of `step` (rows, columns)."""
    rows, columns = values.shape[0] // step[0], values.shape[1] // step[1]
    return np.asarray(values.reshape(rows, step[0], columns, step[1]).mean(axis=(1, 3)))


def _quantised(samples: Float64Array, table: NDArray[np.int32]) -> NDArray[np.float64]:
    """(rows, columns, 64) coefficients of samples (8 rows, 8 columns)."""
    rows, columns = samples.shape[0] // SIDE, samples.shape[1] // SIDE
    blocks = samples.reshape(rows, SIDE, columns, SIDE).transpose(0, 2, 1, 3) - _MIDDLE
    spectra = _COSINES @ blocks @ _COSINES.T
    ordered = spectra.reshape(rows, columns, BLOCK)[..., ZIGZAG]
    values = np.rint(ordered / table)
    values[..., 1:] = values[..., 1:].clip(-_MOST_AC, _MOST_AC)
    return np.asarray(values)


def _segment(marker: int, contents: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(contents) + 2) + contents


def _quantisation_segment(number: int, table: NDArray[np.int32]) -> bytes:
    is_wide = int(table.max()) > 255
    values = table.astype(">u2" if is_wide else "u1").tobytes()
    return _segment(_QUANTISATION, bytes([is_wide << 4 | number]) + values)
