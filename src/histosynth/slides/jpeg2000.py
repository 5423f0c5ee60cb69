"""What the header of a JPEG 2000 stream states of its colours."""

from __future__ import annotations

import tifffile

_START = b"\xff\x4f"
_CODING_STYLE = b"\xff\x52"
_TRANSFORM_AT = 8
"""Bytes from the marker: length (2), style (1), progression (1), layers (2), then the transform."""
_MAX_HEADER_BYTES = 4096


def has_colour_transform(page: tifffile.TiffPage) -> bool:
    """Whether the first segment's stream was transformed from RGB by JPEG 2000 itself."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if count:
            file = page.parent.filehandle
            file.seek(offset)
            return _transforms(file.read(min(count, _MAX_HEADER_BYTES)))
    return False


def _transforms(stream: bytes) -> bool:
    """Read the marker segments of the main header, up to the coding style."""
    start = stream.find(_START)  # a file format around the stream begins with boxes
    at = start + len(_START)
    while start >= 0 and at + _TRANSFORM_AT < len(stream):
        if stream[at : at + 2] == _CODING_STYLE:
            return stream[at + _TRANSFORM_AT] == 1
        at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return False
