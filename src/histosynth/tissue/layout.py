"""Plausible layouts: nests of epithelium in stroma, with lymphocytes gathering beside them.

A hard-core point process inside regions cut from smooth noise. Distances and densities are those
of the 21,780 hand-placed centroids of brca-m2c (5th and 50th percentile to the nearest nucleus,
um): epithelial 5.6 and 9.1, lymphocyte 4.5 and 6.5, stromal 3.9 and 8.2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from ..core.nuclei import Nuclei

CLASSES = ("epithelial", "lymphocyte", "stromal")
MIN_DISTANCE_UM = {
    "epithelial": 6.6,
    "lymphocyte": 4.9,
    "stromal": 6.0,
}
"""Least distance of a nucleus to the next."""
REGION_UM = 45.0
"""Correlation length of nests and gathering places."""


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
        Nuclei of the kinds epithelial, lymphocyte, stromal.
    """
    random = np.random.default_rng(seed)
    nests, gathering = _regions(random, size, mpp, epithelium, lymphocytes)
    density = {
        "epithelial": np.where(nests, 1e6, 0.0),  # as many as fit
        "lymphocyte": np.where(gathering & ~nests, 1e6, np.where(nests, 40.0, 120.0)),
        "stromal": np.where(nests, 60.0, np.where(gathering, 400.0, stroma_per_mm2)),
    }
    taken = np.zeros((0, 2))
    apart = np.zeros(0)
    names = []
    for class_name in CLASSES:
        points = _throw(
            random,
            density[class_name],
            mpp=mpp,
            apart_px=MIN_DISTANCE_UM[class_name] / mpp,
            taken=taken,
            apart=apart,
        )
        taken = np.concatenate([taken, points])
        apart = np.concatenate([apart, np.full(len(points), MIN_DISTANCE_UM[class_name] / mpp)])
        names += [class_name] * len(points)
    return Nuclei.of(
        taken,
        names,
        size=size,
        mpp=mpp,
        classes=CLASSES,
    )


def _regions(
    random: np.random.Generator,
    size: tuple[int, int],
    mpp: float,
    epithelium: float,
    lymphocytes: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    fields = [_field(random, size, REGION_UM / mpp) for _ in range(2)]
    nests = fields[0] > np.quantile(fields[0], 1 - np.clip(epithelium, 0, 1))
    rest = fields[1][~nests]
    bar = np.quantile(rest, 1 - np.clip(lymphocytes, 0, 1)) if rest.size else np.inf
    return nests, fields[1] > bar


def _field(
    random: np.random.Generator, size: tuple[int, int], length_px: float
) -> NDArray[np.float64]:
    """Smooth Gaussian noise (H, W) with a finer part, so that outlines are not round."""
    width, height = size
    field = np.zeros((height, width))
    for scale, weight in ((1.0, 1.0), (0.35, 0.35)):
        step = max(length_px * scale / 4, 1.0)
        coarse = random.normal(size=(int(height / step) + 4, int(width / step) + 4))
        smooth = ndimage.gaussian_filter(coarse, 2.0)
        rows, columns = np.mgrid[:height, :width] / step + 1
        layer = ndimage.map_coordinates(smooth, [rows, columns], order=1)
        field += weight * layer / (layer.std() + 1e-9)
    return field


def _throw(
    random: np.random.Generator,
    per_mm2: NDArray[np.float64],
    *,
    mpp: float,
    apart_px: float,
    taken: NDArray[np.float64],
    apart: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Darts that keep their distance from all thrown before (Matern's second hard-core process)."""
    height, width = per_mm2.shape
    # half again as many darts as a close packing holds
    most = 3 * width * height / (apart_px**2)
    darts = random.uniform(-0.5, [width - 0.5, height - 0.5], size=(int(most), 2))
    inside = per_mm2[
        np.clip(darts[:, 1].round().astype(int), 0, height - 1),
        np.clip(darts[:, 0].round().astype(int), 0, width - 1),
    ]
    expected = inside * (mpp / 1000) ** 2 * width * height / len(darts)
    darts = darts[random.random(len(darts)) < expected]
    reach = apart_px * random.uniform(1.0, 1.45, len(darts))  # nuclei differ in size
    if len(taken):
        gap, nearest = cKDTree(taken).query(darts)
        darts, reach = (each[gap > (reach + apart[nearest]) / 2] for each in (darts, reach))
    kept: list[int] = []
    tree = cKDTree(darts) if len(darts) else None
    free = np.ones(len(darts), bool)
    for index in range(len(darts)):
        if free[index] and tree is not None:
            kept.append(index)
            free[tree.query_ball_point(darts[index], reach[index])] = False
    return darts[kept]
