"""A text file in pieces: UTF-8, with or without a byte order mark, any ends of lines."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from ..core.errors import BadNuclei
from ..core.plain_files import open_plain

_PIECE_BYTES = 1 << 20
_BOM = codecs.BOM_UTF8


def text_pieces(path: Path) -> Iterator[str]:
    """The text of a file, a megabyte at a time.

    Raises:
        BadNuclei: it cannot be read, or is no UTF-8.
    """
    try:
        with open_plain(path) as file:
            yield from _decoded(file)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, str(error)) from error
    except _NotUtf8 as error:
        raise unreadable(path, str(error)) from error.__cause__


class _NotUtf8(Exception):
    """Bytes that are no UTF-8, with their place in the file."""


def unreadable(path: Path, reason: str) -> BadNuclei:
    """The refusal of a file that cannot be read."""
    return BadNuclei(f"{path} cannot be read: {reason}.", "Give a UTF-8 CSV or GeoJSON file.")


def _decoded(file: io.BufferedReader) -> Iterator[str]:
    utf8 = codecs.getincrementaldecoder("utf-8")()
    lines = io.IncrementalNewlineDecoder(None, translate=True)
    data = file.read(_PIECE_BYTES).removeprefix(_BOM)
    done = 0
    while True:
        is_last = not data
        cut_off = len(utf8.getstate()[0])
        try:
            text = utf8.decode(data, is_last)
        except UnicodeDecodeError as error:
            raise _NotUtf8(_placed(error, done - cut_off)) from error
        done += len(data)
        yield lines.decode(text, is_last)
        if is_last:
            return
        data = file.read(_PIECE_BYTES)


def _placed(error: UnicodeDecodeError, before: int) -> str:
    """Python's sentence, with the place in the file instead of that in the piece."""
    start = error.start + before
    if error.end == error.start + 1:
        what = f"byte 0x{error.object[error.start]:02x} in position {start}"
    else:
        what = f"bytes in position {start}-{error.end - 1 + before}"
    return f"'utf-8' codec can't decode {what}: {error.reason}"
