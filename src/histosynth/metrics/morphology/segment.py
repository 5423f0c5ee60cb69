"""Contours of nuclei around centroids that are known, by threshold.

Nobody's network is asked, so nothing here was trained on tissue that the model saw as well. The
price: a contour is only as good as the contrast of haematoxylin, touching nuclei are cut half-way
between their centroids, and pale ones come out ragged. The same errors are made on real and on
synthetic tiles with the same centroids, which is why the numbers are read against each other and
never as a pathologist's areas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ...core.arrays import Float32Array
from ...core.nuclei import Nuclei
from ...core.tile import Mask, Pixels
from ...tissue.density import optical_density
from ..dyes import haematoxylin_weights

STEP_UM = 0.25
"""Side of the samples that contours are drawn on, whatever the tile's scale."""
REACH_UM = 11.0
"""No part of a nucleus lies farther from its centroid; a disc of 380 um2."""
SMOOTH_UM = 0.5
AREA_UM2 = (8.0, 400.0)
"""Smaller is a crumb, larger is several nuclei: left out, and counted."""
NEAR_UM = 2.0
"""The component of a nucleus comes at least so near to its centroid."""
ROUND_UM = 0.6
"""Contours are rounded by a Gaussian of so much: bridges and spikes thinner than 0.8 um go."""
EDGE_UM = 0.5
"""A mask that comes nearer to the border of the tile may go on beyond it."""
NEIGHBOURS = 8
LEVELS = 64
BATCH = 256
"""Nuclei cut at a time."""
HALF = round(REACH_UM / STEP_UM) + 1
"""Samples from the middle of a window to its side; the outermost are never part of a nucleus."""
FLAT = np.stack(
    [np.zeros((3, 3)), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3))]
).astype(bool)
"""Samples of one nucleus touch, those of two never do."""


@dataclass(frozen=True, eq=False)
class Masks:
    """Nuclei of one tile that could be outlined.

    Attributes:
        row: (M,) which of the nuclei asked about.
        mask: (M, S, S) bool, samples of `STEP_UM`, the centroid on the middle one.
        density: (M, S, S) float32, haematoxylin, not smoothed, in doses of the tile's own stain.
        tile: (H, W) float32, the same density at the tile's own pixels.
        left_out: how many had no dark component at the centroid, touched the border of the tile,
            and were of no nucleus' size.
    """

    row: NDArray[np.intp]
    mask: Mask
    density: Float32Array
    tile: Float32Array
    left_out: tuple[int, int, int]


def haematoxylin(pixels: Pixels, mpp: float) -> Float32Array:
    """(H, W, 3) uint8 => (H, W) float32 >= 0, haematoxylin; 1 is a full dose of this tile's
    stain.
    """
    amount: Float32Array = np.maximum(
        optical_density(pixels) @ haematoxylin_weights(pixels, mpp), 0
    )
    return amount


def segment(pixels: Pixels, nuclei: Nuclei) -> Masks:
    """Outline every nucleus around its centroid.

    Args:
        pixels: (H, W, 3) uint8.
        nuclei: of this tile, in its pixels.
    """
    raw = haematoxylin(pixels, nuclei.mpp)
    smooth = np.asarray(ndimage.gaussian_filter(raw, SMOOTH_UM / nuclei.mpp))
    layers = [_resampled(layer, nuclei.mpp) for layer in (raw, smooth)]
    parts = [
        _outline(layers, nuclei, np.arange(first, min(first + BATCH, len(nuclei))))
        for first in range(0, max(len(nuclei), 1), BATCH)
    ]
    missed, cut, absurd = (sum(part.left_out[which] for part in parts) for which in range(3))
    return Masks(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.mask for part in parts]),
        np.concatenate([part.density for part in parts]),
        raw,
        (missed, cut, absurd),
    )


def _outline(layers: Sequence[Float32Array], nuclei: Nuclei, rows: NDArray[np.intp]) -> Masks:
    """The nuclei of these rows; `layers`: density as it is and smoothed, in samples."""
    offset = np.arange(-HALF, HALF + 1)
    # centroids on the nearest sample: an eighth of a micrometre off at most
    middle = np.rint((nuclei.xy[rows] + 0.5) * (nuclei.mpp / STEP_UM) - 0.5).astype(np.intp)
    across, down = (middle[:, axis, None] + offset for axis in (0, 1))
    height, width = layers[0].shape
    clear = EDGE_UM / STEP_UM
    inside, well_inside = (
        ((down >= margin) & (down < height - margin))[:, :, None]
        & ((across >= margin) & (across < width - margin))[:, None, :]
        for margin in (0, clear)
    )
    places = (np.clip(down, 0, height - 1)[:, :, None], np.clip(across, 0, width - 1)[:, None, :])
    hard, soft = (layer[places] for layer in layers)
    dx, dy = np.meshgrid(*[(offset * STEP_UM).astype(np.float32)] * 2)
    gap = np.hypot(dx, dy)
    disc = (gap <= REACH_UM) & inside
    # every second sample tells the threshold as well
    threshold = local_otsu(soft[:, ::2, ::2], disc[:, ::2, ::2])
    dark = disc & (soft > threshold[:, None, None])
    mask = _central(dark & _nearest_to_own(nuclei, rows), gap)
    area = mask.sum(axis=(1, 2)) * STEP_UM**2
    none = area == 0
    cut = (mask & ~well_inside).any(axis=(1, 2))
    absurd = ~none & ~cut & ((area < AREA_UM2[0]) | (area > AREA_UM2[1]))
    kept = ~(none | cut | absurd)
    left_out = (int(none.sum()), int(cut.sum()), int(absurd.sum()))
    return Masks(
        rows[kept],
        mask[kept],
        hard[kept],
        layers[0],
        left_out,
    )


