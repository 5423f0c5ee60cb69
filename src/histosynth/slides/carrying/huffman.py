"""Huffman codes of baseline JPEG: coefficients of a scan from its bits, and bits from coefficients.

ITU-T T.81, sections F.1.2 and F.2.2. Coefficients stay whole numbers, so that those that are not
replaced come out as they went in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Coefficients of a block."""
_CODE_BITS = 16
_END = 0x00
_SIXTEEN_ZEROS = 0xF0
_KEYS_PER_BLOCK = 1024
_KEYS_PER_PLACE = 8
_STANDARD_DC = "00010501010101010100000000000000" + "000102030405060708090a0b"
_STANDARD_AC = (
    "0002010303020403050504040000017d"
    "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a2526"
    "2728292a3435363738393a434445464748494a535455565758595a636465666768696a737475767778797a838485"
    "868788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6"
    "d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa"
)
"""Tables of T.81, annex K.3: numbers of codes of 1 to 16 bits, then their symbols."""
Coefficients = NDArray[np.int32]
"""(N, 64) of blocks in the order of a scan, in zigzag order, quantised."""


@dataclass(frozen=True)
class HuffmanTable:
    """A table as it stands in a stream.

    Attributes:
        counts: numbers of codes of 1 to 16 bits.
        symbols: of the codes, in their order.

    Raises:
        ValueError: no table.
    """

    counts: bytes
    symbols: bytes

    def __post_init__(self) -> None:
        if len(self.counts) != _CODE_BITS or sum(self.counts) != len(self.symbols):
            raise ValueError("a Huffman table of a wrong length")

    @property
    def bytes(self) -> bytes:
        """As in a stream."""
        return self.counts + self.symbols

    @cached_property
    def _codes(self) -> list[tuple[int, int, int]]:
        """(code, its length, its symbol) of each."""
        found = []
        code = 0
        at = 0
        for length, count in enumerate(self.counts, 1):
            for symbol in self.symbols[at : at + count]:
                found.append(
                    (
                        code,
                        length,
                        symbol,
                    )
                )
                code += 1
            at += count
            if code > 1 << length:
                raise ValueError("a Huffman table with too many codes")
            code <<= 1
        return found

    @cached_property
    def by_bits(self) -> list[int]:
        """For any 16 bits: 256 x the length of the code that they begin with + its symbol; or 0."""
        table = np.zeros(1 << _CODE_BITS, np.int64)
        for code, length, symbol in self._codes:
            spare = _CODE_BITS - length
            first = code << spare
            table[first : first + (1 << spare)] = length << 8 | symbol
        values: list[int] = table.tolist()
        return values

    @cached_property
    def by_symbol(self) -> NDArray[np.int64]:
        """(2, 256) code and length of each symbol; length 0: it has none."""
        table = np.zeros((2, 256), np.int64)
        for code, length, symbol in self._codes:
            table[:, symbol] = code, length
        return table

    def holds(self, symbols: NDArray[np.int64]) -> bool:
        """Whether it has codes for all of these."""
        return bool((self.by_symbol[1][symbols] > 0).all())


def standard_table(is_ac: bool) -> HuffmanTable:
    """The table of T.81 for luminance, which has every symbol of 8-bit pictures."""
    data = bytes.fromhex(_STANDARD_AC if is_ac else _STANDARD_DC)
    return HuffmanTable(data[:_CODE_BITS], data[_CODE_BITS:])


@dataclass(frozen=True)
class ScanTables:
    """The tables of one component."""

    dc: HuffmanTable
    ac: HuffmanTable


class _Bits:
    """Bits of a part of a scan: 24 from each byte on, so that any 16 can be taken from one."""

    def __init__(self, data: bytes) -> None:
        values = np.frombuffer(data + b"\xff" * 4, np.uint8).astype(np.int64)
        joined = values[:-2] << 16 | values[1:-1] << 8 | values[2:]
        self.from_byte: list[int] = joined.tolist()
        self.count = 8 * len(data)


