"""`histosynth prepare inspect`: what a file is, before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Json, Quiet
from .output import PARTLY_REFUSED, Output

_NAME_WIDTH = 16
_HIDDEN = ("path", "type", "refused", "width", "height")
"""Facts that stand on lines of their own."""


def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(help="Slides, pictures, or files of annotations (CSV, GeoJSON, JSON)."),
    ],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what slides and annotations are: make, levels, scale, classes, and what is refused.

    Exit code 3 if some of them would be refused, 1 if all.

    Example: histosynth prepare inspect slide.svs slide.geojson
    """
    from ..pipeline.inspecting import inspect_files

    found = inspect_files(files)
    lines = [line for facts in found for line in _lines_of(facts)]
    output = Output(as_json, quiet)
    output.done({"files": found}, lines)
    refused = sum(bool(facts["refused"]) for facts in found)
    if refused:
        raise SystemExit(PARTLY_REFUSED if refused < len(found) else 1)


def _lines_of(facts: Mapping[str, Any]) -> list[str]:
    """One file as aligned lines."""
    lines = [str(facts["path"])]
    for name, value in facts.items():
        is_empty = value in (None, "", [], {})
        if name in _HIDDEN or is_empty:
            continue
        title = name.replace("_", " ")
        lines += _aligned(title, _texts(name, value))
    lines += _aligned("refused", facts["refused"] or ["no"])
    lines.append("")
    return lines


def _aligned(title: str, texts: list[str]) -> list[str]:
    """Texts below each other, the title before the first."""
    lines = []
    for text in texts:
        lines.append(f"  {title:{_NAME_WIDTH}} {text}")
        title = ""
    return lines


def _texts(name: str, value: Any) -> list[str]:
    """A fact as text, a line each for levels, classes and statements of a scale."""
    if name in _LINES_OF_LISTS and isinstance(value, list):
        text_of = _LINES_OF_LISTS[name]
        return [text_of(each) for each in value]
    if name == "mpp":
        return [f"{value:.6g} um/px"]
    if not isinstance(value, dict):
        return [_short(value)]
    lines = []
    for key, each in value.items():
        lines.append(f"{key}: {_short(each)}")
    return lines


def _short(value: Any) -> str:
    """A plain value on one line."""
    if isinstance(value, list):
        return ", ".join(map(_short, value))
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _level_text(level: Mapping[str, Any]) -> str:
    size = f"{level['width']:,} x {level['height']:,} px"
    if level["mpp"] is None:
        return size
    return f"{size}, {level['mpp']:.6g} um/px"


def _scale_text(stated: Mapping[str, Any]) -> str:
    source = stated["source"]
    if stated["problem"]:
        return f"{stated['problem']} in {source}"
    axes = []
    for axis in ("mpp_x", "mpp_y"):
        if stated[axis] is not None:
            axes.append(f"{stated[axis]:.6g}")
    return f"{' x '.join(axes)} um/px in {source}"


_LINES_OF_LISTS = {"levels": _level_text, "scale": _scale_text}
"""Facts that are lists, with the line of one item."""
