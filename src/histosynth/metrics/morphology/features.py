"""What is measured of every nucleus: its size, its outline, its dye and its chromatin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core.arrays import Float64Array
from ...core.nuclei import Nuclei
from ...core.tile import Mask, Pixels
from .segment import FLAT, HALF, STEP_UM, Masks, segment

FEATURES = (
    "area_um2",
    "eccentricity",
    "irregularity",
    "density",
    "density_spread",
    "chromatin_gradient",
    "chromatin_roughness",
    "fine_power",
)
FAMILIES = {
    "shape": FEATURES[:3],
    "dye": FEATURES[3:4],
    "chromatin": FEATURES[4:],
}
"""What can be wrong with nuclei by itself: how they are drawn, how strongly stained, how sharp
inside."""
UNITS = {
    "area_um2": "um2",
    "density": "doses",
    "density_spread": "doses",
    "chromatin_gradient": "doses/um",
    "fine_power": "log10 of a share",
}
RIM_UM = 0.5
"""Chromatin is looked at so far inside the outline, where the edge's own step does not reach."""
LAG_UM = 1.0
"""Two places of chromatin so far apart are compared: half the width of a coarse clump."""
WINDOW_UM = 8.0
"""Side of the window whose spectrum is taken; a Hann window sees the middle 4 um of it, mostly
nucleus."""
FINE_PER_UM = 0.3
"""Detail of more cycles per um than this is fine: clumps below 1.7 um, nucleoli, texture, grain."""
LEAST_SHARE = 1e-6


def measure_morphology(pixels: Pixels, nuclei: Nuclei) -> dict[str, NDArray[np.float64]]:
    """Features of the nuclei of one tile around given centroids.

    Args:
        pixels: (H, W, 3) uint8.
        nuclei: those asked for, or those of a real tile.

    Returns:
        `morphology/values`: (N, F), a row for each nucleus that could be outlined, columns
            `FEATURES`:

        * `area_um2`, in [8, 400];
        * `eccentricity` of the ellipse of the same second moments, in [0, 1);
        * `irregularity`: 1 - 4 pi A / P^2, 0 for a disc (a little below or above: it is a digital
        one);
        * `density`, `density_spread`: mean and standard deviation of haematoxylin inside, in doses
        of the
          tile's stain;
        * `chromatin_gradient`: mean slope of haematoxylin inside, doses/um;
        * `chromatin_roughness`: how unlike two places 1 um apart are, 0 for smooth and about 1 for
        unrelated;
        * `fine_power`: log10 of the share of spectral power finer than `FINE_PER_UM`; an
        over-smoothed
          nucleus has less.

        `morphology/kind`: (N,) index of the class, 255 where it is not told.
        `morphology/left_out`: (4,) how many were asked about, of those not dark at the centroid,
            cut by the
        tile's border, and too small or too large to be one nucleus.
    """
    masks = segment(pixels, nuclei)
    kept = nuclei.xy[masks.row]
    values = np.column_stack(
        [*shape_of(masks.mask), *chromatin_of(masks), fine_power(masks.tile, kept, nuclei.mpp)]
    )
    return {
        "morphology/values": values.reshape(-1, len(FEATURES)).astype(np.float64),
        "morphology/kind": nuclei.class_ids[masks.row].astype(np.float64),
        "morphology/left_out": np.array([len(nuclei), *masks.left_out], np.float64),
    }


def shape_of(mask: Mask) -> tuple[Float64Array, Float64Array, Float64Array]:
    """(M, S, S) masks in samples of `STEP_UM` => area (um2), eccentricity and irregularity, (M,)
    each.
    """
    line = np.arange(mask.shape[1]) - HALF
    x, y = (axis.ravel().astype(np.float64) for axis in np.meshgrid(line, line))
    # float64 counts: float32 sums of squares lose the small axis of a long nucleus
    terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)
    many, x1, y1, xx, yy, xy = (
        mask.reshape(len(mask), terms.shape[0]).astype(np.float64) @ terms
    ).T
    many = np.maximum(many, 1)
    # a sample is a square and no point: 1/12 of its side squared
    a = xx / many - (x1 / many) ** 2 + 1 / 12
    b = yy / many - (y1 / many) ** 2 + 1 / 12
    c = xy / many - x1 * y1 / many**2
    gap = np.sqrt((a - b) ** 2 + 4 * c**2)
    eccentricity = np.sqrt(np.clip(2 * gap / (a + b + gap), 0, 1))
    irregularity = 1 - 4 * np.pi * many / np.maximum(crofton_perimeter(mask), 1) ** 2
    return many * STEP_UM**2, eccentricity, irregularity


