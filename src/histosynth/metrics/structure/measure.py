"""How many of the requested nuclei of one tile detectors find."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ...core.matching import match_points
from ...core.nuclei import ANY_CLASS, Nuclei
from ...core.tile import Pixels
from ...detectors.detector import Detector
from ...detectors.finding import find_nuclei

REACH_UM = 6.0
"""A nucleus within this distance counts as found; the distance at which the field reports F1."""
STRICT_UM = 3.0
"""The same, strictly: about the radius of a nucleus."""
_UNREQUESTED = -1
"""Class index of a detected nucleus whose class was not requested."""


def measure_structure(
    pixels: Pixels,
    requested: Nuclei,
    *,
    detectors: Mapping[str, Detector],
    rings: Callable[[Pixels, Nuclei], IndexArray] | None = None,
    reach_um: float = REACH_UM,
    strict_um: float = STRICT_UM,
) -> dict[str, Float64Array]:
    """How well detectors find the requested nuclei of one tile.

    Args:
        pixels: (H, W, 3) uint8.
        requested: nuclei from which the tile was generated, or those marked on a real tile.
        detectors: by the name that the values carry.
        rings: classifies each place without any detector, fitted on real tiles of other patients
            with the same `classes`.
        reach_um: a detected nucleus within this of a requested one matches it.
        strict_um: the same, strictly.

    Returns:
        For each detector, `structure/<name>/`:

        * `counts`: (2, 1 + K, 3): at `reach_um` and at `strict_um`, for all nuclei and for each
          requested class found as that class: matched, found, requested. nan for classes that the
          detector does not detect;
        * `chance`: (2, 1 + K, 3), the same of as many random points with shuffled classes;
        * `confusion`: (K + 1, K + 1) at `reach_um`, requested class (last: extra) by found class
          (last: missed); only from detectors that detect at least one requested class;
        * `errors_um`: (P,) distance of each matched pair at `reach_um`, um.

        With `rings`: `structure/rings/confusion`: (K, K) requested class by the classified one.
    """
    out: dict[str, Float64Array] = {}
    for name, detector in detectors.items():
        values = _measure_detector(
            pixels,
            requested,
            detector,
            (reach_um, strict_um),
        )
        for key, value in values.items():
            out[f"structure/{name}/{key}"] = value
    if rings is not None:
        out["structure/rings/confusion"] = _ring_confusion(rings, pixels, requested)
    return out


def _measure_detector(
    pixels: Pixels,
    requested: Nuclei,
    detector: Detector,
    reaches_um: tuple[float, float],
) -> dict[str, Float64Array]:
    detected = find_nuclei(pixels, requested.mpp, detector)
    class_ids = _requested_class_ids(detected, requested.classes)
    detectable = [name in detector.classes for name in requested.classes]
    # the same random points whatever else is measured
    seed = zlib.crc32(requested.xy.tobytes() + requested.class_ids.tobytes())
    random = np.random.default_rng(seed)
    random_xy = random.uniform(
        -0.5,
        np.array(requested.size) - 0.5,
        detected.xy.shape,
    )
    shuffled = random.permutation(class_ids)
    xy = detected.xy.astype(np.float64)
    reaches = [reach_um / requested.mpp for reach_um in reaches_um]
    counts = [
        _counts(
            xy,
            class_ids,
            requested,
            detectable,
            reach,
        )
        for reach in reaches
    ]
    chance = [
        _counts(
            random_xy,
            shuffled,
            requested,
            detectable,
            reach,
        )
        for reach in reaches
    ]
    pairs, gaps = match_points(
        requested.xy,
        detected.xy,
        reaches[0],
    )
    values = {
        "counts": np.stack(counts),
        "chance": np.stack(chance),
        "errors_um": gaps * requested.mpp,
    }
    if any(detectable):
        values["confusion"] = _confusion(requested, class_ids, pairs)
    return values


def _requested_class_ids(detected: Nuclei, classes: Sequence[str]) -> IndexArray:
    """(N,) index among the requested classes of each detected nucleus, `_UNREQUESTED` if none."""
    index = {name: class_id for class_id, name in enumerate(classes)}
    class_ids = [index.get(name, _UNREQUESTED) for name in detected.names()]
    return np.array(class_ids, np.intp)


def _counts(
    xy: Float64Array,
    class_ids: IndexArray,
    requested: Nuclei,
    detectable: Sequence[bool],
    reach: float,
) -> Float64Array:
    """(1 + K, 3): matched, found, requested; of all nuclei, then of each class."""
    rows = np.full((1 + len(requested.classes), 3), np.nan)
    pairs, _ = match_points(requested.xy, xy, reach)
    rows[0] = len(pairs), len(xy), len(requested)
    for class_id in np.flatnonzero(detectable):
        requested_xy = requested.xy[requested.class_ids == class_id]
        found_xy = xy[class_ids == class_id]
        pairs, _ = match_points(requested_xy, found_xy, reach)
        rows[1 + class_id] = len(pairs), len(found_xy), len(requested_xy)
    return rows


def _confusion(
    requested: Nuclei,
    class_ids: IndexArray,
    pairs: IndexArray,
) -> Float64Array:
    """(K + 1, K + 1); nuclei without one of the requested classes are left out."""
    classes = len(requested.classes)
    table = np.zeros((classes + 1, classes + 1))
    first = requested.class_ids[pairs[:, 0]].astype(np.intp)
    second = class_ids[pairs[:, 1]]
    both = (first != ANY_CLASS) & (second != _UNREQUESTED)
    np.add.at(table, (first[both], second[both]), 1)
    missed = np.delete(requested.class_ids, pairs[:, 0])
    missed = missed[missed != ANY_CLASS]
    extra = np.delete(class_ids, pairs[:, 1])
    extra = extra[extra != _UNREQUESTED]
    table[:classes, classes] = np.bincount(missed, minlength=classes)
    table[classes, :classes] = np.bincount(extra, minlength=classes)
    return table


def _ring_confusion(
    rings: Callable[[Pixels, Nuclei], IndexArray],
    pixels: Pixels,
    requested: Nuclei,
) -> Float64Array:
    """(K, K) requested class by the class that the rings give."""
    classes = len(requested.classes)
    table = np.zeros((classes, classes))
    classified = requested.where(requested.class_ids != ANY_CLASS)
    if len(classified):
        rows = classified.class_ids.astype(np.intp)
        np.add.at(
            table,
            (rows, rings(pixels, classified)),
            1,
        )
    return table
