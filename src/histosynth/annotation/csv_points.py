"""CSV `x,y,class`: one row a nucleus, px from the centre of the first pixel.

Columns of its shape may follow: `area_um2`, `elongation`, `angle`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence

from ..core.cells import read_csv_rows
from ..core.nuclei import ANY
from ..core.nucleus_shapes import SHAPE_NAMES
from .collecting import ObjectCollector
from .faults import AnnotationFault
from .number_text import is_number, parse_number
from .objects import DETECTION, AnnotationFile

FORM_CSV = "CSV"
_HEADER = ["x", "y", "class"]
_HEADERS = [[*_HEADER, *SHAPE_NAMES[:count]] for count in range(len(SHAPE_NAMES) + 1)]
"""Those that are read."""
_MAX_LINE = 1 << 20
"""Characters; some header of many columns is to be named before that."""
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_csv_points(pieces: Iterator[str], collector: ObjectCollector) -> AnnotationFile:
    """Nuclei of a CSV; a class that is empty is `any`.

    Args:
        pieces: of its text, in order.
        collector: of the file.

    Raises:
        AnnotationFault: another header, or a row that is not x,y,class.
    """
    lines = _Lines(pieces)
    rows = _Rows(collector)
    is_in_lines = True
    try:
        for number, (line, row) in enumerate(read_csv_rows(lines, strict=True), start=1):
            # a quote that is not closed would take the lines after it into one name
            is_in_lines = is_in_lines and number == line
            rows.read(number, row)
        if not is_in_lines:
            raise csv.Error("a text in quotes reaches over several lines")
    except csv.Error as error:
        raise AnnotationFault(f" is no CSV: {error}", "Write it again as x,y,class.") from error
    _check_header(rows.header, is_blank=lines.is_blank)
    if rows.fault:
        raise rows.fault
    return collector.as_file(FORM_CSV, 0.0)


class _Rows:
    """Rows after the header, into columns; nothing after one that is none."""

    def __init__(self, collector: ObjectCollector) -> None:
        self.header: list[str] = []
        self.fault: AnnotationFault | None = None
        self._collector = collector

    def read(self, number: int, row: list[str]) -> None:
        """A row by its number, from 1."""
        if number == 1:
            self.header = row
            return
        if not row or self.fault:
            return
        try:
            x, y, name, *shape = row
            point = (parse_number(x), parse_number(y))
            if len(row) != len(self.header):
                raise ValueError("another number of columns")
            numbers = [_shape_number(text) for text in shape]
        except ValueError as error:
            self.fault = AnnotationFault(
                f", line {number}: {','.join(row)!r:.200} is not {','.join(self.header)!s:.200}",
                "Correct or remove that line.",
            )
            self.fault.__cause__ = error
            return
        self._collector.add_point(
            name.strip() or ANY,
            DETECTION,
            point,
            _filled(numbers) if shape else None,
        )


def _shape_number(text: str) -> float:
    """A number of a shape; nan where the cell is empty."""
    return parse_number(text) if text.strip() else math.nan


def _filled(numbers: Sequence[float]) -> tuple[float, float, float]:
    """Three numbers: columns that a file does not have are nan."""
    area, elongation, angle = [*numbers, *[math.nan] * (len(SHAPE_NAMES) - len(numbers))]
    return area, elongation, angle


class _Lines:
    """Lines of a text that comes in pieces, each with its end: a line feed alone."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self.is_blank = True
        self._lines = self._cut(pieces)

    def __iter__(self) -> Iterator[str]:
        return self._lines

    def _cut(self, pieces: Iterator[str]) -> Iterator[str]:
        rest = ""
        for piece in pieces:
            self.is_blank = self.is_blank and not piece.strip()
            *lines, rest = (rest + piece).split("\n")
            for line in lines:
                yield line + "\n"
            if len(rest) > _MAX_LINE:
                raise csv.Error(f"a line holds more than {_MAX_LINE:,} characters")
        if rest:
            yield rest


def _check_header(first_row: Sequence[str], *, is_blank: bool) -> None:
    header = [cell.strip() for cell in first_row]
    names = [cell.lower() for cell in header]
    if names in _HEADERS:
        return
    if is_blank:
        raise AnnotationFault(" is empty", "Begin it with the header x,y,class; rows may be none.")
    _check_separator(",".join(header))
    others = [cell for cell in header if cell.lower() not in _HEADER]
    is_complete = {*names} >= {*_HEADER}
    if is_complete and others:
        listed = ", ".join(map(repr, others))
        raise AnnotationFault(
            f" has more columns than x, y and class: {listed:.200}",
            "Only x, y and class are read, and area_um2, elongation and angle after them, in this "
            "order: remove the others.",
        )
    found = repr(",".join(header)) if header else "an empty line"
    raise AnnotationFault(
        f" begins with {found:.200}, not with the header x,y,class",
        _header_remedy(header, is_complete),
    )


def _check_separator(header: str) -> None:
    """Refuse columns that are separated by something else than commas."""
    for separator, plural in _OTHER_SEPARATORS.items():
        if header.count(separator) > header.count(","):
            raise AnnotationFault(
                f" is separated by {plural}, not by commas",
                "Write it as x,y,class with commas, and with points in numbers (60.5).",
            )


def _header_remedy(header: Sequence[str], is_complete: bool) -> str:
    if is_complete:
        return "Write each of these columns once, in this order."
    if not header or all(map(is_number, header[:2])):
        return "Add that header."
    return "Write the columns x, y (in pixels) and class; a class may be empty."