def crofton_perimeter(mask: Mask) -> Float64Array:
    """(M, S, S) masks => (M,) length of their outlines, in samples.

    Cauchy-Crofton in four directions: L = pi / 8 * sum of crossings times the spacing of the lines,
    which is 1 along the axes and 1/sqrt(2) along the diagonals. Masks must not touch the window's
    border.
    """
    crossings = [
        (one ^ other).sum(axis=(1, 2)) * spacing
        for one, other, spacing in (
            (mask[:, 1:], mask[:, :-1], 1.0),
            (mask[:, :, 1:], mask[:, :, :-1], 1.0),
            (mask[:, 1:, 1:], mask[:, :-1, :-1], np.sqrt(0.5)),
            (mask[:, 1:, :-1], mask[:, :-1, 1:], np.sqrt(0.5)),
        )
    ]
    return np.asarray(np.pi / 8 * np.sum(crossings, axis=0), np.float64)


def chromatin_of(masks: Masks) -> tuple[Float64Array, Float64Array, Float64Array, Float64Array]:
    """Mean density, its spread, mean slope (per um) and roughness at `LAG_UM` of each nucleus,
    (M,) each.
    """
    if not len(masks.mask):
        return (np.zeros(0),) * 4
    density = masks.density
    mask = masks.mask
    core = np.asarray(ndimage.binary_erosion(mask, FLAT, iterations=round(RIM_UM / STEP_UM)))
    core |= mask & ~np.asarray(core.any(axis=(1, 2)))[:, None, None]
    mean, variance = _moments(density, mask)
    _, core_variance = _moments(density, core)
    one = round(RIM_UM / STEP_UM)
    across = np.zeros_like(density)
    down = np.zeros_like(density)
    across[:, :, one:-one] = density[:, :, 2 * one :] - density[:, :, : -2 * one]
    down[:, one:-one] = density[:, 2 * one :] - density[:, : -2 * one]
    slope, _ = _moments(np.hypot(across, down) / (2 * one * STEP_UM), core)
    lag = round(LAG_UM / STEP_UM)
    squares = np.zeros(len(mask))
    pairs = np.zeros(len(mask))
    for first, second in (
        (np.s_[:, lag:], np.s_[:, :-lag]),
        (np.s_[:, :, lag:], np.s_[:, :, :-lag]),
    ):
        both = core[first] & core[second]
        squares += np.where(both, (density[first] - density[second]) ** 2, 0).sum(axis=(1, 2))
        pairs += both.sum(axis=(1, 2))
    # contrast of the co-occurrence matrix (Haralick 1973, f2) in units of twice the variance: 1 -
    # correlation
    roughness = squares / np.maximum(pairs, 1) / np.maximum(2 * core_variance, 1e-9)
    return mean, np.sqrt(variance), slope, roughness


def _moments(values: NDArray[np.floating], inside: Mask) -> tuple[Float64Array, Float64Array]:
    """Mean and variance of (M, S, S) values inside, (M,) each."""
    many = np.maximum(inside.sum(axis=(1, 2)), 1)
    within = np.where(inside, values, 0)
    mean = within.sum(axis=(1, 2), dtype=np.float64) / many
    square = np.einsum("nij,nij->n", within, within, dtype=np.float64) / many
    return mean, np.maximum(square - mean**2, 0)


def fine_power(density: NDArray[np.float32], xy: NDArray[np.float32], mpp: float) -> Float64Array:
    """Log10 of the share of spectral power finer than `FINE_PER_UM` around each place.

    Args:
        density: (H, W) haematoxylin at the tile's own pixels: nothing is resampled, which would
            smooth.
        xy: (N, 2) places, pixels.
        mpp: um per pixel; from about 1.6 on a tile holds no such detail, and the share is the
            least.
    """
    half = max(round(WINDOW_UM / mpp / 2), 2)
    offset = np.arange(-half, half)
    height, width = density.shape
    # reflected at the border, where the window sees little
    across, down = (
        _reflected(np.rint(xy[:, axis, None]).astype(np.intp) + offset, side)
        for axis, side in ((0, width), (1, height))
    )
    patch = density[down[:, :, None], across[:, None, :]].astype(np.float64)
    line = np.hanning(2 * half + 1)[:-1]
    window = np.outer(line, line)
    level = (patch * window).sum(axis=(1, 2), keepdims=True) / window.sum()
    power = np.abs(np.fft.fft2((patch - level) * window)) ** 2
    cycles = np.fft.fftfreq(2 * half, mpp)
    fine = np.hypot(cycles[:, None], cycles) > FINE_PER_UM
    share = power[:, fine].sum(axis=1) / np.maximum(power.sum(axis=(1, 2)), 1e-12)
    return np.asarray(np.log10(np.maximum(share, LEAST_SHARE)), np.float64)


def _reflected(index: NDArray[np.intp], side: int) -> NDArray[np.intp]:
    folded = np.mod(index, 2 * side)
    return np.asarray(np.minimum(folded, 2 * side - 1 - folded))
