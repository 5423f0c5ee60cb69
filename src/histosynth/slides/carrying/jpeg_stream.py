"""A baseline JPEG stream as its quantised coefficients, of which some are replaced.

What is not replaced decodes to the same pixels in any decoder, since its coefficients and tables
are the same. Streams of TIFF tiles have some of their tables in the tag JPEGTables.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
from .jpeg_segments import (
    HUFFMAN,
    QUANTISATION,
    SCAN,
    SIDE,
    START,
    JpegComponent,
    mcu_of,
    read_jpeg_head,
)

_END = b"\xff\xd9"
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
        by_mcu = self.blocks.reshape(
            down,
            across,
            total,
            BLOCK,
        )
        for each in self.components:
            count = each.across * each.down
            own = by_mcu[:, :, first : first + count]
            split = own.reshape(
                down,
                across,
                each.down,
                each.across,
                BLOCK,
            )
            plane = split.transpose(
                0,
                2,
                1,
                3,
                4,
            )
            found.append(
                plane.reshape(
                    down * each.down,
                    across * each.across,
                    BLOCK,
                )
            )
            first += count
        return found

    def with_planes(self, planes: Sequence[Coefficients]) -> JpegStream:
        """The same with other coefficients; see `planes`."""
        across, down = self.mcus
        parts = []
        for each, plane in zip(
            self.components,
            planes,
            strict=True,
        ):
            split = plane.reshape(
                down,
                each.down,
                across,
                each.across,
                BLOCK,
            )
            parts.append(
                split.transpose(
                    0,
                    2,
                    1,
                    3,
                    4,
                ).reshape(
                    down,
                    across,
                    -1,
                    BLOCK,
                )
            )
        return replace(self, blocks=np.concatenate(parts, axis=2).reshape(-1, BLOCK))

    def with_samples(self, samples: Float64Array, where: Mask) -> JpegStream:
        """The same with the blocks of some pixels from other samples.

        Args:
            samples: (H, W, 3) in [0, 255], in the stream's own colours.
            where: (H, W) bool; every block that holds one of these pixels is replaced.
        """
        width, height = self.mcus[0] * self.mcu_px[0], self.mcus[1] * self.mcu_px[1]
        spare = ((0, height - samples.shape[0]), (0, width - samples.shape[1]))
        filled = np.pad(
            samples,
            (*spare, (0, 0)),
            mode="edge",
        )
        chosen = np.pad(where, spare)
        most_across, most_down = (side // SIDE for side in self.mcu_px)
        planes = []
        for index, (each, plane) in enumerate(
            zip(
                self.components,
                self.planes(),
                strict=True,
            )
        ):
            step = (most_down // each.down, most_across // each.across)
            values = _reduced(filled[..., index], step)
            is_new = _reduced(chosen.astype(np.float64), (SIDE * step[0], SIDE * step[1])) > 0
            table = self.quantisation[each.quantisation]
            new = np.where(
                is_new[..., None],
                _quantised(values, table),
                plane,
            )
            planes.append(new.astype(np.int32))
        return self.with_planes(planes)

    def encoded(self) -> bytes:
        """The stream with all of its tables."""
        order = _scan_components(self.components, self.mcus)
        tables = _tables_by_index(self.components, self.huffman)
        scan, used = encode_blocks(
            self.blocks,
            order,
            tables,
        )
        if used[1] != used[2]:  # a baseline stream has two pairs of tables
            common = ScanTables(standard_table(False), standard_table(True))
            tables = {0: tables[0], 1: common, 2: common}
            scan, used = encode_blocks(
                self.blocks,
                order,
                tables,
            )
        out = START + self.markers
        for number in sorted({each.quantisation for each in self.components}):
            out += _quantisation_segment(number, self.quantisation[number])
        width, height = self.size
        frame = struct.pack(
            ">BHHB",
            8,
            height,
            width,
            len(self.components),
        )
        head = bytes([len(self.components)])
        for index, each in enumerate(self.components):
            factors = each.across << 4 | each.down
            frame += bytes(
                [
                    each.number,
                    factors,
                    each.quantisation,
                ]
            )
            slot = min(index, 1)
            head += bytes([each.number, slot << 4 | slot])
            if index < 2:
                out += _segment(HUFFMAN, bytes([slot]) + used[index].dc.bytes)
                out += _segment(HUFFMAN, bytes([0x10 | slot]) + used[index].ac.bytes)
        out += _segment(0xC0, frame)
        return out + _segment(SCAN, head + b"\0\x3f\0") + scan + _END


def read_jpeg(data: bytes, tables: bytes = b"") -> JpegStream:
    """A stream with its coefficients.

    Args:
        data: of a tile.
        tables: of the tag JPEGTables.

    Raises:
        ValueError: damaged, or not baseline of three components in one scan.
    """
    found = read_jpeg_head(data, tables)
    if any(each.quantisation not in found.quantisation for each in found.components):
        raise ValueError("a JPEG stream without its tables")
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
    return np.asarray(
        values.reshape(
            rows,
            step[0],
            columns,
            step[1],
        ).mean(axis=(1, 3))
    )


def _quantised(samples: Float64Array, table: NDArray[np.int32]) -> NDArray[np.float64]:
    """(rows, columns, 64) coefficients of samples (8 rows, 8 columns)."""
    rows, columns = samples.shape[0] // SIDE, samples.shape[1] // SIDE
    blocks = (
        samples.reshape(
            rows,
            SIDE,
            columns,
            SIDE,
        ).transpose(
            0,
            2,
            1,
            3,
        )
        - _MIDDLE
    )
    spectra = _COSINES @ blocks @ _COSINES.T
    ordered = spectra.reshape(
        rows,
        columns,
        BLOCK,
    )[..., ZIGZAG]
    values = np.rint(ordered / table)
    values[..., 1:] = values[..., 1:].clip(-_MOST_AC, _MOST_AC)
    return np.asarray(values)


def _segment(marker: int, contents: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(contents) + 2) + contents


def _quantisation_segment(number: int, table: NDArray[np.int32]) -> bytes:
    is_wide = int(table.max()) > 255
    values = table.astype(">u2" if is_wide else "u1").tobytes()
    return _segment(QUANTISATION, bytes([is_wide << 4 | number]) + values)
