"""What is measured of every nucleus: its size, its outline, its dye and its chromatin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core.arrays import Float32Array, Float64Array, IndexArray
from ...core.nuclei import Nuclei
from ...core.tile import Mask, Pixels
from .segment import HALF_WINDOW, SAME_NUCLEUS, SAMPLE_UM, NucleusMasks, segment

NUCLEUS_FEATURES = (
    "area_um2",
    "eccentricity",
    "irregularity",
    "density",
    "density_spread",
    "chromatin_gradient",
    "chromatin_roughness",
    "fine_power",
)
FEATURE_FAMILIES = {
    "shape": NUCLEUS_FEATURES[:3],
    "dye": NUCLEUS_FEATURES[3:4],
    "chromatin": NUCLEUS_FEATURES[4:],
}
"""What can be wrong with nuclei independently: outlines, staining strength, and sharpness
inside."""
FEATURE_UNITS = {
    "area_um2": "um2",
    "density": "doses",
    "density_spread": "doses",
    "chromatin_gradient": "doses/um",
    "fine_power": "log10 of a share",
}
RIM_UM = 0.5
"""Chromatin is measured so far inside the outline, where the edge's own step does not reach."""
LAG_UM = 1.0
"""Two places of chromatin so far apart are compared: half the width of a coarse clump."""
SPECTRUM_WINDOW_UM = 8.0
"""Side of the window of the spectrum; a Hann window weights its middle 4 um, mostly nucleus."""
FINE_CHROMATIN_PER_UM = 0.3
"""Detail of more cycles per um than this is fine: clumps below 1.7 um, nucleoli, texture, grain."""
MIN_FINE_SHARE = 1e-6


def measure_morphology(pixels: Pixels, nuclei: Nuclei) -> dict[str, Float64Array]:
    """Features of the nuclei of one tile around given centroids.

    Args:
        pixels: (H, W, 3) uint8.
        nuclei: requested ones, or those of a real tile.

    Returns:
        `morphology/values`: (N, F), a row for each nucleus that could be outlined, columns
        `NUCLEUS_FEATURES`:

        * `area_um2`, in [8, 400];
        * `eccentricity` of the ellipse of the same second moments, in [0, 1);
        * `irregularity`: 1 - 4 pi A / P^2, 0 for a disc (a little below or above: it is a digital
          one);
        * `density`, `density_spread`: mean and standard deviation of haematoxylin inside, in doses
          of the tile's stain;
        * `chromatin_gradient`: mean slope of haematoxylin inside, doses/um;
        * `chromatin_roughness`: how unlike two places 1 um apart are, 0 for smooth and about 1 for
          unrelated;
        * `fine_power`: log10 of the share of spectral power finer than `FINE_CHROMATIN_PER_UM`; an
          over-smoothed nucleus has less.

        `morphology/class_ids`: (N,) index of the class, 255 where it has none.
        `morphology/left_out`: (4,) how many nuclei there were; of those not dark at the centroid,
        cut by the tile's border, and too small or too large to be one nucleus.
    """
    masks = segment(pixels, nuclei)
    outlined_xy = nuclei.xy[masks.row]
    columns = [
        *shape_of(masks.mask),
        *chromatin_of(masks),
        fine_power(
            masks.tile_density,
            outlined_xy,
            nuclei.mpp,
        ),
    ]
    values = np.column_stack(columns)
    return {
        "morphology/values": values.reshape(-1, len(NUCLEUS_FEATURES)).astype(np.float64),
        "morphology/class_ids": nuclei.class_ids[masks.row].astype(np.float64),
        "morphology/left_out": np.array([len(nuclei), *masks.left_out], np.float64),
    }


def shape_of(mask: Mask) -> tuple[Float64Array, Float64Array, Float64Array]:
    """(M, S, S) masks in samples of `SAMPLE_UM` => area (um2), eccentricity and irregularity, (M,)
    each.
    """
    offset = np.arange(mask.shape[1]) - HALF_WINDOW
    columns, rows = np.meshgrid(offset, offset)
    x = columns.ravel().astype(np.float64)
    y = rows.ravel().astype(np.float64)
    # float64 counts: float32 sums of squares lose the small axis of a long nucleus
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    flat = mask.reshape(len(mask), terms.shape[0]).astype(np.float64)
    count, sum_x, sum_y, sum_xx, sum_yy, sum_xy = (flat @ terms).T
    count = np.maximum(count, 1)
    # a sample is a square and not a point: 1/12 of its side squared
    variance_x = sum_xx / count - (sum_x / count) ** 2 + 1 / 12
    variance_y = sum_yy / count - (sum_y / count) ** 2 + 1 / 12
    covariance = sum_xy / count - sum_x * sum_y / count**2
    gap = np.sqrt((variance_x - variance_y) ** 2 + 4 * covariance**2)
    total = variance_x + variance_y + gap
    eccentricity = np.sqrt(np.clip(2 * gap / total, 0, 1))
    perimeter = np.maximum(crofton_perimeter(mask), 1)
    irregularity = 1 - 4 * np.pi * count / perimeter**2
    return count * SAMPLE_UM**2, eccentricity, irregularity