def decode_blocks(
    parts: Sequence[bytes],
    components: Sequence[int],
    tables: Mapping[int, ScanTables],
    blocks_per_part: int,
) -> Coefficients:
    """All blocks of a scan.

    Args:
        parts: the scan's bytes between restarts, without stuffed zeros.
        components: of each block.
        tables: of each component.
        blocks_per_part: blocks between two restarts.

    Raises:
        ValueError: the scan is damaged or ends early.
    """
    places: list[int] = []
    values: list[int] = []
    for number, data in enumerate(parts):
        first = number * blocks_per_part
        chosen = components[first : first + blocks_per_part]
        _decode_part(
            _Bits(data),
            chosen,
            tables,
            first,
            (places, values),
        )
    if len(parts) * blocks_per_part < len(components):
        raise ValueError("a JPEG scan that ends early")
    out = np.zeros(len(components) * BLOCK, np.int32)
    out[places] = values
    return out.reshape(-1, BLOCK)


def _decode_part(
    bits: _Bits,
    components: Sequence[int],
    tables: Mapping[int, ScanTables],
    first: int,
    out: tuple[list[int], list[int]],
) -> None:
    """Decode blocks up to a restart; adds places and values of what is not 0."""
    places, values = out
    words = bits.from_byte
    last = dict.fromkeys(tables, 0)
    at = 0
    try:
        for block, component in enumerate(components, first):
            base = block * BLOCK
            found = tables[component]
            _, value, at = _next_symbol(words, found.dc.by_bits, at)
            last[component] += value
            places.append(base)
            values.append(last[component])
            at = _decode_ac(
                words,
                found.ac.by_bits,
                at,
                base,
                out,
            )
            if at > bits.count:
                raise ValueError("a JPEG scan that ends early")
    except IndexError as error:
        raise ValueError("a JPEG scan that ends early") from error


def _decode_ac(
    words: list[int],
    lookup: list[int],
    at: int,
    base: int,
    out: tuple[list[int], list[int]],
) -> int:
    """Decode a block's other coefficients; the bit behind them."""
    places, values = out
    place = 1
    while place < BLOCK:
        symbol, value, at = _next_symbol(words, lookup, at)
        run = symbol >> 4
        if symbol & 15:
            place += run
            if place >= BLOCK:
                raise ValueError("a JPEG scan with a block that is too long")
            places.append(base + place)
            values.append(value)
        elif run == 15:
            place += run
        else:
            break
        place += 1
    return at


def _next_symbol(
    words: list[int],
    lookup: list[int],
    at: int,
) -> tuple[int, int, int]:
    """A symbol, the value behind it, and the bit behind that."""
    code = lookup[words[at >> 3] >> (8 - (at & 7)) & 0xFFFF]
    if not code:
        raise ValueError("a JPEG scan with a code that no table has")
    at += code >> 8
    size = code & 15
    if not size:
        return code & 255, 0, at
    raw = (words[at >> 3] >> (8 - (at & 7)) & 0xFFFF) >> (16 - size)
    value = raw if raw >> (size - 1) else raw - (1 << size) + 1
    return code & 255, value, at + size


@dataclass(frozen=True, eq=False)
class _Symbols:
    """Symbols of a scan in any order.

    Attributes:
        keys: their order.
        symbols: each.
        extra: the bits behind each.
        components: of each.
        is_ac: whether a table of AC holds it.
    """

    keys: NDArray[np.int64]
    symbols: NDArray[np.int64]
    extra: NDArray[np.int64]
    components: NDArray[np.int64]
    is_ac: NDArray[np.bool_]

    def of_table(self, component: int, is_ac: bool) -> NDArray[np.bool_]:
        """Which belong to a table."""
        chosen = (self.components == component) & (self.is_ac == is_ac)
        return np.asarray(chosen)


