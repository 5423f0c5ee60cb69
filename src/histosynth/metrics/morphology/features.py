"""What is measured of every nucleus: its size, its outline, its dye and its chromatin."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ...core.arrays import Float32Array, Float64Array, FloatArray, IndexArray
from ...core.nuclei import Nuclei
from ...core.tile import Mask, Pixels
from .segment import HALF_WINDOW, SAME_NUCLEUS, SAMPLE_UM, NucleusMasks, segment

_SHAPE_FEATURES = (
    "area_um2",
    "eccentricity",
    "irregularity",
)
_DYE_FEATURES = ("density",)
_CHROMATIN_FEATURES = (
    "density_spread",
    "chromatin_gradient",
    "chromatin_roughness",
    "fine_power",
)
NUCLEUS_FEATURES = (
    *_SHAPE_FEATURES,
    *_DYE_FEATURES,
    *_CHROMATIN_FEATURES,
)
FEATURE_FAMILIES = {
    "shape": _SHAPE_FEATURES,
    "dye": _DYE_FEATURES,
    "chromatin": _CHROMATIN_FEATURES,
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
_WINDOW_AXES = (1, 2)
"""Rows and columns of (M, S, S) windows."""

_ShapeColumns = tuple[
    Float64Array,
    Float64Array,
    Float64Array,
]
_ChromatinColumns = tuple[
    Float64Array,
    Float64Array,
    Float64Array,
    Float64Array,
]


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
    outlined_classes = nuclei.class_ids[masks.row]
    columns = [
        *shape_of(masks.mask),
        *chromatin_of(masks),
        fine_power(
            masks.tile_density,
            outlined_xy,
            nuclei.mpp,
        ),
    ]
    table = np.column_stack(columns)
    values = table.reshape(-1, len(NUCLEUS_FEATURES))
    left_out = [
        len(nuclei),
        *masks.left_out,
    ]
    return {
        "morphology/values": values.astype(np.float64),
        "morphology/class_ids": outlined_classes.astype(np.float64),
        "morphology/left_out": np.array(left_out, np.float64),
    }


def shape_of(mask: Mask) -> _ShapeColumns:
    """(M, S, S) masks in samples of `SAMPLE_UM` => area (um2), eccentricity and irregularity, (M,)
    each.
    """
    offset = np.arange(mask.shape[1]) - HALF_WINDOW
    columns, rows = np.meshgrid(offset, offset)
    x = columns.ravel().astype(np.float64)
    y = rows.ravel().astype(np.float64)
    # float64 counts: float32 sums of squares lose the small axis of a long nucleus
    terms = [
        np.ones_like(x),
        x,
        y,
        x * x,
        y * y,
        x * y,
    ]
    flat = mask.reshape(len(mask), len(x))
    sums = flat.astype(np.float64) @ np.stack(terms, axis=1)
    count = np.maximum(sums[:, 0], 1)
    sum_x = sums[:, 1]
    sum_y = sums[:, 2]
    # a sample is a square and not a point: 1/12 of its side squared
    square_of_mean_x = (sum_x / count) ** 2
    square_of_mean_y = (sum_y / count) ** 2
    variance_x = sums[:, 3] / count - square_of_mean_x + 1 / 12
    variance_y = sums[:, 4] / count - square_of_mean_y + 1 / 12
    product_of_means = sum_x * sum_y / count**2
    covariance = sums[:, 5] / count - product_of_means
    difference = variance_x - variance_y
    gap = np.sqrt(difference**2 + 4 * covariance**2)
    total = variance_x + variance_y + gap
    elongation = np.clip(2 * gap / total, 0, 1)
    eccentricity = np.sqrt(elongation)
    perimeter = np.maximum(crofton_perimeter(mask), 1)
    roundness = 4 * np.pi * count / perimeter**2
    area = count * SAMPLE_UM**2
    return area, eccentricity, 1 - roundness


def crofton_perimeter(mask: Mask) -> Float64Array:
    """(M, S, S) masks => (M,) length of their outlines, in samples.

    Cauchy-Crofton in four directions: L = pi / 8 * sum of crossings times the spacing of the lines,
    which is 1 along the axes and 1/sqrt(2) along the diagonals. Masks must not touch the window's
    border.
    """
    diagonal_spacing = np.sqrt(0.5)
    upper = mask[:, :-1]
    lower = mask[:, 1:]
    down = _count_crossings(lower, upper)
    across = _count_crossings(
        mask[:, :, 1:],
        mask[:, :, :-1],
    )
    falling = _count_crossings(
        lower[:, :, 1:],
        upper[:, :, :-1],
    )
    rising = _count_crossings(
        lower[:, :, :-1],
        upper[:, :, 1:],
    )
    weighted = [
        down,
        across,
        falling * diagonal_spacing,
        rising * diagonal_spacing,
    ]
    crossings = np.sum(weighted, axis=0)
    perimeter = np.pi / 8 * crossings
    return np.asarray(perimeter, np.float64)


def _count_crossings(first: Mask, second: Mask) -> IndexArray:
    differs = first ^ second
    return np.asarray(differs.sum(axis=_WINDOW_AXES))


def chromatin_of(masks: NucleusMasks) -> _ChromatinColumns:
    """Mean density, its spread, mean slope (per um) and roughness at `LAG_UM` of each nucleus,
    (M,) each.
    """
    if not len(masks.mask):
        none = np.zeros(0)
        return none, none, none, none
    density = masks.density
    core = _core(masks.mask)
    mean, variance = _moments(density, masks.mask)
    spread = np.sqrt(variance)
    slope, _ = _moments(_slope_per_um(density), core)
    roughness = _roughness(density, core)
    return mean, spread, slope, roughness


def _core(mask: Mask) -> Mask:
    """(M, S, S) the mask without its rim; the whole mask where nothing would be left."""
    iterations = round(RIM_UM / SAMPLE_UM)
    eroded = ndimage.binary_erosion(
        mask,
        SAME_NUCLEUS,
        iterations=iterations,
    )
    core = np.asarray(eroded)
    has_core = np.asarray(core.any(axis=_WINDOW_AXES))
    without_core = ~has_core[:, None, None]
    core |= mask & without_core
    return core


def _slope_per_um(density: Float32Array) -> Float32Array:
    """(M, S, S) length of the gradient of density, from differences over 2 `RIM_UM`."""
    step = round(RIM_UM / SAMPLE_UM)
    across = np.zeros_like(density)
    down = np.zeros_like(density)
    right = density[:, :, 2 * step :]
    left = density[:, :, : -2 * step]
    lower = density[:, 2 * step :]
    upper = density[:, : -2 * step]
    across[:, :, step:-step] = right - left
    down[:, step:-step] = lower - upper
    distance_um = 2 * step * SAMPLE_UM
    return np.asarray(np.hypot(across, down) / distance_um)


def _roughness(density: Float32Array, core: Mask) -> Float64Array:
    """(M,) how unlike two places at `LAG_UM` are: 1 - correlation.

    The contrast of the co-occurrence matrix (Haralick 1973, f2) in units of twice the variance.
    """
    lag = round(LAG_UM / SAMPLE_UM)
    squares = np.zeros(len(core))
    pairs = np.zeros(len(core))
    down = (
        np.s_[:, lag:],
        np.s_[:, :-lag],
    )
    across = (
        np.s_[:, :, lag:],
        np.s_[:, :, :-lag],
    )
    for first, second in (down, across):
        both = core[first] & core[second]
        difference = density[first] - density[second]
        counted = np.where(both, difference**2, 0)
        squares += counted.sum(axis=_WINDOW_AXES)
        pairs += both.sum(axis=_WINDOW_AXES)
    _, variance = _moments(density, core)
    contrast = squares / np.maximum(pairs, 1)
    unrelated = np.maximum(2 * variance, 1e-9)
    return contrast / unrelated


def _moments(
    values: FloatArray,
    inside: Mask,
) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of (M, S, S) values inside, (M,) each."""
    samples = inside.sum(axis=_WINDOW_AXES)
    count = np.maximum(samples, 1)
    within = np.where(inside, values, 0)
    sums = within.sum(axis=_WINDOW_AXES, dtype=np.float64)
    mean = sums / count
    squares = np.einsum(
        "nij,nij->n",
        within,
        within,
        dtype=np.float64,
    )
    variance = squares / count - mean**2
    return mean, np.maximum(variance, 0)


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
    half = round(SPECTRUM_WINDOW_UM / mpp / 2)
    half = max(half, 2)
    patch = _patches(density, xy, half)
    hann = np.hanning(2 * half + 1)[:-1]
    window = np.outer(hann, hann)
    weighted = patch * window
    weighted_sum = weighted.sum(axis=_WINDOW_AXES, keepdims=True)
    level = weighted_sum / window.sum()
    spectrum = np.fft.fft2((patch - level) * window)
    power = np.abs(spectrum) ** 2
    cycles = np.fft.fftfreq(2 * half, mpp)
    frequency = np.hypot(cycles[:, None], cycles)
    fine = frequency > FINE_CHROMATIN_PER_UM
    total = np.maximum(power.sum(axis=_WINDOW_AXES), 1e-12)
    share = power[:, fine].sum(axis=1) / total
    share = np.maximum(share, MIN_FINE_SHARE)
    return np.asarray(np.log10(share), np.float64)


def _patches(
    density: Float32Array,
    xy: Float32Array,
    half: int,
) -> Float64Array:
    """(N, 2 half, 2 half) surroundings, reflected at the border where the window weights little."""
    offset = np.arange(-half, half)
    height, width = density.shape
    middle = np.rint(xy).astype(np.intp)
    columns = middle[:, :1] + offset
    rows = middle[:, 1:] + offset
    columns = _reflected(columns, width)
    rows = _reflected(rows, height)
    patch = density[rows[:, :, None], columns[:, None]]
    return patch.astype(np.float64)


def _reflected(index: IndexArray, side: int) -> IndexArray:
    folded = np.mod(index, 2 * side)
    mirrored = 2 * side - 1 - folded
    return np.asarray(np.minimum(folded, mirrored))