def crofton_perimeter(mask: Mask) -> Float64Array:
    """(M, S, S) masks => (M,) length of their outlines, in samples.

    Cauchy-Crofton in four directions: L = pi / 8 * sum of crossings times the spacing of the lines,
    which is 1 along the axes and 1/sqrt(2) along the diagonals. Masks must not touch the window's
    border.
    """
    diagonal = np.sqrt(0.5)
    crossings = [
        _count_crossings(mask[:, 1:], mask[:, :-1]) * 1.0,
        _count_crossings(mask[:, :, 1:], mask[:, :, :-1]) * 1.0,
        _count_crossings(mask[:, 1:, 1:], mask[:, :-1, :-1]) * diagonal,
        _count_crossings(mask[:, 1:, :-1], mask[:, :-1, 1:]) * diagonal,
    ]
    return np.asarray(np.pi / 8 * np.sum(crossings, axis=0), np.float64)


def _count_crossings(first: Mask, second: Mask) -> IndexArray:
    return np.asarray((first ^ second).sum(axis=(1, 2)))


def chromatin_of(
    masks: NucleusMasks,
) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Mean density, its spread, mean slope (per um) and roughness at `LAG_UM` of each nucleus,
    (M,) each.
    """
    if not len(masks.mask):
        none = np.zeros(0)
        return none, none, none, none
    density = masks.density
    core = _core(masks.mask)
    mean, variance = _moments(density, masks.mask)
    slope, _ = _moments(_slope_per_um(density), core)
    return mean, np.sqrt(variance), slope, _roughness(density, core)


def _core(mask: Mask) -> Mask:
    """(M, S, S) the mask without its rim; the whole mask where nothing would be left."""
    iterations = round(RIM_UM / SAMPLE_UM)
    core = np.asarray(
        ndimage.binary_erosion(
            mask,
            SAME_NUCLEUS,
            iterations=iterations,
        )
    )
    has_core = np.asarray(core.any(axis=(1, 2)))
    core |= mask & ~has_core[:, None, None]
    return core


def _slope_per_um(density: Float32Array) -> Float32Array:
    """(M, S, S) length of the gradient of density, from differences over 2 `RIM_UM`."""
    step = round(RIM_UM / SAMPLE_UM)
    across = np.zeros_like(density)
    down = np.zeros_like(density)
    across[:, :, step:-step] = density[:, :, 2 * step :] - density[:, :, : -2 * step]
    down[:, step:-step] = density[:, 2 * step :] - density[:, : -2 * step]
    return np.asarray(np.hypot(across, down) / (2 * step * SAMPLE_UM))


def _roughness(density: Float32Array, core: Mask) -> Float64Array:
    """(M,) how unlike two places at `LAG_UM` are: 1 - correlation.

    The contrast of the co-occurrence matrix (Haralick 1973, f2) in units of twice the variance.
    """
    lag = round(LAG_UM / SAMPLE_UM)
    squares = np.zeros(len(core))
    pairs = np.zeros(len(core))
    shifts = (
        (np.s_[:, lag:], np.s_[:, :-lag]),
        (np.s_[:, :, lag:], np.s_[:, :, :-lag]),
    )
    for first, second in shifts:
        both = core[first] & core[second]
        difference = density[first] - density[second]
        squares += np.where(both, difference**2, 0).sum(axis=(1, 2))
        pairs += both.sum(axis=(1, 2))
    _, variance = _moments(density, core)
    contrast = squares / np.maximum(pairs, 1)
    return contrast / np.maximum(2 * variance, 1e-9)


def _moments(values: NDArray[np.floating], inside: Mask) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of (M, S, S) values inside, (M,) each."""
    count = np.maximum(inside.sum(axis=(1, 2)), 1)
    within = np.where(inside, values, 0)
    mean = within.sum(axis=(1, 2), dtype=np.float64) / count
    squares = np.einsum(
        "nij,nij->n",
        within,
        within,
        dtype=np.float64,
    )
    return mean, np.maximum(squares / count - mean**2, 0)


def fine_power(
    density: Float32Array,
    xy: Float32Array,
    mpp: float,
) -> Float64Array:
    """Log10 of the share of spectral power finer than `FINE_CHROMATIN_PER_UM` around each place.

    Args:
        density: (H, W) haematoxylin at the tile's own pixels: nothing is resampled, which would
            smooth.
        xy: (N, 2) places, pixels.
        mpp: um per pixel; from about 1.6 on a tile contains no such detail, and the share is
            `MIN_FINE_SHARE`.
    """
    half = max(round(SPECTRUM_WINDOW_UM / mpp / 2), 2)
    patch = _patches(density, xy, half)
    hann = np.hanning(2 * half + 1)[:-1]
    window = np.outer(hann, hann)
    level = (patch * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    power = np.abs(np.fft.fft2((patch - level) * window)) ** 2
    cycles = np.fft.fftfreq(2 * half, mpp)
    fine = np.hypot(cycles[:, None], cycles) > FINE_CHROMATIN_PER_UM
    total = np.maximum(power.sum(axis=(1, 2)), 1e-12)
    share = power[:, fine].sum(axis=1) / total
    return np.asarray(np.log10(np.maximum(share, MIN_FINE_SHARE)), np.float64)


def _patches(
    density: Float32Array,
    xy: Float32Array,
    half: int,
) -> Float64Array:
    """(N, 2 half, 2 half) surroundings, reflected at the border where the window weights little."""
    offset = np.arange(-half, half)
    height, width = density.shape
    columns = np.rint(xy[:, 0, None]).astype(np.intp) + offset
    rows = np.rint(xy[:, 1, None]).astype(np.intp) + offset
    columns = _reflected(columns, width)
    rows = _reflected(rows, height)
    return density[rows[:, :, None], columns[:, None, :]].astype(np.float64)


def _reflected(index: IndexArray, side: int) -> IndexArray:
    folded = np.mod(index, 2 * side)
    return np.asarray(np.minimum(folded, 2 * side - 1 - folded))
