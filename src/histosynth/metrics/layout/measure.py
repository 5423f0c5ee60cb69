"""What is measured of the arrangement of one tile's nuclei, and a sample's curves from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.arrays import Float64Array
from ...core.nuclei import ANY_CLASS, Nuclei
from ..sample import Sample
from .patterns import RADII_UM, nearest_neighbours, pair_products, pair_sums

ALL = "all"
"""Stands for nuclei of any class in a `ClassPair`."""
ClassPair = tuple[str, str]


def measure_layout(nuclei: Nuclei) -> dict[str, Float64Array]:
    """Statistics of the nuclei of one tile, kept as sums; a sample's statistics are their ratios.

    Args:
        nuclei: of the tile; those without a class count among all.

    Returns:
        * `layout/counts` (K + 1,): nuclei of each class, in the order of `nuclei.classes`, then
          without a class;
        * `layout/area` (1,): mm^2. `layout/density` (1,): nuclei per mm^2;
        * `layout/ripley`, `layout/pcf`, `layout/products` (P, R): sums at `RADII_UM` for the pairs
          of `class_pairs`; K = sum of ripley / sum of products (um^2) and g = sum of pcf / sum of
          products, over all tiles. nan beyond half the tile's shorter side;
        * `layout/nn/A>B` (N_A,): from each nucleus of A to the nearest of B, um;
          `layout/nn_weight/A>B` (N_A,): its weight, because the border hides neighbours. Both (0,)
          where there is no B.
    """
    width, height = nuclei.size
    width_um = width * nuclei.mpp
    height_um = height * nuclei.mpp
    window = (width_um, height_um)
    area = width_um * height_um
    classes = len(nuclei.classes)
    xy = (nuclei.xy.astype(np.float64) + 0.5) * nuclei.mpp
    class_ids = nuclei.class_ids.astype(np.intp)
    counted = np.where(
        class_ids == ANY_CLASS,
        classes,
        class_ids,
    )
    of_class = np.bincount(counted, minlength=classes + 1)
    counts = of_class.astype(np.float64)
    density = len(xy) / area * 1e6
    ripley, pcf = pair_sums(xy, class_ids, classes, window)
    products = pair_products(
        counts[:-1],
        float(len(xy)),
        area,
    )
    out = {
        "layout/counts": counts,
        "layout/area": np.array([area / 1e6]),
        "layout/density": np.array([density]),
        "layout/ripley": ripley * area,
        "layout/pcf": pcf * area,
        "layout/products": np.where(
            np.isfinite(ripley),
            products[:, None] * area,
            np.nan,
        ),
    }
    points = {ALL: xy}
    for class_id, name in enumerate(nuclei.classes):
        points[name] = xy[class_ids == class_id]
    for one, other in neighbour_pairs(nuclei.classes):
        second = None
        if other != one:
            second = points[other]
        gap, weight = nearest_neighbours(
            points[one],
            second,
            window,
        )
        out[f"layout/nn/{one}>{other}"] = gap
        out[f"layout/nn_weight/{one}>{other}"] = weight
    return out


def class_pairs(classes: Sequence[str]) -> list[ClassPair]:
    """Unordered pairs of classes, rows of the sums; last (all, all)."""
    pairs = []
    for i, one in enumerate(classes):
        for other in classes[i:]:
            pairs.append((one, other))
    return [*pairs, (ALL, ALL)]


def neighbour_pairs(classes: Sequence[str]) -> list[ClassPair]:
    """Ordered pairs of classes; last (all, all)."""
    pairs = []
    for one in classes:
        for other in classes:
            pairs.append((one, other))
    return [*pairs, (ALL, ALL)]


def ripley_of(sample: Sample, *, pooled: bool = False) -> Float64Array:
    """(P, R) K of a sample at `RADII_UM`, um^2; nan where no tile defines it.

    Args:
        sample: with the values of `measure_layout`.
        pooled: use one density for all tiles. Then K includes how densities differ from tile to
            tile, and does not depend on the tiles' size even for clustered points; otherwise only
            the arrangement within tiles.
    """
    return _curves(sample, "layout/ripley", pooled)


def pcf_of(sample: Sample, *, pooled: bool = False) -> Float64Array:
    """(P, R) pair correlation g of a sample at `RADII_UM`; 1: random. See `ripley_of`."""
    return _curves(sample, "layout/pcf", pooled)


def _curves(
    sample: Sample,
    key: str,
    pooled: bool,
) -> Float64Array:
    numerator = np.nansum(sample.stack(key), axis=0)
    products = sample.stack("layout/products")
    if pooled:
        products = _pooled_products(sample, products)
    denominator = np.nansum(products, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator / denominator)


def _pooled_products(
    sample: Sample,
    products: Float64Array,
) -> Float64Array:
    """(N, P, R) products of the densities of all tiles together; nan where `products` is nan."""
    area = sample.stack("layout/area") * 1e6
    counts = sample.stack("layout/counts").sum(axis=0)
    rows, columns = np.triu_indices(len(counts) - 1)
    class_products = counts[rows] * counts[columns]
    all_products = counts.sum() ** 2
    pairs = np.append(class_products, all_products)
    density = pairs / area.sum() ** 2
    return np.where(
        np.isfinite(products),
        density[:, None] * area[:, :, None],
        np.nan,
    )


def excess(k: Float64Array) -> Float64Array:
    """L(r) - r = sqrt(K / pi) - r at `RADII_UM`, um (Besag 1977); 0: random, above: clustered."""
    radius = np.sqrt(k / np.pi)
    return np.asarray(radius - RADII_UM)
