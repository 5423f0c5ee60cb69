"""A file of annotations to its objects: the one reader of every verb."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core.errors import BadNuclei
from .csv_points import read_csv_points
from .faults import AnnotationFault
from .forms import JSON_FORMS
from .objects import AnnotationFile

MAX_ANNOTATION_BYTES = 1 << 30
MAX_OBJECTS = 5_000_000
"""Most points and polygons of a file."""
ANNOTATION_SUFFIXES = (".csv", ".geojson", ".json")
XML_SUFFIXES = (".xml", ".ndpa")
"""Of annotations of ASAP, Aperio and Hamamatsu, which are refused by what they are."""
_START = 1000
"""Characters that show what a text is."""


def read_annotation(path: Path) -> AnnotationFile:
    """All objects of a CSV or of JSON in any form of `FORM_FACTS`.

    Raises:
        BadNuclei: the file is too large, of no known form, or damaged.
    """
    text = _read_text(path)
    try:
        _refuse_markup(text)
        if path.suffix.lower() in (".geojson", ".json"):
            found = _read_json(text)
        else:
            found = _read_csv(text)
    except AnnotationFault as fault:
        raise BadNuclei(f"{path}{fault.problem}.", fault.remedy) from fault
    count = sum(len(each.points) + len(each.polygons) for each in found.objects)
    if count > MAX_OBJECTS:
        raise BadNuclei(
            f"{path} holds {count:,} nuclei, over the limit of {MAX_OBJECTS:,}.",
            "Split it.",
        )
    return found


def _read_text(path: Path) -> str:
    try:
        size = path.stat().st_size
        if size > MAX_ANNOTATION_BYTES:
            raise BadNuclei(
                f"{path} holds {size:,} bytes, over the limit of {MAX_ANNOTATION_BYTES:,}.",
                "Split it.",
            )
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadNuclei(
            f"{path} cannot be read: {error}.",
            "Give a UTF-8 CSV or GeoJSON file.",
        ) from error


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


def _read_csv(text: str) -> AnnotationFile:
    if _start_of(text).startswith(("{", "[")):
        raise AnnotationFault(
            " is JSON by its text and not by its suffix",
            "Name it .geojson or .json.",
        )
    return read_csv_points(text)


def _start_of(text: str) -> str:
    """The first signs of a text, in lower case."""
    return text[:_START].lstrip().lower()


def _read_json(text: str) -> AnnotationFile:
    try:
        data = json.loads(text, object_pairs_hook=_without_twins)
    except (ValueError, RecursionError) as error:
        raise AnnotationFault(f" is not JSON: {error}", "Export it again.") from error
    for form in JSON_FORMS.values():
        if form.matches(data):
            return form.read(data)
    raise AnnotationFault(
        " holds no list of features, and no nuclei of HoVer-Net, CellViT or TIAToolbox",
        "Export objects from QuPath as GeoJSON; docs/annotations.md lists what is read.",
    )


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; where a key stands twice, Python would keep the last and drop the rest.

    QuPath 0.5 writes the metadata of a TMA core twice, which is harmless.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        for key, value in pairs:
            if value != values[key]:
                raise ValueError(f"an object holds the key {key!r:.80} twice, with two values")
    return values
