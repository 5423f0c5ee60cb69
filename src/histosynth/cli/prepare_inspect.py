"""`histosynth prepare inspect`: what a file is, before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Json, Quiet
from .output import Output

_NAME_WIDTH = 12
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

    Exit code 1 if any of them would be refused.

    Example: histosynth prepare inspect slide.svs slide.geojson
    """
    from ..pipeline.inspecting import inspect_files

    found = inspect_files(files)
    lines = [line for facts in found for line in _lines_of(facts)]
    output = Output(as_json, quiet)
    output.done({"files": found}, lines)
    if any(facts["refused"] for facts in found):
        raise SystemExit(1)


def _lines_of(facts: Mapping[str, Any]) -> list[str]:
    """One file as aligned lines."""
    lines = [str(facts["path"])]
    for name, value in facts.items():
        if name not in _HIDDEN and value not in (None, "", [], {}):
            texts = _texts(name, value)
            lines += _aligned(name.replace("_", " "), texts)
    lines += _aligned("refused", facts["refused"] or ["no"])
    return [*lines, ""]


def _aligned(name: str, texts: list[str]) -> list[str]:
    names = [name, *[""] * (len(texts) - 1)]
    return [f"  {each:{_NAME_WIDTH}} {text}" for each, text in zip(names, texts, strict=True)]


def _texts(name: str, value: Any) -> list[str]:
    """A fact as text, a line each for levels, classes and statements of a scale."""
    if name == "levels":
        return [_level_text(number, level) for number, level in enumerate(value)]
    if name == "scale" and isinstance(value, list):
        return [_scale_text(each) for each in value]
    if name == "bytes":
        return [f"{value:,}"]
    if name == "mpp":
        return [f"{value:.6g} um/px"]
    if isinstance(value, dict):
        return [f"{key}: {_short(each)}" for key, each in value.items()]
    return [_short(value)]


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_short, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _level_text(number: int, level: Mapping[str, Any]) -> str:
    scale = "" if level["mpp"] is None else f", {level['mpp']:.6g} um/px"
    return f"{number}: {level['width']:,} x {level['height']:,} px{scale}"


def _scale_text(stated: Mapping[str, Any]) -> str:
    axes = [stated["mpp_x"], stated["mpp_y"]]
    known = [f"{axis:.6g}" for axis in axes if axis is not None]
    value = stated["problem"] or f"{' x '.join(known)} um/px"
    return f"{value} in {stated['source']}"
