"""What detectors find again of the nuclei that were asked for on one tile."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array, IndexArray
from ...core.matching import match_points
from ...core.nuclei import ANY_CLASS, Nuclei
from ...core.tile import Pixels
from ...detectors.detector import Detector
from ...detectors.finding import find_nuclei

Indices = NDArray[np.intp]
REACH_UM = 6.0
"""As the field reports F1."""
STRICT_UM = 3.0
"""About the radius of a nucleus."""


def measure_structure(
    pixels: Pixels,
    asked: Nuclei,
    *,
    detectors: Mapping[str, Detector],
    rings: Callable[[Pixels, Nuclei], IndexArray] | None = None,
    reach_um: float = REACH_UM,
    strict_um: float = STRICT_UM,
) -> dict[str, Float64Array]:
    """How well detectors find again what was asked for on one tile.

    Args:
        pixels: (H, W, 3) uint8.
        asked: nuclei the tile was made from, or those marked on a real tile.
        detectors: by the name that the values carry.
        rings: an opinion on the class of each place without any detector, fitted on real tiles of
            other patients with the same `classes`.
        reach_um: a found nucleus within this of an asked one is it.
        strict_um: the same, strictly.

    Returns:
        For each detector, `structure/<name>/`:

        * `counts`: (2, 1 + K, 3): at `reach_um` and at `strict_um`, for all nuclei and each asked
        class
          found as that class: matched, found, asked. nan for classes the detector does not tell;
        * `chance`: the same of as many points placed anywhere, their classes shuffled, (2, 1 + K,
        3);
        * `confusion`: (K + 1, K + 1) at `reach_um`, asked class (last: extra) by found class (last:
        missed);
          only from detectors that tell at least one asked class;
        * `errors_um`: (P,) distance of each matched pair at `reach_um`, um.

        With `rings`: `structure/rings/confusion`: (K, K) asked class by the one it looks like.
    """
    out: dict[str, Float64Array] = {}
    reaches = (reach_um / asked.mpp, strict_um / asked.mpp)
    for name, detector in detectors.items():
        found = find_nuclei(pixels, asked.mpp, detector)
        class_ids = _as_asked(found, asked.classes)
        told = [each in detector.classes for each in asked.classes]
        random = np.random.default_rng(zlib.crc32(asked.xy.tobytes() + asked.class_ids.tobytes()))
        anywhere = random.uniform(-0.5, np.array(asked.size) - 0.5, found.xy.shape)
        shuffled = random.permutation(class_ids)
        counts, chance = (
            np.stack([_counts(xy, classes, asked, told, reach) for reach in reaches])
            for xy, classes in ((found.xy.astype(np.float64), class_ids), (anywhere, shuffled))
        )
        pairs, gaps = match_points(asked.xy, found.xy, reaches[0])
        out[f"structure/{name}/counts"] = counts
        out[f"structure/{name}/chance"] = chance
        out[f"structure/{name}/errors_um"] = gaps * asked.mpp
        if any(told):
            out[f"structure/{name}/confusion"] = _confusion(asked, class_ids, pairs)
    if rings is not None:
        out["structure/rings/confusion"] = _by_rings(rings, pixels, asked)
    return out


def _as_asked(found: Nuclei, classes: Sequence[str]) -> Indices:
    """(N,) the asked class's index of each found nucleus, -1 for classes nobody asked for."""
    index = {name: place for place, name in enumerate(classes)}
    return np.array([index.get(name, -1) for name in found.names()], np.intp)


def _counts(
    xy: Float64Array,
    class_ids: Indices,
    asked: Nuclei,
    told: Sequence[bool],
    reach: float,
) -> Float64Array:
    """(1 + K, 3): matched, found, asked."""
    rows = np.full((1 + len(asked.classes), 3), np.nan)
    rows[0] = len(match_points(asked.xy, xy, reach)[0]), len(xy), len(asked)
    for place in np.flatnonzero(told):
        mine = asked.xy[asked.class_ids == place]
        theirs = xy[class_ids == place]
        rows[1 + place] = len(match_points(mine, theirs, reach)[0]), len(theirs), len(mine)
    return rows


def _confusion(asked: Nuclei, class_ids: Indices, pairs: Indices) -> Float64Array:
    """(K + 1, K + 1); what was asked for or found without one of the asked classes is left out."""
    many = len(asked.classes)
    table = np.zeros((many + 1, many + 1))
    first = asked.class_ids[pairs[:, 0]].astype(np.intp)
    second = class_ids[pairs[:, 1]]
    both = (first != ANY_CLASS) & (second >= 0)
    np.add.at(table, (first[both], second[both]), 1)
    missed = np.delete(asked.class_ids, pairs[:, 0])
    extra = np.delete(class_ids, pairs[:, 1])
    table[:many, many] = np.bincount(missed[missed != ANY_CLASS], minlength=many)
    table[many, :many] = np.bincount(extra[extra >= 0], minlength=many)
    return table


def _by_rings(
    rings: Callable[[Pixels, Nuclei], IndexArray], pixels: Pixels, asked: Nuclei
) -> Float64Array:
    """(K, K)"""
    many = len(asked.classes)
    table = np.zeros((many, many))
    told = asked.where(asked.class_ids != ANY_CLASS)
    if len(told):
        np.add.at(table, (told.class_ids.astype(np.intp), rings(pixels, told)), 1)
    return table
