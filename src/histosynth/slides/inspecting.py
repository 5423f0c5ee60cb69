"""What a slide is, for people who want to know before they use it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..core.errors import ConflictingScales, HistosynthError, MissingScale
from ..core.geometry import Box
from .opening import open_slide
from .scale import ScaleStatement
from .slide import NotThisReader, PyramidLevel, Slide
from .tiff_forms import compression_name
from .tiff_pages import opened_tiff, pages_of

_ANY_MPP = 1.0
_PATCH_PX = 64


def inspect_slide(path: Path) -> dict[str, Any]:
    """Make, reader, levels and scale of a slide, and why it would be refused.

    Args:
        path: a slide, or a plain picture.

    Returns:
        Plain values for JSON: `path`; `bytes`, of the file, or None; `make` of the slide, `reader`
        and `compression`; `width` and `height` of level 0, px; `mpp` that would be used, or None;
        `scale`: all that the file states of it, each with `source`, `mpp_x`, `mpp_y` and
        `problem`; `levels`, each with `width`, `height`, `downsample` and `mpp`; `refused`: why the
        file cannot be used, with the remedy. Of a file that cannot be opened `path`, `bytes` and
        `refused` alone.
    """
    facts: dict[str, Any] = {"path": str(path), "bytes": _size_of(path)}
    refused: list[str] = []
    try:
        slide = _open_any_scale(path, refused)
    except HistosynthError as error:
        return facts | {"refused": [*refused, str(error)]}
    mpp = None if refused else slide.mpp
    refused += _unreadable_levels(slide)
    slide.close()
    full = slide.levels[0]
    return facts | {
        "make": slide.facts.make,
        "reader": slide.reader,
        "compression": slide.facts.compression or _compression_of(path),
        "width": full.width,
        "height": full.height,
        "mpp": mpp,
        "scale": [_scale_facts(each) for each in slide.facts.scale if not each.is_silent],
        "levels": [_level_facts(level, mpp) for level in slide.levels],
        "refused": refused,
    }


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (OSError, ValueError):
        return None


def _open_any_scale(path: Path, refused: list[str]) -> Slide:
    """The slide, also where its scale alone is refused; the refusal is added to the list."""
    try:
        return open_slide(path)
    except (MissingScale, ConflictingScales) as error:
        refused.append(str(error))
        return open_slide(path, mpp=_ANY_MPP)


def _compression_of(path: Path) -> str:
    """That of a TIFF's first page; "" of other files."""
    try:
        with opened_tiff(path) as tiff:
            return compression_name(int(pages_of(tiff)[0].compression))
    except NotThisReader:
        return ""


def _unreadable_levels(slide: Slide) -> list[str]:
    """Why the middle of a level cannot be read; once for all levels."""
    for number, level in enumerate(slide.levels):
        box = Box(
            level.width // 2,
            level.height // 2,
            min(level.width, _PATCH_PX),
            min(level.height, _PATCH_PX),
        )
        try:
            slide.read(number, box)
        except HistosynthError as error:
            return [str(error)]
    return []


def _scale_facts(stated: ScaleStatement) -> dict[str, Any]:
    return {
        "source": stated.source,
        "mpp_x": _finite(stated.x),
        "mpp_y": _finite(stated.y),
        "problem": stated.problem,
    }


def _level_facts(level: PyramidLevel, mpp: float | None) -> dict[str, Any]:
    return {
        "width": level.width,
        "height": level.height,
        "downsample": level.downsample,
        "mpp": None if mpp is None else mpp * level.downsample,
    }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None
