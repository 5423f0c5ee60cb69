"""What a file of annotations is, for people who want to know before they use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.arrays import Float64Array
from ..core.errors import BadNuclei
from .choosing import (
    AMONG_DETECTIONS,
    DETECTED,
    DRAWN,
    MARKED,
    nucleus_shapes,
    of_type,
    points_of,
)
from .forms import FORM_FACTS
from .objects import AnnotationFile
from .reading_files import read_annotation
from .scale import CoordinateScale


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
    object_types = Counter[str]()
    points = 0
    polygons = 0
    outlines = 0
    for found in file.objects:
        object_types[found.object_type or "not stated"] += 1
        points += len(found.points)
        polygons += len(found.polygons)
        outlines += bool(found.nucleus)
    bounds = _bounds(file)
    return facts | {
        "form": file.form,
        "writers": FORM_FACTS[file.form].writers,
        "objects": _sorted(object_types),
        "points": points,
        "polygons": polygons,
        "nucleus_outlines": outlines,
        "classes": _sorted(_classes(file)),
        "bounds": bounds,
        "scale": _scale_facts(file.scale),
        "left_out": _sorted(_left_out(file)),
        "refused": _refusals(path, file, bounds),
    }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _classes(file: AnnotationFile) -> Counter[str]:
    """Points and shapes by class: of a MultiPolygon that is no detected object each part."""
    counts: Counter[str] = Counter()
    for found in file.objects:
        points = len(points_of(found))
        shapes = len(nucleus_shapes(found))
        counts[found.name] += max(points + shapes, 1)
    return counts


def _bounds(file: AnnotationFile) -> list[float] | None:
    """[left, top, right, bottom] of all coordinates."""
    corners: list[Float64Array] = []
    for found in file.objects:
        if found.points:
            corners.append(np.array(found.points, np.float64))
        for polygon in found.polygons:
            corners += polygon
    if not corners:
        return None
    lows = np.min([each.min(axis=0) for each in corners], axis=0)
    highs = np.max([each.max(axis=0) for each in corners], axis=0)
    bounds = [*lows.tolist(), *highs.tolist()]
    return bounds if np.isfinite(bounds).all() else None


def _scale_facts(scale: CoordinateScale | None) -> dict[str, Any] | None:
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
        if found.object_type in MARKED:
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
