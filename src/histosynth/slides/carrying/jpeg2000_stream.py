"""JPEG 2000 codestreams: their components as they are stored, and others without loss.

The codecs at hand decode streams of components of several sizes to RGB only, and encode components
of one size only. Both are worked around in the main header: on a grid of twice the height Pillow
shows the components themselves, and streams of one component each are put together, component
after component (ITU-T T.800, B.12.1.5).
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ...core.tile import Pixels

Step = tuple[int, int]
"""Pixels (across, down) in a sample of a component."""
_START = b"\xff\x4f"
_SIZES = b"\xff\x51"
_CODING = b"\xff\x52"
_QUANTISATION = b"\xff\x5c"
_TILE = b"\xff\x90"
_DATA = b"\xff\x93"
_END = b"\xff\xd9"
_COMPONENTS = 3
_EIGHT_BITS = 7
"""How a component of 8 bits without sign is stated."""
_BY_COMPONENT = 4
"""The order of packets in which one component follows the other."""
_ORDER_AT = 1
_TRANSFORM_AT = 4
"""Bytes of the segment of the coding style, without its length."""
_GRID = struct.Struct(">HIIIIIIIIH")
"""Capabilities; x and y of the end, of the start, of a tile, of the first tile; components."""
_GRID_AT = 6
_DOWN = (1, 3, 5, 7)
"""Indices of the heights among the eight numbers of a grid."""
_MOST_LEVELS = 5
_LEAST_LOG_PX = 4
"""A component is halved as long as it has two to this power px."""
_MOST_STEP = 4
_MOST_PX = (1 << 32) - 1
"""That a header can state: tiles may be larger than the picture."""


@dataclass(frozen=True)
class Jpeg2000Head:
    """What a stream states.

    Attributes:
        size: (width, height) px.
        steps: of each component.
        transforms: colour is transformed by the stream itself.
    """

    size: tuple[int, int]
    steps: tuple[Step, ...]
    transforms: bool

    @property
    def is_full(self) -> bool:
        """Whether all components have a sample for each pixel."""
        return set(self.steps) == {(1, 1)}


def read_jpeg2000_head(data: bytes) -> Jpeg2000Head:
    """What a stream states before it is decoded.

    Raises:
        ValueError: it is damaged, or of a form whose components are not read.
    """
    try:
        segments = dict(_segments(data))
        sizes, coding = segments[_SIZES], segments[_CODING]
        _, width, height, left, top, *_, count = _GRID.unpack(sizes[: _GRID.size])
        depths = sizes[_GRID.size :: 3]
        across, down = sizes[_GRID.size + 1 :: 3], sizes[_GRID.size + 2 :: 3]
        transforms = coding[_TRANSFORM_AT] == 1
    except (
        IndexError,
        KeyError,
        struct.error,
    ) as error:
        raise ValueError("a damaged JPEG 2000 stream") from error
    if count != _COMPONENTS or len(down) != count or set(depths) != {_EIGHT_BITS}:
        raise ValueError(f"a JPEG 2000 stream of {count:,} components that are not 8-bit colour")
    steps = tuple(zip(across, down, strict=True))
    if left or top:
        raise ValueError(f"a JPEG 2000 stream that begins at ({left:,}, {top:,}) px")
    _check_steps(steps, (width, height))
    return Jpeg2000Head(
        (width, height),
        steps,
        transforms,
    )


def _check_steps(steps: Sequence[Step], size: tuple[int, int]) -> None:
    """Refuse components that are not a first one of all pixels and two of one coarser grid.

    Raises:
        ValueError: naming them.
    """
    stated = ", ".join(f"{across} x {down}" for across, down in steps)
    first, second, third = steps
    allowed = range(1, _MOST_STEP + 1)
    is_known = first == (1, 1) and second == third and all(side in allowed for side in second)
    if not is_known or any(length % side for length, side in zip(size, second, strict=True)):
        raise ValueError(f"a JPEG 2000 stream whose components have a sample for {stated} px")


def _segments(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(marker, contents) of each segment of the main header.

    Raises:
        ValueError: it is no codestream.
    """
    if not data.startswith(_START):
        raise ValueError("no JPEG 2000 codestream (JP2 files in tiles are not edited)")
    at = len(_START)
    while at + 4 <= len(data) and data[at : at + 2] != _TILE:
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2:
            raise ValueError("a damaged JPEG 2000 stream")
        yield data[at : at + 2], data[at + 4 : at + 2 + length]
        at += 2 + length


