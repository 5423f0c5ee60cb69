"""What is measured of the nuclei of one tile, and a sample's curves from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array
from ...core.nuclei import ANY_CLASS, Nuclei
from ..sample import Sample
from .patterns import RADII_UM, nearest_neighbours, pair_products, pair_sums

ALL = "all"
Pair = tuple[str, str]


def measure_layout(nuclei: Nuclei) -> dict[str, NDArray[np.float64]]:
    """Statistics of the nuclei of one tile, kept as sums that a sample's are the ratios of.

    Args:
        nuclei: of the tile; those of no told kind count among all.

    Returns:
        `layout/counts` (K + 1,): nuclei of each kind, in the order of `nuclei.classes`, then of no
            told kind.
        `layout/area` (1,): mm^2. `layout/density` (1,): nuclei per mm^2.
        `layout/ripley`, `layout/pcf`, `layout/products` (P, R): sums at `RADII_UM` for the pairs of
        `class_pairs`; K = sum of ripley / sum of products (um^2) and g = sum of pcf / sum of
        products, over all tiles. nan beyond half the tile's shorter side.
        `layout/nn/A>B` (N_A,): from each nucleus of A to the nearest of B, um;
            `layout/nn_weight/A>B`
        (N_A,): what it counts for, since the border hides neighbours. Both (0,) where there is no
            B.
    """
    window = (nuclei.size[0] * nuclei.mpp, nuclei.size[1] * nuclei.mpp)
    area = window[0] * window[1]
    classes = len(nuclei.classes)
    xy = (nuclei.xy.astype(np.float64) + 0.5) * nuclei.mpp
    class_ids = nuclei.class_ids.astype(np.intp)
    counts = np.bincount(
        np.where(class_ids == ANY_CLASS, classes, class_ids), minlength=classes + 1
    ).astype(np.float64)
    ripley, pcf = pair_sums(xy, class_ids, classes, window)
    products = pair_products(counts[:-1], float(len(xy)), area)
    out = {
        "layout/counts": counts,
        "layout/area": np.array([area / 1e6]),
        "layout/density": np.array([len(xy) / area * 1e6]),
        "layout/ripley": ripley * area,
        "layout/pcf": pcf * area,
        "layout/products": np.where(np.isfinite(ripley), products[:, None] * area, np.nan),
    }
    for one, two in neighbour_pairs(nuclei.classes):
        first = xy if one == ALL else xy[class_ids == nuclei.classes.index(one)]
        second = None if one == two else xy[class_ids == nuclei.classes.index(two)]
        gap, weight = nearest_neighbours(first, second, window)
        out |= {f"layout/nn/{one}>{two}": gap, f"layout/nn_weight/{one}>{two}": weight}
    return out


def class_pairs(classes: Sequence[str]) -> list[Pair]:
    """Unordered pairs of kinds, rows of the sums; last (all, all)."""
    return [(one, two) for i, one in enumerate(classes) for two in classes[i:]] + [(ALL, ALL)]


def neighbour_pairs(classes: Sequence[str]) -> list[Pair]:
    """Ordered pairs of kinds; last (all, all)."""
    return [(one, two) for one in classes for two in classes] + [(ALL, ALL)]


def ripley_of(sample: Sample, *, pooled: bool = False) -> Float64Array:
    """(P, R) K of a sample at `RADII_UM`, um^2; nan where no tile tells it.

    Args:
        sample: with the values of `measure_layout`.
        pooled: take one density for all tiles. Then K holds how densities differ from tile to tile,
            and does not depend on the tiles' size even for clustered points; else only what stands
            within tiles.
    """
    return _curves(sample, "layout/ripley", pooled)


def pcf_of(sample: Sample, *, pooled: bool = False) -> Float64Array:
    """(P, R) pair correlation g of a sample at `RADII_UM`; 1: no order. See `ripley_of`."""
    return _curves(sample, "layout/pcf", pooled)


def _curves(sample: Sample, key: str, pooled: bool) -> Float64Array:
    top = np.nansum(sample.stack(key), axis=0)
    below = sample.stack("layout/products")
    if pooled:
        area = sample.stack("layout/area") * 1e6
        counts = sample.stack("layout/counts").sum(axis=0)
        rows, columns = np.triu_indices(len(counts) - 1)
        density = np.append(counts[rows] * counts[columns], counts.sum() ** 2) / area.sum() ** 2
        below = np.where(np.isfinite(below), density[:, None] * area[:, :, None], np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(top / np.nansum(below, axis=0))


def excess(k: Float64Array) -> Float64Array:
    """L(r) - r = sqrt(K / pi) - r at `RADII_UM`, um (Besag 1977); 0: no order, above: clustered."""
    return np.asarray(np.sqrt(k / np.pi) - RADII_UM)
