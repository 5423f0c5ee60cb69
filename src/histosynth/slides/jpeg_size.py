"""The size that a JPEG stream states, found as decoders do, without decoding it."""

from __future__ import annotations

from collections.abc import Collection

JPEG = 7
"""Tag 259 of TIFF."""
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset(range(0xD0, 0xD9)) | {0x01}
"""Markers without a length."""
_LAST = (0xD9, 0xDA)
_MARKER = 0xFF


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) px of the first frame; None: there is none, so that no decoder decodes it."""
    at = data.find(_MARKER)
    while 0 <= at < len(data) - 1:
        marker = data[at + 1]
        if marker in (0, _MARKER):  # stuffed, or filled up
            at += 1 if marker else 2
        elif marker in _LAST:
            return None
        elif marker in _ALONE:
            at += 2
        elif marker in _FRAMES:
            frame = data[at + 5 : at + 9]
            if len(frame) < 4:
                return None
            return int.from_bytes(frame[2:], "big"), int.from_bytes(frame[:2], "big")
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        at = data.find(_MARKER, at)
    return None


def check_jpeg_size(
    data: bytes,
    widths: Collection[int],
    heights: Collection[int],
) -> None:
    """Refuse a stream larger or smaller than its tile or strip before it is decoded.

    Args:
        data: the stream.
        widths: those that it may state, px.
        heights: those that it may state, px.

    Raises:
        ValueError: naming both.
    """
    size = jpeg_size(data)
    if size is None or not all(size):
        return  # decoders refuse it
    width, height = size
    if width not in widths or height not in heights:
        wanted = f"{max(widths):,} x {max(heights):,} px"
        raise ValueError(f"a JPEG stream of {width:,} x {height:,} px in a segment of {wanted}")
