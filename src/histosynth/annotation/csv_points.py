"""CSV `x,y,class`: one row a nucleus, px from the centre of the first pixel."""

from __future__ import annotations

import csv

from .faults import AnnotationFault
from .objects import DETECTION, AnnotationFile, MarkedObject

FORM_CSV = "CSV"
_HEADER = ["x", "y", "class"]


def read_csv_points(text: str) -> AnnotationFile:
    """Nuclei of a CSV.

    Raises:
        AnnotationFault: another header, or a row that is not x,y,class.
    """
    lines = text.splitlines()
    try:
        rows = list(csv.reader(lines, strict=True))
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
            point = (_parse_number(x), _parse_number(y))
        except ValueError as error:
            raise AnnotationFault(
                f", line {number}: {','.join(row)!r:.200} is not x,y,class",
                "Correct or remove that line.",
            ) from error
        objects.append(MarkedObject(name.strip(), DETECTION, (point,)))
    return AnnotationFile(FORM_CSV, objects, 0.0)


def _check_header(text: str, first_row: list[str]) -> None:
    header = [cell.strip().lower() for cell in first_row]
    if header == _HEADER:
        return
    if not text.strip():
        raise AnnotationFault(" is empty", "Begin it with the header x,y,class; rows may be none.")
    found = repr(",".join(header)) if header else "an empty line"
    raise AnnotationFault(
        f" begins with {found:.200}, not with the header x,y,class",
        "Add that header.",
    )


def _parse_number(text: str) -> float:
    """A plain decimal number; Python would also take `1_0` for ten, and digits of other scripts."""
    if "_" in text or not text.isascii():
        raise ValueError(f"{text} is not a number")
    return float(text)
