"""Shapes of nuclei as they are measured in a tile, in place of an annotator's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...core.arrays import Float64Array
from ...core.nuclei import Nuclei
from ...core.nucleus_shapes import HALF_TURN, MAX_ELONGATION, unknown_shapes
from ...core.tile import Mask, Pixels
from .segment import SAMPLE_UM, segment

_MIN_VARIANCE = 1 / 12
"""Of one sample along an axis."""


def with_measured_shapes(
    pixels: Pixels,
    nuclei: Nuclei,
) -> Nuclei:
    """The nuclei with the area, elongation and angle of their outlines.

    Shapes that they have stay; those of nuclei that could not be outlined stay unknown.

    Args:
        pixels: (H, W, 3) uint8 of the tile.
        nuclei: of it.
    """
    outlined = segment(
        pixels,
        nuclei,
    )
    shapes = unknown_shapes(len(nuclei))
    if len(outlined.row):
        shapes[outlined.row] = shapes_of_masks(outlined.mask)
    given = nuclei.shapes_or_unknown()
    merged = np.where(
        np.isnan(given),
        shapes,
        given,
    )
    return replace(
        nuclei,
        shapes=merged.astype(np.float32),
    )


def shapes_of_masks(masks: Mask) -> Float64Array:
    """(M, 3) area in um2, elongation and angle of masks (M, S, S) of samples of `SAMPLE_UM`.

    The ellipse has the second moments of the mask.
    """
    count = (
        masks.reshape(
            len(masks),
            -1,
        )
        .sum(axis=1)
        .astype(np.float64)
    )
    rows = np.arange(
        masks.shape[1],
        dtype=np.float64,
    )
    by_column = masks.sum(axis=1)
    by_row = masks.sum(axis=2)
    x = by_column @ rows / count
    y = by_row @ rows / count
    xx = by_column @ rows**2 / count - x**2
    yy = by_row @ rows**2 / count - y**2
    xy = (
        np.einsum(
            "mij,i,j->m",
            masks,
            rows,
            rows,
            optimize=True,
        )
        / count
        - x * y
    )
    middle = (xx + yy) / 2
    half = np.hypot(
        (xx - yy) / 2,
        xy,
    )
    long_axis = middle + half
    short_axis = np.maximum(
        middle - half,
        _MIN_VARIANCE,
    )
    elongation = np.sqrt(
        np.maximum(
            long_axis,
            _MIN_VARIANCE,
        )
        / short_axis
    )
    angle = np.degrees(
        0.5
        * np.arctan2(
            2 * xy,
            xx - yy,
        )
    )
    return np.stack(
        [
            count * SAMPLE_UM**2,
            elongation.clip(
                1,
                MAX_ELONGATION,
            ),
            angle % HALF_TURN,
        ],
        axis=1,
    )
