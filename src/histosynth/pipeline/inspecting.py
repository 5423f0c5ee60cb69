"""`prepare inspect`: what slides and files of annotations are, and what would be refused."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..slides.inspecting import inspect_slide

_ANNOTATION_SUFFIXES = (".csv", ".geojson", ".json")


def inspect_files(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Facts of each file, in plain values for JSON.

    Args:
        paths: slides, plain pictures, and files of annotations by their suffix.

    Returns:
        One dict a file: `type` (`slide` or `annotations`), and what `inspect_slide` or
        `inspect_annotations` finds. `refused` lists why a file cannot be used; it is empty for one
        that can.
    """
    return [_inspect(path) for path in paths]


def _inspect(path: Path) -> dict[str, Any]:
    if path.suffix.lower() not in _ANNOTATION_SUFFIXES:
        return {"type": "slide"} | inspect_slide(path)
    facts: dict[str, Any] = {"type": "annotations", "path": str(path)}
    try:
        annotations = import_module("histosynth.annotation.inspecting")
    except ModuleNotFoundError:
        return facts | {"refused": [f"{path}: annotations are not inspected by this version."]}
    return facts | dict(annotations.inspect_annotations(path))
