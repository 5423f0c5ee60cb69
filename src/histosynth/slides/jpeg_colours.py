"""Whether the JPEG stream of a DICOM slide is in the colours that its header states."""

from __future__ import annotations

from pathlib import Path

from ..core.plain_files import open_plain

_PIXELS = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
"""(7FE0,0010), packed in frames, in explicit little-endian order."""
_ITEM = b"\xfe\xff\x00\xe0"
_HEADER_BYTES = 1 << 20
_FRAME_BYTES = 4096
_FRAME_HEADERS = (0xC0, 0xC1, 0xC2)
_SCAN = 0xDA
_JFIF = 0xE0
_PER_COMPONENT = 3
_COMPONENTS_AT = 8
_NOT_SUBSAMPLED = 0x11


def is_ycbcr(path: Path) -> bool:
    """Whether the first frame of a DICOM file is a JPEG that can only be YCbCr.

    It is where its stream has the mark of JFIF, or chroma of fewer samples than its luminance.
    """
    frame = _first_frame(path)
    at = 2
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        length = int.from_bytes(frame[at + 2 : at + 4], "big")
        segment = frame[at + 4 : at + 2 + length]
        if marker == _JFIF and segment.startswith(b"JFIF"):
            return True
        if marker in _FRAME_HEADERS:
            return _is_subsampled(segment)
        if marker == _SCAN or length < 2:
            break
        at += 2 + length
    return False


def _is_subsampled(segment: bytes) -> bool:
    """Whether the first of three components has more samples than the others."""
    factors = segment[_COMPONENTS_AT - 1 :: _PER_COMPONENT][:3]
    return len(factors) == 3 and factors[0] != _NOT_SUBSAMPLED


def _first_frame(path: Path) -> bytes:
    """The beginning of the first frame; empty where the pixels are not packed in frames."""
    with open_plain(path) as file:
        start = file.read(_HEADER_BYTES)
        at = start.find(_PIXELS)
        if at < 0:
            return b""
        at += len(_PIXELS)
        table_bytes = int.from_bytes(start[at + 4 : at + 8], "little")
        file.seek(at + 8 + table_bytes)
        item = file.read(8)
        if start[at : at + 4] != _ITEM or item[:4] != _ITEM:
            return b""
        return file.read(_FRAME_BYTES)