def _resampled(layer: Float32Array, mpp: float) -> Float32Array:
    """(H, W) at `mpp` => at `STEP_UM`, edges on edges, between pixels in straight lines."""
    if abs(mpp - STEP_UM) < 1e-6:
        return layer
    scale = STEP_UM / mpp
    shape = tuple(max(int(side / scale), 1) for side in layer.shape)
    # pixel i of the new grid is at (i + 0.5) * scale - 0.5 of the old one
    out = ndimage.affine_transform(
        layer,
        np.array([scale, scale]),
        0.5 * scale - 0.5,
        output_shape=shape,
        order=1,
        mode="nearest",
    )
    return np.asarray(out, np.float32)


def local_otsu(values: Float32Array, seen: Mask) -> Float32Array:
    """(M, S, S) values in [0, ...) and which of them are seen => (M,) threshold of each (Otsu
    1979).

    The threshold that leaves the largest variance between the two sides, over a histogram of
    `LEVELS` steps from 0 to the largest value of each.
    """
    many = len(values)
    if not many:
        return np.zeros(0, np.float32)
    top = np.where(seen, values, 0).reshape(many, -1).max(axis=1) + np.float32(1e-6)
    level = np.minimum((values * (LEVELS / top)[:, None, None]).astype(np.intp), LEVELS - 1)
    flat = (level + np.arange(many)[:, None, None] * LEVELS)[seen]
    counts = np.bincount(flat, minlength=many * LEVELS).reshape(many, LEVELS).astype(np.float64)
    below = counts.cumsum(axis=1)
    sums = (counts * (np.arange(LEVELS) + 0.5)).cumsum(axis=1)
    above = below[:, -1:] - below
    # between-class variance, Otsu's equation 18, times the number of samples squared
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[:, -1:] * below / below[:, -1:] - sums) ** 2 / (below * above)
    between = np.where(np.isfinite(between), between, -1)
    best = between.argmax(axis=1)
    return np.asarray((best + 1) / LEVELS * top, np.float32)


def _nearest_to_own(nuclei: Nuclei, rows: NDArray[np.intp]) -> Mask:
    """(M, S, S) which samples lie nearer to their own centroid than to any other's."""
    line = (np.arange(-HALF, HALF + 1) * STEP_UM).astype(np.float32)
    own = np.ones((len(rows), len(line), len(line)), np.bool_)
    if len(nuclei) < 2:
        return own
    points = nuclei.xy.astype(np.float64) * nuclei.mpp
    gaps, others = map(
        np.asarray, cKDTree(points).query(points[rows], k=min(NEIGHBOURS + 1, len(points)))
    )
    for gap, other in zip(gaps.T, others.T, strict=True):
        near = np.flatnonzero((other != rows) & (gap <= 2 * REACH_UM))
        to = (points[other[near]] - points[rows[near]]).astype(np.float32)
        # p is nearer to 0 than to t where p . t < |t|^2 / 2
        limit = ((to**2).sum(axis=1) / 2)[:, None] - line * to[:, 1:]
        own[near] &= (line * to[:, :1])[:, None, :] < limit[:, :, None]
    return own


def _central(dark: Mask, gap: Float32Array) -> Mask:
    """(M, S, S) of each the one component at the middle, rounded and holes filled; `gap`: um from
    there.
    """
    if not len(dark):
        return dark
    many = len(dark)
    blurred = ndimage.gaussian_filter(
        dark.astype(np.float32),
        ROUND_UM / STEP_UM,
        axes=(1, 2),
        truncate=3,
    )
    label, _ = ndimage.label(np.asarray(blurred) > 0.5, FLAT)
    nearest = np.where(label > 0, gap, np.inf).reshape(many, -1).argmin(axis=1)
    chosen = label.reshape(many, -1)[np.arange(many), nearest]
    near = gap.ravel()[nearest] <= NEAR_UM
    mask = (label == chosen[:, None, None]) & (near & (chosen > 0))[:, None, None]
    # what hangs together with a corner of the window is outside, all else is a hole
    ground, _ = ndimage.label(~mask, FLAT)
    return np.asarray(ground != ground[:, :1, :1])
