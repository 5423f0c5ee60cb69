"""What a file of annotations is, for people who want to know before they use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from ..core.errors import BadNuclei
from .choosing import AMONG_DETECTIONS, DETECTED, DRAWN, nucleus_shapes, of_type, points_of
from .forms import FORM_FACTS
from .objects import AnnotationFile
from .reading_files import read_annotation
from .scale import StatedScale


def inspect_annotations(path: Path) -> dict[str, Any]:
    """Form, objects, classes, bounds and scale of a file of annotations.

    Returns:
        Plain values for JSON:

        `form` and `writers`, tools that write it; `objects`: their number by object type; `points`
        and `polygons`: their numbers; `classes`: points and shapes by class,
        of a detected object one; `bounds`: [left, top, right,
        bottom] of all coordinates as the file has them, or None; `scale`: what the file states, or
        None; `left_out`: what no verb reads, by what it is; `refused`: why the file cannot be
        used, with the remedy. Of a file that cannot be read `path` and `refused` alone.
    """
    facts: dict[str, Any] = {"path": str(path)}
    try:
        file = read_annotation(path)
    except BadNuclei as error:
        return facts | {"refused": [str(error)]}
    bounds = _bounds(file)
    return facts | {
        "form": file.form,
        "writers": FORM_FACTS[file.form].writers,
        "objects": _counted(found.object_type or "not stated" for found in file.objects),
        "points": sum(len(found.points) for found in file.objects),
        "polygons": sum(len(found.polygons) for found in file.objects),
        "nucleus_outlines": sum(bool(found.nucleus) for found in file.objects),
        "classes": _classes(file),
        "bounds": bounds,
        "scale": _scale_facts(file.scale),
        "left_out": dict(sorted(_left_out(file).items())),
        "refused": _refusals(path, file, bounds),
    }


def _counted(names: Iterator[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))


def _classes(file: AnnotationFile) -> dict[str, int]:
    """Points and shapes by class: of a MultiPolygon that is no detected object each part."""
    counts: Counter[str] = Counter()
    for found in file.objects:
        parts = len(points_of(found)) + len(nucleus_shapes(found))
        counts[found.name] += max(parts, 1)
    return dict(sorted(counts.items()))


def _bounds(file: AnnotationFile) -> list[float] | None:
    """[left, top, right, bottom] of all coordinates."""
    corners = [ring for found in file.objects for ring in _rings(found.polygons)]
    points = [point for found in file.objects for point in found.points]
    if points:
        corners.append(np.array(points, np.float64))
    if not corners:
        return None
    lows = np.min([ring.min(axis=0) for ring in corners], axis=0)
    highs = np.max([ring.max(axis=0) for ring in corners], axis=0)
    bounds = [*lows.tolist(), *highs.tolist()]
    return bounds if np.isfinite(bounds).all() else None


def _rings(polygons: Sequence[Sequence[Float64Array]]) -> list[Float64Array]:
    return [ring for polygon in polygons for ring in polygon]


def _scale_facts(scale: StatedScale | None) -> dict[str, Any] | None:
    if scale is None:
        return None
    return {
        "mpp": scale.mpp,
        "stated_as": scale.text,
        "is_nominal": scale.is_nominal,
    }


def _left_out(file: AnnotationFile) -> Counter[str]:
    """What no verb, or none that reads nuclei, takes."""
    left_out = Counter(file.left_out)
    has_detections = any(found.object_type in DETECTED for found in file.objects)
    for found in file.objects:
        if found.object_type in (*DETECTED, *DRAWN):
            if has_detections and found.object_type in DRAWN:
                left_out[AMONG_DETECTIONS] += len(found.polygons)
        else:
            left_out[of_type(found.object_type)] += 1
    return +left_out


def _refusals(
    path: Path,
    file: AnnotationFile,
    bounds: list[float] | None,
) -> list[str]:
    """Why a file that can be read cannot be used."""
    if not file.objects and file.left_out:
        return [f"{path} holds no points and no polygons."]
    if file.objects and bounds is None:
        return [f"{path} holds coordinates that are no numbers."]
    return []
