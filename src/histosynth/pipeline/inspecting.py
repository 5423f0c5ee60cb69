"""`prepare inspect`: what slides and files of annotations are, and what would be refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..annotation.inspecting import inspect_annotations
from ..annotation.reading_files import ANNOTATION_SUFFIXES, XML_SUFFIXES
from ..slides.inspecting import inspect_slide


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
    if path.suffix.lower() not in (*ANNOTATION_SUFFIXES, *XML_SUFFIXES):
        return {"type": "slide"} | inspect_slide(path)
    return {"type": "annotations"} | inspect_annotations(path)
