"""Contours of nuclei around given centroids, by threshold.

No network is used, so nothing here was trained on tissue that the generator was trained on. The
price: a contour is only as good as the contrast of haematoxylin, touching nuclei are cut half-way
between their centroids, and pale ones get ragged contours. The same errors are made on real and on
synthetic tiles with the same centroids, so the numbers are compared with each other and never read
as a pathologist's areas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from ...core.arrays import BoolArray, Float32Array, Float64Array, IndexArray
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
_NO_NEIGHBOUR = np.zeros((3, 3), bool)
SAME_NUCLEUS = np.stack(
    [
        _NO_NEIGHBOUR,
        ndimage.generate_binary_structure(2, 1),
        _NO_NEIGHBOUR,
    ]
)
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
        last_row = self.height - margin
        last_column = self.width - margin
        rows = (self.down >= margin) & (self.down < last_row)
        columns = (self.across >= margin) & (self.across < last_column)
        return rows[:, :, None] & columns[:, None]

    def of(self, layer: Float32Array) -> Float32Array:
        """(M, S, S) values of a layer; beyond the border the nearest one."""
        last_row = self.height - 1
        last_column = self.width - 1
        rows = np.clip(self.down, 0, last_row)
        columns = np.clip(self.across, 0, last_column)
        return layer[rows[:, :, None], columns[:, None]]


def haematoxylin(pixels: Pixels, mpp: float) -> Float32Array:
    """(H, W, 3) uint8 => (H, W) float32 >= 0, haematoxylin; 1 is a full dose of this tile's
    stain.
    """
    weights = haematoxylin_weights(pixels, mpp)
    density = optical_density(pixels) @ weights
    amount: Float32Array = np.maximum(density, 0)
    return amount


def segment(pixels: Pixels, nuclei: Nuclei) -> NucleusMasks:
    """Outline every nucleus around its centroid.

    Args:
        pixels: (H, W, 3) uint8.
        nuclei: of this tile, in its pixels.
    """
    raw = haematoxylin(pixels, nuclei.mpp)
    sigma_px = DENSITY_SMOOTH_UM / nuclei.mpp
    smooth = np.asarray(ndimage.gaussian_filter(raw, sigma_px))
    raw_samples = _resampled(raw, nuclei.mpp)
    smooth_samples = _resampled(smooth, nuclei.mpp)
    count = len(nuclei)
    parts = []
    for first in range(0, max(count, 1), NUCLEI_AT_ONCE):
        last = min(first + NUCLEI_AT_ONCE, count)
        part = _outline(
            raw_samples,
            smooth_samples,
            nuclei,
            np.arange(first, last),
        )
        parts.append(part)
    return _joined(parts, raw)


def _joined(
    parts: Sequence[NucleusMasks],
    tile_density: Float32Array,
) -> NucleusMasks:
    """The nuclei of all parts of one tile."""
    rows = [part.row for part in parts]
    masks = [part.mask for part in parts]
    densities = [part.density for part in parts]
    not_dark = 0
    cut = 0
    wrong_size = 0
    for part in parts:
        not_dark += part.left_out[0]
        cut += part.left_out[1]
        wrong_size += part.left_out[2]
    return NucleusMasks(
        np.concatenate(rows),
        np.concatenate(masks),
        np.concatenate(densities),
        tile_density,
        (not_dark, cut, wrong_size),
    )


def _outline(
    raw: Float32Array,
    smooth: Float32Array,
    nuclei: Nuclei,
    rows: IndexArray,
) -> NucleusMasks:
    """The nuclei of these rows, from density as it is and smoothed, in samples."""
    windows = _windows_around(nuclei, rows, raw.shape)
    offset_um = _offsets_um()
    dx, dy = np.meshgrid(offset_um, offset_um)
    distance = np.hypot(dx, dy)
    within_reach = distance <= NUCLEUS_REACH_UM
    disc = within_reach & windows.inside(0)
    soft = windows.of(smooth)
    # every second sample is enough for the threshold
    threshold = local_otsu(
        soft[:, ::2, ::2],
        disc[:, ::2, ::2],
    )
    dark = disc & (soft > threshold[:, None, None])
    dark &= _nearest_to_own(nuclei, rows)
    mask = _central(dark, distance)
    not_dark, cut, wrong_size = _unusable(mask, windows)
    kept = ~(not_dark | cut | wrong_size)
    left_out = (
        int(not_dark.sum()),
        int(cut.sum()),
        int(wrong_size.sum()),
    )
    return NucleusMasks(
        rows[kept],
        mask[kept],
        windows.of(raw)[kept],
        raw,
        left_out,
    )


def _windows_around(
    nuclei: Nuclei,
    rows: IndexArray,
    shape: tuple[int, ...],
) -> _Windows:
    """Windows around the nuclei of these rows, on a grid of samples of (height, width) `shape`."""
    samples_per_px = nuclei.mpp / SAMPLE_UM
    # centroids on the nearest sample: at most an eighth of a micrometre off
    centroid = (nuclei.xy[rows] + 0.5) * samples_per_px - 0.5
    middle = np.rint(centroid).astype(np.intp)
    offset = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    height, width = shape
    return _Windows(
        middle[:, 1:] + offset,
        middle[:, :1] + offset,
        height,
        width,
    )


def _offsets_um() -> Float32Array:
    """(S,) distance of each row or column of a window from its middle one."""
    offset = np.arange(-HALF_WINDOW, HALF_WINDOW + 1)
    offset_um = offset * SAMPLE_UM
    return offset_um.astype(np.float32)


def _unusable(
    mask: Mask,
    windows: _Windows,
) -> tuple[BoolArray, BoolArray, BoolArray]:
    """(M,) each: empty masks, those cut by the tile's border, and those of a wrong size."""
    samples = mask.sum(axis=(1, 2))
    area = samples * SAMPLE_UM**2
    empty = area == 0
    well_inside = windows.inside(BORDER_UM / SAMPLE_UM)
    near_border = mask & ~well_inside
    cut = np.asarray(near_border.any(axis=(1, 2)))
    smallest, largest = AREA_UM2
    outside_range = (area < smallest) | (area > largest)
    wrong_size = ~empty & ~cut & outside_range
    return empty, cut, wrong_size


