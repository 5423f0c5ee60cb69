r"""Tables as CSV: no cell of them is a formula to a spreadsheet, and all read back equal.

A text that begins like a formula gets an apostrophe in front, as OWASP ("CSV Injection") advises;
`plain_cell` takes it away. Where a semicolon or tab stands in a text, spreadsheets of other
countries begin a new cell, so the same holds behind them. Control characters are written as
`\u001b`: a terminal that shows the table does not obey them, and a line stays a line.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

CellValue = str | int | float
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMULA = r"(?=['\s]*[=+\-@\uff1d\uff0b\uff0d\uff20])"
"""What follows is a formula: with the signs of full width, which are taken for the others."""
_LINE_END = "\r\n"
_BARE = re.compile(rf"(^|[;\t\r\n]){_FORMULA}")
_GUARDED = re.compile(rf"(^|[;\t\r\n])'{_FORMULA}")


_CODE = "00(?:[0189][0-9a-f]|7f)"
_HIDDEN = re.compile(rf"(\\*)([\x00-\x1f\x7f-\x9f]|(?<=\\)u{_CODE})")
r"""A control character, or what would be read as the escape of one: `\u001b`."""
_ESCAPED = re.compile(rf"(\\+)u({_CODE})")


def guarded_cell(value: CellValue) -> CellValue:
    """A value as a spreadsheet may see it; numbers stay as they are, also those in texts."""
    if not isinstance(value, str):
        return value
    if _NUMBER.fullmatch(value):
        return value
    shown = _HIDDEN.sub(_escaped, value)
    return _BARE.sub(r"\1'", shown)


def plain_cell(text: str) -> str:
    """The text of a cell, without the apostrophes and escapes of `guarded_cell`."""
    bare = _GUARDED.sub(r"\1", text)
    return _ESCAPED.sub(_unescaped, bare)


def _escaped(found: re.Match[str]) -> str:
    r"""Backslashes in front are doubled; then `\u001b` with one more is a character."""
    backslashes, rest = found.groups()
    if rest.startswith("u"):
        return f"{backslashes}{backslashes}{rest}"
    return f"{backslashes}{backslashes}\\u{ord(rest):04x}"


def _unescaped(found: re.Match[str]) -> str:
    backslashes, code = found.groups()
    half = backslashes[: len(backslashes) // 2]
    is_character = len(backslashes) % 2 == 1
    return half + (chr(int(code, 16)) if is_character else f"u{code}")


def csv_text(
    rows: Iterable[Sequence[CellValue]],
    *,
    line_end: str = "\n",
) -> str:
    """Rows as CSV."""
    return "".join(_csv_line(row) + line_end for row in rows)


def _csv_line(row: Sequence[CellValue]) -> str:
    text = io.StringIO(newline="")
    # csv puts quotes around a bare \r only where its own line ends hold one
    writer = csv.writer(text, lineterminator=_LINE_END)
    cells = map(guarded_cell, row)
    writer.writerow(cells)
    return text.getvalue().removesuffix(_LINE_END)


def read_csv_rows(
    source: TextIO | Iterable[str],
    *,
    strict: bool = False,
) -> Iterator[tuple[int, list[str]]]:
    """Rows of a CSV as they were before `csv_text`, each with the line that it ends in.

    Args:
        source: opened with `newline=""`, or its lines.
        strict: refuse quotes that a CSV cannot have.

    Raises:
        csv.Error: it is no CSV.
    """
    reader = csv.reader(source, strict=strict)
    for row in reader:
        yield reader.line_num, list(map(plain_cell, row))
