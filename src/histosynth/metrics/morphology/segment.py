"""Contours of nuclei around given centroids, by threshold.

No network is used, so nothing here was trained on tissue that the generator was trained on. The
price: a contour is only as good as the contrast of haematoxylin, touching nuclei are cut half-way
between their centroids, and pale ones get ragged contours. The same errors are made on real and on
synthetic tiles with the same centroids, so the numbers are compared with each other and never read
as a pathologist's areas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ...core.arrays import BoolArray, Float32Array, IndexArray
from ...core.nuclei import Nuclei
from ...core.tile import Mask, Pixels
from ...tissue.density import optical_density
from ..dyes import haematoxylin_weights

SAMPLE_UM = 0.25
"""Side of the samples on which contours are drawn, whatever the tile's scale."""
NUCLEUS_REACH_UM = 11.0
"""No part of a nucleus lies farther from its centroid; a disc of 380 um2."""
DENSITY_SMOOTH_UM = 0.5
AREA_UM2 = (8.0, 400.0)
"""Smaller is debris, larger is several nuclei: left out, and counted."""
NEAR_UM = 2.0
"""The component of a nucleus comes at least so near to its centroid."""
ROUND_UM = 0.6
"""Contours are rounded by a Gaussian of this sigma: bridges and spikes thinner than 0.8 um go."""
BORDER_UM = 0.5
"""A mask that comes nearer to the border of the tile may continue beyond it."""
NEIGHBOURS = 8
OTSU_LEVELS = 64
NUCLEI_AT_ONCE = 256
HALF_WINDOW = round(NUCLEUS_REACH_UM / SAMPLE_UM) + 1
"""Samples from the middle of a window to its side; the outermost are never part of a nucleus."""
SAME_NUCLEUS = np.stack(
    [np.zeros((3, 3)), ndimage.generate_binary_structure(2, 1), np.zeros((3, 3))]
).astype(bool)
"""Connectivity of (M, S, S) windows: samples of one nucleus touch, those of two never do."""


@dataclass(frozen=True, eq=False)
class NucleusMasks:
    """Nuclei of one tile that could be outlined.

    Attributes:
        row: (M,) which of the given nuclei.
        mask: (M, S, S) bool, samples of `SAMPLE_UM`, the centroid on the middle one.
        density: (M, S, S) float32, haematoxylin, not smoothed, in doses of the tile's own stain.
        tile_density: (H, W) float32, the same density at the tile's own pixels.
        left_out: how many had no dark component at the centroid, touched the border of the tile,
            and had not the size of a nucleus.
    """

    row: IndexArray
    mask: Mask
    density: Float32Array
    tile_density: Float32Array
    left_out: tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class _Windows:
    """Square windows of samples around the centroids of some nuclei.

    Attributes:
        down, across: (M, S) rows and columns of the samples, which may lie outside the tile.
        height, width: of the tile, in samples.
    """

    down: IndexArray
    across: IndexArray
    height: int
    width: int

    def inside(self, margin: float) -> Mask:
        """(M, S, S) which samples lie at least `margin` samples inside the tile."""
        rows = (self.down >= margin) & (self.down < self.height - margin)
        columns = (self.across >= margin) & (self.across < self.width - margin)
        return rows[:, :, None] & columns[:, None, :]

    def of(self, layer: Float32Array) -> Float32Array:
        """(M, S, S) values of a layer; beyond the border the nearest one."""
        rows = np.clip(self.down, 0, self.height - 1)
        columns = np.clip(self.across, 0, self.width - 1)
        return layer[rows[:, :, None], columns[:, None, :]]


def haematoxylin(pixels: Pixels, mpp: float) -> Float32Array:
    """(H, W, 3) uint8 => (H, W) float32 >= 0, haematoxylin; 1 is a full dose of this tile's
    stain.
    """
    density = optical_density(pixels) @ haematoxylin_weights(pixels, mpp)
    amount: Float32Array = np.maximum(density, 0)
    return amount


