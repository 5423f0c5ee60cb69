"""What a file of annotations is, for people who want to know before they use it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import BadNuclei
from .choosing import AMONG_DETECTIONS, DETECTED, DRAWN, candidates_of, left_out_types
from .forms import FORM_FACTS
from .objects import UNSTATED, AnnotationFile
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
    object_types = file.counts_by_type(np.ones(len(file), np.bool_))
    object_types["not stated"] = object_types.pop(UNSTATED, 0)
    bounds = _bounds(file)
    return facts | {
        "form": file.form,
        "writers": FORM_FACTS[file.form].writers,
        "objects": _sorted(+object_types),
        "points": len(file.points),
        "polygons": len(file.polygons),
        "nucleus_outlines": len(file.nuclei),
        "classes": _sorted(_classes(file)),
        "bounds": bounds,
        "scale": _scale_facts(file.scale),
        "left_out": _sorted(_left_out(file)),
        "refused": _refusals(
            path,
            file,
            bounds,
        ),
    }


def _sorted(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _classes(file: AnnotationFile) -> Counter[str]:
    """Points and shapes by class: of a MultiPolygon that is no detected object each part."""
    marks = np.bincount(candidates_of(file).rows, minlength=len(file))
    counts = np.bincount(
        file.name_ids,
        np.maximum(marks, 1),
        minlength=len(file.names),
    )
    found = dict(
        zip(
            file.names,
            counts.astype(int).tolist(),
            strict=True,
        )
    )
    return +Counter(found)


def _bounds(file: AnnotationFile) -> list[float] | None:
    """[left, top, right, bottom] of all coordinates."""
    if file.bounds is None or not np.isfinite(file.bounds).all():
        return None
    bounds: list[float] = file.bounds.tolist()
    return bounds


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
    left_out = file.left_out + left_out_types(file)
    if file.is_of(*DETECTED).any():
        is_drawn = file.is_of(*DRAWN)[file.polygons.owners]
        left_out[AMONG_DETECTIONS] += int(is_drawn.sum())
    return +left_out


def _refusals(
    path: Path,
    file: AnnotationFile,
    bounds: list[float] | None,
) -> list[str]:
    """Why a file that can be read cannot be used."""
    if not len(file) and file.left_out:
        return [f"{path} holds no points and no polygons."]
    if len(file) and bounds is None:
        return [f"{path} holds coordinates that are no numbers."]
    return []
