"""Streams to a terminal that carry text only: escapes of strangers are shown, not obeyed.

All that is printed passes `write_line`; what other programs print in this process, e.g. errors of
the parser of options, warnings, logs and tracebacks, passes a `VisibleStream`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from ..core.visible import visible

_UP = re.compile(r"(\x1b\[A)+")
"""Progress bars of other packages (tqdm) move up by a write of this alone, and begin a line anew
by a write that begins with a carriage return. Texts of strangers are never a whole write."""
_with_escapes: set[str] = set()
"""Texts of the package with colours, each written as a whole."""


class VisibleStream:
    """A stream whose writes show hidden characters as escapes; ends of lines stay.

    Args:
        raw: the stream that is written to.
    """

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":  # click would write there, past this stream
            raise AttributeError(name)
        return getattr(self.raw, name)

    def write(self, text: str) -> int:
        """Write text; returns the length of the text as it came."""
        if _UP.fullmatch(text) or text.rstrip("\n") in _with_escapes:
            shown = text
        elif text.startswith("\r"):
            shown = "\r" + visible(text[1:], keep="\n")
        else:
            shown = visible(text, keep="\n")
        _write_encodable(self.raw, shown)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts."""
        for line in lines:
            self.write(line)


@contextmanager
def visible_streams() -> Iterator[None]:
    """Let stdout and stderr carry text only, for the time of a block."""
    out = sys.stdout
    err = sys.stderr
    sys.stdout = _carrying_text(out)
    sys.stderr = _carrying_text(err)
    try:
        yield
    finally:
        sys.stdout = out
        sys.stderr = err


def _carrying_text(stream: TextIO) -> Any:
    """A visible stream; None where there is none, as under pythonw of Windows."""
    return VisibleStream(stream) if stream else stream


def allow_escapes(text: str) -> None:
    """Let a text be written with its colours: all in it is of this package, or shown as escapes."""
    _with_escapes.add(text.rstrip("\n"))


def raw_stream(stream: TextIO) -> TextIO:
    """The stream below, for bars that draw with escapes of their own."""
    return stream.raw if isinstance(stream, VisibleStream) else stream


def write_line(stream: TextIO, text: object) -> None:
    """Write a text as one line, whatever it holds."""
    _write_encodable(raw_stream(stream), f"{visible(text)}\n")


def result_line(text: object) -> None:
    """Write a line to stdout."""
    write_line(sys.stdout, text)


def error_line(text: object) -> None:
    """Write a line to stderr, at once."""
    write_line(sys.stderr, text)
    sys.stderr.flush()


def shows_results() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout.isatty()


def shows_errors() -> bool:
    """Whether stderr is a terminal."""
    return sys.stderr.isatty()


def _write_encodable(stream: TextIO, text: str) -> None:
    """Write text; characters that the stream does not support become escapes."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        escaped = text.encode(encoding, "backslashreplace")
        stream.write(escaped.decode(encoding))