def segment(pixels: Pixels, nuclei: Nuclei) -> NucleusMasks:
    """Outline every nucleus around its centroid.

    Args:
        pixels: (H, W, 3) uint8.
        nuclei: of this tile, in its pixels.
    """
    raw = haematoxylin(pixels, nuclei.mpp)
    smooth = np.asarray(ndimage.gaussian_filter(raw, DENSITY_SMOOTH_UM / nuclei.mpp))
    raw_samples = _resampled(raw, nuclei.mpp)
    smooth_samples = _resampled(smooth, nuclei.mpp)
    parts = []
    for first in range(0, max(len(nuclei), 1), NUCLEI_AT_ONCE):
        rows = np.arange(first, min(first + NUCLEI_AT_ONCE, len(nuclei)))
        parts.append(
            _outline(
                raw_samples,
                smooth_samples,
                nuclei,
                rows,
            )
        )
    not_dark = sum(part.left_out[0] for part in parts)
    cut = sum(part.left_out[1] for part in parts)
    wrong_size = sum(part.left_out[2] for part in parts)
    return NucleusMasks(
        np.concatenate([part.row for part in parts]),
        np.concatenate([part.mask for part in parts]),
        np.concatenate([part.density for part in parts]),
        raw,
        (not_dark, cut, wrong_size),
    )


def _outline(
    raw: Float32Array,
    smooth: Float32Array,
    nuclei: Nuclei,
    rows: IndexArray,
) -> NucleusMasks:
    """The nuclei of these rows, from density as it is and smoothed, in samples."""
    offset = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    # centroids on the nearest sample: at most an eighth of a micrometre off
    samples_per_px = nuclei.mpp / SAMPLE_UM
    middle = np.rint((nuclei.xy[rows] + 0.5) * samples_per_px - 0.5).astype(np.intp)
    height, width = raw.shape
    windows = _Windows(
        middle[:, 1, None] + offset,
        middle[:, 0, None] + offset,
        height,
        width,
    )
    offset_um = (offset * SAMPLE_UM).astype(np.float32)
    dx, dy = np.meshgrid(offset_um, offset_um)
    distance = np.hypot(dx, dy)
    disc = (distance <= NUCLEUS_REACH_UM) & windows.inside(0)
    soft = windows.of(smooth)
    # every second sample is enough for the threshold
    threshold = local_otsu(soft[:, ::2, ::2], disc[:, ::2, ::2])
    dark = disc & (soft > threshold[:, None, None])
    mask = _central(dark & _nearest_to_own(nuclei, rows), distance)
    not_dark, cut, wrong_size = _unusable(mask, windows)
    kept = ~(not_dark | cut | wrong_size)
    return NucleusMasks(
        rows[kept],
        mask[kept],
        windows.of(raw)[kept],
        raw,
        (int(not_dark.sum()), int(cut.sum()), int(wrong_size.sum())),
    )


def _unusable(mask: Mask, windows: _Windows) -> tuple[BoolArray, BoolArray, BoolArray]:
    """(M,) each: empty masks, those cut by the tile's border, and those of a wrong size."""
    area = mask.sum(axis=(1, 2)) * SAMPLE_UM**2
    empty = area == 0
    well_inside = windows.inside(BORDER_UM / SAMPLE_UM)
    cut = np.asarray((mask & ~well_inside).any(axis=(1, 2)))
    smallest, largest = AREA_UM2
    outside_range = (area < smallest) | (area > largest)
    return empty, cut, ~empty & ~cut & outside_range


def _resampled(layer: Float32Array, mpp: float) -> Float32Array:
    """(H, W) at `mpp` => at `SAMPLE_UM`, edges on edges, linearly between pixels."""
    if abs(mpp - SAMPLE_UM) < 1e-6:
        return layer
    scale = SAMPLE_UM / mpp
    height, width = layer.shape
    # pixel i of the new grid is at (i + 0.5) * scale - 0.5 of the old one
    out = ndimage.affine_transform(
        layer,
        np.array([scale, scale]),
        0.5 * scale - 0.5,
        output_shape=(max(int(height / scale), 1), max(int(width / scale), 1)),
        order=1,
        mode="nearest",
    )
    return np.asarray(out, np.float32)