def _resampled(layer: Float32Array, mpp: float) -> Float32Array:
    """(H, W) at `mpp` => at `SAMPLE_UM`, edges on edges, linearly between pixels."""
    if abs(mpp - SAMPLE_UM) < 1e-6:
        return layer
    scale = SAMPLE_UM / mpp
    height, width = layer.shape
    new_height = max(int(height / scale), 1)
    new_width = max(int(width / scale), 1)
    # pixel i of the new grid is at (i + 0.5) * scale - 0.5 of the old one
    out = ndimage.affine_transform(
        layer,
        np.array([scale, scale]),
        0.5 * scale - 0.5,
        output_shape=(new_height, new_width),
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
    counted = np.where(valid, values, 0)
    largest = counted.reshape(windows, -1).max(axis=1)
    top = largest + np.float32(1e-6)
    levels_per_unit = OTSU_LEVELS / top
    scaled = values * levels_per_unit[:, None, None]
    level = scaled.astype(np.intp)
    level = np.minimum(level, OTSU_LEVELS - 1)
    counts = _level_counts(level, valid)
    between = _between_class_variance(counts)
    between = np.where(np.isfinite(between), between, -1)
    best = between.argmax(axis=1)
    threshold = (best + 1) / OTSU_LEVELS * top
    return np.asarray(threshold, np.float32)


def _level_counts(level: IndexArray, valid: Mask) -> Float64Array:
    """(M, L) valid samples of each window at each of `OTSU_LEVELS`."""
    windows = len(level)
    window = np.arange(windows)[:, None, None]
    bins = level + window * OTSU_LEVELS
    counts = np.bincount(
        bins[valid],
        minlength=windows * OTSU_LEVELS,
    )
    counts = counts.reshape(windows, OTSU_LEVELS)
    return counts.astype(np.float64)


def _between_class_variance(counts: Float64Array) -> Float64Array:
    """(M, L) of a threshold above each level; Otsu's equation 18, times the number of samples
    squared.
    """
    middle = np.arange(OTSU_LEVELS) + 0.5
    below = counts.cumsum(axis=1)
    sums = (counts * middle).cumsum(axis=1)
    total = below[:, -1:]
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = sums[:, -1:] * below / total
        between = (expected - sums) ** 2 / (below * above)
    return np.asarray(between)


def _nearest_to_own(nuclei: Nuclei, rows: IndexArray) -> Mask:
    """(M, S, S) which samples lie nearer to their own centroid than to any other's."""
    offset_um = _offsets_um()
    side = len(offset_um)
    own = np.ones((len(rows), side, side), np.bool_)
    if len(nuclei) < 2:
        return own
    points = nuclei.xy.astype(np.float64) * nuclei.mpp
    count = min(NEIGHBOURS + 1, len(points))
    tree = cKDTree(points)
    distances, neighbours = tree.query(points[rows], k=count)
    windows_touch = np.asarray(distances) <= 2 * NUCLEUS_REACH_UM
    for rank in range(count):
        neighbour = np.asarray(neighbours)[:, rank]
        is_other = neighbour != rows
        near = np.flatnonzero(is_other & windows_touch[:, rank])
        own_points = points[rows[near]]
        difference = points[neighbour[near]] - own_points
        to = difference.astype(np.float32)
        # p is nearer to 0 than to t where p . t < |t|^2 / 2
        half_square = (to**2).sum(axis=1) / 2
        along_x = offset_um * to[:, :1]
        along_y = offset_um * to[:, 1:]
        limit = half_square[:, None] - along_y
        own[near] &= along_x[:, None] < limit[:, :, None]
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
    rounded = np.asarray(blurred) > 0.5
    label, _ = ndimage.label(rounded, SAME_NUCLEUS)
    distances = np.where(label > 0, distance, np.inf)
    nearest = distances.reshape(windows, -1).argmin(axis=1)
    labels = label.reshape(windows, -1)
    chosen = labels[np.arange(windows), nearest]
    near = distance.ravel()[nearest] <= NEAR_UM
    usable = near & (chosen > 0)
    is_chosen = label == chosen[:, None, None]
    mask = is_chosen & usable[:, None, None]
    # what is connected with a corner of the window is outside, all else belongs to the nucleus
    ground, _ = ndimage.label(~mask, SAME_NUCLEUS)
    return np.asarray(ground != ground[:, :1, :1])