def encode_blocks(
    blocks: Coefficients,
    components: Sequence[int],
    tables: Mapping[int, ScanTables],
) -> tuple[bytes, dict[int, ScanTables]]:
    """A scan without restarts, and the tables that it uses.

    Args:
        blocks: of the scan.
        components: of each block.
        tables: of each component; one that lacks a symbol is replaced by the standard one.
    """
    found = _symbols_of(blocks, np.array(components, np.int64))
    used = {}
    codes = np.zeros(len(found.keys), np.int64)
    lengths = np.zeros(len(found.keys), np.int64)
    for component, own in tables.items():
        both = []
        for is_ac, table in ((False, own.dc), (True, own.ac)):
            chosen = found.of_table(component, is_ac)
            symbols = found.symbols[chosen]
            fitting = table if table.holds(symbols) else standard_table(is_ac)
            codes[chosen], lengths[chosen] = fitting.by_symbol[:, symbols]
            both.append(fitting)
        used[component] = ScanTables(*both)
    sizes = found.symbols & 15
    order = np.argsort(found.keys, kind="stable")
    values = (codes << sizes | found.extra)[order]
    return _packed(values, (lengths + sizes)[order]), used


def _symbols_of(blocks: Coefficients, components: NDArray[np.int64]) -> _Symbols:
    wide = blocks.astype(np.int64)
    dc = wide[:, 0].copy()
    for component in np.unique(components):
        chosen = components == component
        dc[chosen] = np.diff(dc[chosen], prepend=0)
    ac = wide.copy()
    ac[:, 0] = 0
    rows, places = np.nonzero(ac)
    values = ac[rows, places]
    is_first = np.diff(rows, prepend=-1) != 0
    before = np.where(
        is_first,
        0,
        np.roll(places, 1),
    )
    runs = places - before - 1
    keys = rows * _KEYS_PER_BLOCK + places * _KEYS_PER_PLACE
    sizes = _bit_lengths(values)
    long_runs = runs // 16
    zeros = np.repeat(keys, long_runs)
    ends = np.zeros(len(wide), np.int64)
    ends[rows] = places  # places ascend, so that the last one stays
    has_end = np.flatnonzero(ends < BLOCK - 1)
    end_keys = has_end * _KEYS_PER_BLOCK + BLOCK * _KEYS_PER_PLACE
    block_keys = np.arange(len(wide)) * _KEYS_PER_BLOCK
    parts = [
        (
            block_keys,
            _bit_lengths(dc),
            _extra_bits(dc),
        ),
        (
            keys + _KEYS_PER_PLACE // 2,
            (runs % 16) << 4 | sizes,
            _extra_bits(values),
        ),
        (
            zeros,
            np.full(len(zeros), _SIXTEEN_ZEROS),
            np.zeros(len(zeros), np.int64),
        ),
        (
            end_keys,
            np.full(len(end_keys), _END),
            np.zeros(len(end_keys), np.int64),
        ),
    ]
    all_keys = np.concatenate([part[0] for part in parts])
    return _Symbols(
        all_keys,
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] for part in parts]),
        components[all_keys // _KEYS_PER_BLOCK],
        np.arange(len(all_keys)) >= len(wide),
    )


def _bit_lengths(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Bits of each value's amount; 0 of 0."""
    _, exponents = np.frexp(np.abs(values).astype(np.float64))
    return exponents.astype(np.int64)


def _extra_bits(values: NDArray[np.int64]) -> NDArray[np.int64]:
    sizes = _bit_lengths(values)
    return np.where(
        values < 0,
        values + (1 << sizes) - 1,
        values,
    )


def _packed(values: NDArray[np.int64], lengths: NDArray[np.int64]) -> bytes:
    """Values of some bits each, one after the other, filled with ones, with stuffed zeros."""
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    owners = np.repeat(np.arange(len(values)), lengths)
    shifts = ends[owners] - 1 - np.arange(total)
    bits = np.ones(total + -total % 8, np.uint8)
    bits[:total] = values[owners] >> shifts & 1
    return np.packbits(bits).tobytes().replace(b"\xff", b"\xff\x00")
