"""Plausible layouts of nuclei: nests of epithelium in stroma, with lymphocytes that gather nearby.

A hard-core point process inside regions cut from smooth noise. Distances and densities are those
of the 21,780 hand-placed centroids of brca-m2c (5th and 50th percentile to the nearest nucleus,
um): epithelial 5.6 and 9.1, lymphocyte 4.5 and 6.5, stromal 3.9 and 8.2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.arrays import BoolArray, Float64Array
from ..core.nuclei import Nuclei
from ..core.units import um_to_px

LAYOUT_CLASSES = ("epithelial", "lymphocyte", "stromal")
MIN_DISTANCE_UM = {
    "epithelial": 6.6,
    "lymphocyte": 4.9,
    "stromal": 6.0,
}
"""Least distance of a nucleus to the next."""
REGION_UM = 45.0
"""Correlation length of nests and gatherings."""
_PACKED = 1e6
"""Nuclei per mm2 where as many are placed as fit."""
_MAX_SIZE_FACTOR = 1.45
"""Nuclei differ in size: each keeps its least distance times a factor from 1 to this."""


class _Regions(NamedTuple):
    """Where epithelium nests and where lymphocytes gather, (H, W) each."""

    nests: BoolArray
    gatherings: BoolArray


class _Placed(NamedTuple):
    """Nuclei placed already: (N, 2) coordinates, and the distance that each keeps, (N,) px."""

    xy: Float64Array
    reach_px: Float64Array


def draw_layout(
    size: tuple[int, int],
    *,
    mpp: float,
    seed: int,
    epithelium: float = 0.35,
    lymphocytes: float = 0.15,
    stroma_per_mm2: float = 2000.0,
) -> Nuclei:
    """Draw nuclei for a tile.

    Args:
        size: (width, height) in pixels.
        mpp: micrometres per pixel.
        seed: source of all randomness.
        epithelium: share of the tile's area inside epithelial nests, 0..1.
        lymphocytes: share of the remaining area where lymphocytes gather, 0..1.
        stroma_per_mm2: stromal nuclei per mm2 of the rest.

    Returns:
        Nuclei of the classes epithelial, lymphocyte, stromal.
    """
    random = np.random.default_rng(seed)
    regions = _draw_regions(
        random,
        size,
        mpp=mpp,
        epithelium=epithelium,
        lymphocytes=lymphocytes,
    )
    densities = _densities(regions, stroma_per_mm2)
    placed = _Placed(np.zeros((0, 2)), np.zeros(0))
    names: list[str] = []
    for class_name in LAYOUT_CLASSES:
        reach_px = um_to_px(MIN_DISTANCE_UM[class_name], mpp)
        points = _place_nuclei(
            random,
            densities[class_name],
            placed,
            mpp=mpp,
            reach_px=reach_px,
        )
        placed = _Placed(
            np.concatenate([placed.xy, points]),
            np.concatenate([placed.reach_px, np.full(len(points), reach_px)]),
        )
        names += [class_name] * len(points)
    return Nuclei.of(
        placed.xy,
        names,
        size=size,
        mpp=mpp,
        classes=LAYOUT_CLASSES,
    )


def _densities(
    regions: _Regions,
    stroma_per_mm2: float,
) -> dict[str, Float64Array]:
    """Nuclei per mm2 of each class at each pixel, (H, W)."""
    nests, gatherings = regions
    scattered = np.where(nests, 40.0, 120.0)
    stroma = np.where(gatherings, 400.0, stroma_per_mm2)
    return {
        "epithelial": np.where(nests, _PACKED, 0.0),
        "lymphocyte": np.where(
            gatherings & ~nests,
            _PACKED,
            scattered,
        ),
        "stromal": np.where(nests, 60.0, stroma),
    }


def _draw_regions(
    random: Generator,
    size: tuple[int, int],
    *,
    mpp: float,
    epithelium: float,
    lymphocytes: float,
) -> _Regions:
    length_px = um_to_px(REGION_UM, mpp)
    first = _smooth_noise(random, size, length_px)
    second = _smooth_noise(random, size, length_px)
    nests = first > np.quantile(first, 1 - np.clip(epithelium, 0, 1))
    rest = second[~nests]
    limit = np.float64(np.inf)
    if rest.size:
        limit = np.quantile(rest, 1 - np.clip(lymphocytes, 0, 1))
    return _Regions(nests, second > limit)


def _smooth_noise(
    random: Generator,
    size: tuple[int, int],
    length_px: float,
) -> Float64Array:
    """Smooth Gaussian noise (H, W) with a finer part, so that outlines are not round."""
    width, height = size
    noise = np.zeros((height, width))
    for scale, weight in ((1.0, 1.0), (0.35, 0.35)):
        step = max(length_px * scale / 4, 1.0)
        coarse_shape = (int(height / step) + 4, int(width / step) + 4)
        coarse = random.normal(size=coarse_shape)
        smooth = ndimage.gaussian_filter(coarse, 2.0)
        rows, columns = np.mgrid[:height, :width] / step + 1
        layer = ndimage.map_coordinates(
            smooth,
            [rows, columns],
            order=1,
        )
        noise += weight * layer / (layer.std() + 1e-9)
    return noise


def _place_nuclei(
    random: Generator,
    per_mm2: Float64Array,
    placed: _Placed,
    *,
    mpp: float,
    reach_px: float,
) -> Float64Array:
    """Points (N, 2) that keep their distance from each other and from all that are placed.

    Matern's second hard-core process: candidates in random order, each kept if none of the kept
    ones is within its reach.
    """
    candidates = _draw_candidates(random, per_mm2, mpp, reach_px)
    reach = reach_px * random.uniform(
        1.0,
        _MAX_SIZE_FACTOR,
        len(candidates),
    )
    if len(placed.xy):
        distance, nearest = cKDTree(placed.xy).query(candidates)
        free = distance > (reach + placed.reach_px[nearest]) / 2
        candidates = candidates[free]
        reach = reach[free]
    return candidates[_thin(candidates, reach)]


def _draw_candidates(
    random: Generator,
    per_mm2: Float64Array,
    mpp: float,
    reach_px: float,
) -> Float64Array:
    """Points (N, 2) of the given density, without regard to their distances."""
    height, width = per_mm2.shape
    # half again as many as a close packing holds
    count = int(3 * width * height / (reach_px**2))
    far_corner = [width - 0.5, height - 0.5]
    points = random.uniform(
        -0.5,
        far_corner,
        size=(count, 2),
    )
    columns = np.clip(
        points[:, 0].round().astype(int),
        0,
        width - 1,
    )
    rows = np.clip(
        points[:, 1].round().astype(int),
        0,
        height - 1,
    )
    chance = per_mm2[rows, columns] * (mpp / 1000) ** 2 * width * height / len(points)
    is_kept = random.random(len(points)) < chance
    return np.asarray(points[is_kept])


def _thin(
    points: Float64Array,
    reach: Float64Array,
) -> list[int]:
    """Indices of the points that stay: each removes the later ones within its reach."""
    kept: list[int] = []
    if not len(points):
        return kept
    tree = cKDTree(points)
    free = np.ones(len(points), bool)
    for index in range(len(points)):
        if not free[index]:
            continue
        kept.append(index)
        neighbours = tree.query_ball_point(points[index], reach[index])
        free[neighbours] = False
    return kept
