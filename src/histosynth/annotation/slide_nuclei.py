"""Nuclei of a slide that other tools found, in any form that is read.

Classes go through an explicit map: one that is not in it is an error that lists all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.arrays import BoolArray, Float64Array
from ..core.errors import BadNuclei, UnmappedClasses
from ..core.geometry import Size
from ..core.nuclei import ANY, ANY_CLASS, Nuclei
from .chosen_nuclei import read_chosen

MAX_CLASSES = 250
MAX_COORDINATE_PX = 2**24
"""Beyond this float32 no longer distinguishes neighbouring pixels."""
MAX_OUTSIDE = 0.01
"""Largest share of nuclei outside the slide: scanners' and detectors' edges differ by some px."""
OUTSIDE_SLIDE = "nuclei outside the slide"


@dataclass(frozen=True, eq=False)
class SlideNuclei:
    """Nuclei of a slide, and what the file holds besides.

    Attributes:
        nuclei: in level-0 px, of the slide's size and scale.
        left_out: other objects and nuclei outside the slide, with their number.
        notes: sentences on what was left out and on a change of scale.
    """

    nuclei: Nuclei
    left_out: Counter[str]
    notes: tuple[str, ...]


def read_slide_nuclei(
    path: Path,
    mapping: Mapping[str, str],
    *,
    size: Size,
    mpp: float,
) -> SlideNuclei:
    """Nuclei of a whole slide.

    Args:
        path: of any form that `docs/annotations.md` lists; level-0 px, unless the file states the
            scale of another level.
        mapping: class names of the file (or numbers, as text) to yours; empty: names stay as they
            are.
        size: of level 0, px.
        mpp: of level 0, micrometres per pixel.

    Raises:
        BadNuclei: the file is too large, of no known form, states a scale that does not fit, a
            coordinate is no number, or more than 1 % of the nuclei lie outside the slide.
        UnmappedClasses: a class is not in the map; lists all of them.
    """
    found = read_chosen(path, mpp)
    _check_points(path, found.xy)
    used = found.used_classes()
    mapped = map_all(list(used.values()), mapping, str(path))
    classes = tuple(sorted({*mapped} - {ANY}))
    if len(classes) > MAX_CLASSES:
        raise BadNuclei(
            f"{path} holds {len(classes)} classes, over the limit of {MAX_CLASSES}.",
            "Map them to fewer.",
        )
    index = {name: position for position, name in enumerate(classes)} | {ANY: ANY_CLASS}
    new_ids = np.zeros(len(found.classes) + 1, np.uint8)
    new_ids[list(used)] = [index[name] for name in mapped]
    class_ids = new_ids[found.class_ids]
    inside = _is_on_slide(path, found.xy, size)
    nuclei = Nuclei(
        found.xy[inside].astype(np.float32),
        class_ids[inside],
        classes,
        size,
        mpp,
    )
    left_out = Counter(found.left_out)
    notes = list(found.notes)
    outside = len(inside) - len(nuclei)
    if outside:
        left_out[OUTSIDE_SLIDE] = outside
        notes.append(f"{path}: left out {outside:,} of {len(inside):,} {OUTSIDE_SLIDE}.")
    return SlideNuclei(nuclei, left_out, tuple(notes))


def _check_points(path: Path, xy: Float64Array) -> None:
    is_usable = np.isfinite(xy) & (np.abs(xy) < MAX_COORDINATE_PX)
    broken = ~is_usable.all(axis=1)
    if broken.any():
        first = int(np.flatnonzero(broken)[0]) + 1
        count = f"{int(broken.sum()):,} of {len(xy):,}"
        raise BadNuclei(
            f"{path}: {count} centroids are no numbers (first: {first}).",
            "Remove those nuclei.",
        )


def _is_on_slide(
    path: Path,
    xy: Float64Array,
    size: Size,
) -> BoolArray:
    """(N,) whether points (N, 2) lie on the slide.

    Raises:
        BadNuclei: too many do not.
    """
    is_in = (xy >= -0.5) & (xy < np.array(size) - 0.5)
    inside: BoolArray = np.asarray(is_in.all(axis=1))
    outside = int((~inside).sum())
    if outside > MAX_OUTSIDE * len(xy):
        first = int(np.flatnonzero(~inside)[0])
        x, y = xy[first]
        raise BadNuclei(
            f"{path}: {outside:,} of {len(xy):,} nuclei ({outside / len(xy):.1%}) lie outside the "
            f"slide of {size.width:,} x {size.height:,} px (first: {first + 1} at x={x:g}, "
            f"y={y:g}).",
            "Check that they are of this slide and in pixels of its level 0.",
        )
    return inside


def map_all(
    names: Sequence[str],
    mapping: Mapping[str, str],
    what: str,
) -> list[str]:
    """Every name through the map; an empty map leaves them as they are, and so stays `any`, which
    is no class.

    Raises:
        UnmappedClasses: names that are not in it, all of them.
    """
    if not mapping:
        return list(names)
    unmapped = sorted({*names} - mapping.keys() - {ANY})
    if unmapped:
        raise UnmappedClasses(what, unmapped, sorted(mapping))
    return [mapping.get(name, name) for name in names]