def local_otsu(values: Float32Array, valid: Mask) -> Float32Array:
    """(M, S, S) values in [0, ...) and which of them are valid => (M,) threshold of each (Otsu
    1979).

    The threshold with the largest variance between the two sides, over a histogram of
    `OTSU_LEVELS` steps from 0 to the largest value of each.
    """
    windows = len(values)
    if not windows:
        return np.zeros(0, np.float32)
    largest = np.where(valid, values, 0).reshape(windows, -1).max(axis=1)
    top = largest + np.float32(1e-6)
    level = (values * (OTSU_LEVELS / top)[:, None, None]).astype(np.intp)
    level = np.minimum(level, OTSU_LEVELS - 1)
    window = np.arange(windows)[:, None, None]
    bins = (level + window * OTSU_LEVELS)[valid]
    counts = np.bincount(bins, minlength=windows * OTSU_LEVELS)
    counts = counts.reshape(windows, OTSU_LEVELS).astype(np.float64)
    below = counts.cumsum(axis=1)
    sums = (counts * (np.arange(OTSU_LEVELS) + 0.5)).cumsum(axis=1)
    total = below[:, -1:]
    above = total - below
    # between-class variance, Otsu's equation 18, times the number of samples squared
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[:, -1:] * below / total - sums) ** 2 / (below * above)
    between = np.where(np.isfinite(between), between, -1)
    best = between.argmax(axis=1)
    return np.asarray((best + 1) / OTSU_LEVELS * top, np.float32)


def _nearest_to_own(nuclei: Nuclei, rows: IndexArray) -> Mask:
    """(M, S, S) which samples lie nearer to their own centroid than to any other's."""
    offset_um = (np.arange(-HALF_WINDOW, HALF_WINDOW + 1) * SAMPLE_UM).astype(np.float32)
    own = np.ones((len(rows), len(offset_um), len(offset_um)), np.bool_)
    if len(nuclei) < 2:
        return own
    points = nuclei.xy.astype(np.float64) * nuclei.mpp
    count = min(NEIGHBOURS + 1, len(points))
    distances, neighbours = cKDTree(points).query(points[rows], k=count)
    for rank in range(count):
        distance = np.asarray(distances)[:, rank]
        neighbour = np.asarray(neighbours)[:, rank]
        near = np.flatnonzero((neighbour != rows) & (distance <= 2 * NUCLEUS_REACH_UM))
        to = (points[neighbour[near]] - points[rows[near]]).astype(np.float32)
        # p is nearer to 0 than to t where p . t < |t|^2 / 2
        half_square = (to**2).sum(axis=1) / 2
        limit = half_square[:, None] - offset_um * to[:, 1:]
        along_x = offset_um * to[:, :1]
        own[near] &= along_x[:, None, :] < limit[:, :, None]
    return own


def _central(dark: Mask, distance: Float32Array) -> Mask:
    """(M, S, S) the component at the middle of each window, rounded and without gaps.

    Args:
        dark: (M, S, S) samples above the threshold.
        distance: (S, S) from the middle, um.
    """
    if not len(dark):
        return dark
    windows = len(dark)
    blurred = ndimage.gaussian_filter(
        dark.astype(np.float32),
        ROUND_UM / SAMPLE_UM,
        axes=(1, 2),
        truncate=3,
    )
    label, _ = ndimage.label(np.asarray(blurred) > 0.5, SAME_NUCLEUS)
    distances = np.where(label > 0, distance, np.inf).reshape(windows, -1)
    nearest = distances.argmin(axis=1)
    chosen = label.reshape(windows, -1)[np.arange(windows), nearest]
    near = distance.ravel()[nearest] <= NEAR_UM
    usable = near & (chosen > 0)
    mask = (label == chosen[:, None, None]) & usable[:, None, None]
    # what is connected with a corner of the window is outside, all else belongs to the nucleus
    ground, _ = ndimage.label(~mask, SAME_NUCLEUS)
    return np.asarray(ground != ground[:, :1, :1])