def decode_components(data: bytes) -> Pixels:
    """The components (H, W, 3) uint8 as OpenJPEG decodes them; coarser ones are repeated.

    Raises:
        ValueError: the stream is damaged, or of a form that is not read.
    """
    head = read_jpeg2000_head(data)
    width, height = head.size
    try:
        if head.is_full:
            decoded = imagecodecs.jpeg2k_decode(data, numthreads=1)
        else:
            decoded = _without_conversion(data)[::2]
    except (
        OSError,
        RuntimeError,
        SyntaxError,
        UnidentifiedImageError,
    ) as error:
        raise ValueError("a damaged JPEG 2000 stream") from error
    wanted = (
        height,
        width,
        _COMPONENTS,
    )
    if decoded.shape != wanted or decoded.dtype != np.uint8:
        raise ValueError("a JPEG 2000 stream that does not decode to its size")
    return np.ascontiguousarray(decoded)


def _without_conversion(data: bytes) -> NDArray[np.uint8]:
    """Components with every row twice: decoders take no stream of this grid for YCbCr."""
    out = bytearray(data)
    at = out.index(_SIZES) + _GRID_AT - 2
    capability, *numbers, count = _GRID.unpack_from(out, at)
    for index in _DOWN:
        numbers[index] = min(2 * numbers[index], _MOST_PX)
    _GRID.pack_into(
        out,
        at,
        capability,
        *numbers,
        count,
    )
    for index in range(count):
        out[at + _GRID.size + 3 * index + 2] *= 2
    with Image.open(io.BytesIO(bytes(out)), formats=["JPEG2000"]) as image:
        return np.asarray(image)


def encode_components(
    components: Pixels,
    steps: Sequence[Step],
    *,
    transforms: bool,
) -> bytes:
    """A stream of other components, without loss.

    Args:
        components: (H, W, 3) uint8.
        steps: of each component; of coarser ones the first sample of each step is written.
        transforms: colour is transformed by the stream, reversibly.
    """
    height, width = components.shape[:2]
    least = min(min(width // across, height // down) for across, down in steps)
    levels = min(max(int(math.log2(least)) - _LEAST_LOG_PX, 0), _MOST_LEVELS)
    if set(steps) == {(1, 1)}:
        return _encoded(components, levels, transforms)
    planes = [components[::down, ::across, index] for index, (across, down) in enumerate(steps)]
    streams = [_encoded(plane, levels, False) for plane in planes]
    return _joined(
        streams,
        steps,
        (width, height),
    )


def _encoded(
    values: NDArray[np.uint8],
    levels: int,
    transforms: bool,
) -> bytes:
    encoded = imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(values),
        codecformat="j2k",
        resolutions=levels + 1,
        reversible=True,
        mct=transforms,
        numthreads=1,
    )
    return bytes(encoded)


def _joined(
    streams: Sequence[bytes],
    steps: Sequence[Step],
    size: tuple[int, int],
) -> bytes:
    """One stream of the packets of streams of one component each.

    Raises:
        ValueError: they are not coded alike.
    """
    heads = [dict(_segments(stream)) for stream in streams]
    if len({(head[_CODING], head[_QUANTISATION]) for head in heads}) != 1:
        raise ValueError("components of JPEG 2000 that are not coded alike")
    coding = bytearray(heads[0][_CODING])
    coding[_ORDER_AT] = _BY_COMPONENT
    sizes = _GRID.pack(
        0,
        *size,
        0,
        0,
        *size,
        0,
        0,
        len(steps),
    )
    for step in steps:
        sizes += bytes([_EIGHT_BITS, *step])
    packets = b"".join(map(_packets, streams))
    out = _START + _segment(_SIZES, sizes) + _segment(_CODING, bytes(coding))
    out += _segment(_QUANTISATION, heads[0][_QUANTISATION])
    length = len(packets) + 14
    out += _segment(_TILE, struct.pack(">HIBB", 0, length, 0, 1))
    return out + _DATA + packets + _END


def _segment(marker: bytes, contents: bytes) -> bytes:
    return marker + struct.pack(">H", len(contents) + 2) + contents


def _packets(stream: bytes) -> bytes:
    """The packets of a stream of one tile.

    Raises:
        ValueError: it has several.
    """
    at = stream.index(_TILE, _end_of_header(stream))
    length = int.from_bytes(stream[at + 6 : at + 10], "big")
    first = stream.index(_DATA, at) + len(_DATA)
    last = at + length if length else len(stream) - len(_END)
    if stream[last:] != _END:
        raise ValueError("a JPEG 2000 stream of several tiles")
    return stream[first:last]


def _end_of_header(stream: bytes) -> int:
    return len(_START) + sum(len(contents) + 4 for _, contents in _segments(stream))
