"""A file of annotations to its objects: the one reader of every verb."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from ..core.errors import BadNuclei
from .collecting import MAX_OBJECTS, ObjectCollector
from .csv_points import read_csv_points
from .faults import AnnotationFault
from .forms import JSON_FORMS
from .json_text import LARGE, JsonText
from .large_json import LargeObject, read_large_list
from .objects import AnnotationFile
from .text_pieces import text_pieces, unreadable

MAX_ANNOTATION_BYTES = 1 << 34
"""Twice what QuPath writes for `MAX_OBJECTS` cells with outlines and all measurements."""
ANNOTATION_SUFFIXES = (".csv", ".geojson", ".json")
XML_SUFFIXES = (".xml", ".ndpa")
"""Of annotations of ASAP, Aperio and Hamamatsu, which are refused by what they are."""
_START = 1000
"""Characters that show what a text is."""


def read_annotation(
    path: Path,
    *,
    most_drawn: int = 0,
    most_detected: int = 0,
) -> AnnotationFile:
    """All objects of a CSV or of JSON in any form of `FORM_FACTS`.

    Read a piece at a time: memory grows with the number of nuclei, some 70 bytes each, and not
    with the file.

    Args:
        path: of the file.
        most_drawn: corners of shapes that people drew are kept up to so many; centroids always.
        most_detected: the same for shapes that were detected.

    Raises:
        BadNuclei: the file is too large, of no known form, or damaged.
    """
    _check_size(path)
    collectors: list[ObjectCollector] = []

    def new_collector() -> ObjectCollector:
        collectors.append(ObjectCollector(most_drawn=most_drawn, most_detected=most_detected))
        return collectors[-1]

    pieces = text_pieces(path)
    try:
        found = _read(path, pieces, new_collector)
    except AnnotationFault as fault:
        for _ in pieces:  # a file that is no text is refused for that
            pass
        raise BadNuclei(f"{path}{fault.problem}.", fault.remedy) from fault
    count = max(each.count for each in collectors)
    if count > MAX_OBJECTS:
        raise BadNuclei(
            f"{path} holds {count:,} nuclei, over the limit of {MAX_OBJECTS:,}.",
            "Split it.",
        )
    return found


def _check_size(path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise unreadable(path, str(error)) from error
    if size > MAX_ANNOTATION_BYTES:
        raise BadNuclei(
            f"{path} holds {size:,} bytes, over the limit of {MAX_ANNOTATION_BYTES:,}.",
            "Split it.",
        )


def _read(
    path: Path,
    pieces: Iterator[str],
    new_collector: Callable[[], ObjectCollector],
) -> AnnotationFile:
    first = next(pieces)
    _refuse_markup(first)
    text = chain([first], pieces)
    if path.suffix.lower() in (".geojson", ".json"):
        return _read_json(text, new_collector)
    if _start_of(first).startswith(("{", "[")):
        raise AnnotationFault(
            " is JSON by its text and not by its suffix",
            "Name it .geojson or .json.",
        )
    return read_csv_points(text, new_collector())


def _refuse_markup(text: str) -> None:
    """Refuse XML, and pages of HTML, which servers send in place of a file."""
    start = _start_of(text)
    if start.startswith(("<!doctype html", "<html")):
        raise AnnotationFault(" is a web page (HTML)", "Download the file again.")
    if start.startswith("<"):
        raise AnnotationFault(
            " is XML; annotations in XML (of ASAP, Aperio ImageScope and others) are not read",
            "Instead export GeoJSON, or write points as CSV x,y,class.",
        )


def _start_of(text: str) -> str:
    """The first signs of a text, in lower case."""
    return text[:_START].lstrip().lower()


def _read_json(
    pieces: Iterator[str],
    new_collector: Callable[[], ObjectCollector],
) -> AnnotationFile:
    text = JsonText(pieces)
    data = text.small_value()
    if data is not LARGE:
        text.end()
        for form in JSON_FORMS.values():
            if form.matches(data):
                return form.read(data, new_collector())
    elif text.peek() == "[":
        return read_large_list(text, new_collector)
    elif text.peek() == "{":
        found = LargeObject(text, new_collector).read()
        if found is not None:
            return found
    else:
        text.value()
    raise AnnotationFault(
        " holds no list of features, and no nuclei of HoVer-Net, CellViT or TIAToolbox",
        "Export objects from QuPath as GeoJSON; docs/annotations.md lists what is read.",
    )
