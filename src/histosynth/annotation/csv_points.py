"""CSV `x,y,class`: one row a nucleus, px from the centre of the first pixel."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from ..core.cells import read_csv_rows
from ..core.nuclei import ANY
from .faults import AnnotationFault
from .number_text import is_number, parse_number
from .objects import DETECTION, AnnotationFile, MarkedObject

FORM_CSV = "CSV"
_HEADER = ["x", "y", "class"]
_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def read_csv_points(text: str) -> AnnotationFile:
    """Nuclei of a CSV; a class that is empty is `any`.

    Raises:
        AnnotationFault: another header, or a row that is not x,y,class.
    """
    # str.splitlines would also end lines at characters that are part of a cell
    lines = list(io.StringIO(text, newline=None))
    try:
        rows = [cells for _, cells in read_csv_rows(lines, strict=True)]
        if len(rows) != len(lines):
            # a quote that is not closed would take the lines after it into one name
            raise csv.Error("a text in quotes reaches over several lines")
    except csv.Error as error:
        raise AnnotationFault(f" is no CSV: {error}", "Write it again as x,y,class.") from error
    _check_header(text, rows[0] if rows else [])
    objects = []
    for number, row in enumerate(rows[1:], start=2):
        if not row:
            continue
        try:
            x, y, name = row
            point = (parse_number(x), parse_number(y))
        except ValueError as error:
            raise AnnotationFault(
                f", line {number}: {','.join(row)!r:.200} is not x,y,class",
                "Correct or remove that line.",
            ) from error
        objects.append(MarkedObject(name.strip() or ANY, DETECTION, (point,)))
    return AnnotationFile(FORM_CSV, objects, 0.0)


def _check_header(text: str, first_row: Sequence[str]) -> None:
    header = [cell.strip() for cell in first_row]
    names = [cell.lower() for cell in header]
    if names == _HEADER:
        return
    if not text.strip():
        raise AnnotationFault(" is empty", "Begin it with the header x,y,class; rows may be none.")
    _check_separator(",".join(header))
    others = [cell for cell in header if cell.lower() not in _HEADER]
    is_complete = {*names} >= {*_HEADER}
    if is_complete and others:
        listed = ", ".join(map(repr, others))
        raise AnnotationFault(
            f" has more columns than x, y and class: {listed:.200}",
            "Only x, y and class are read: remove the others.",
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
