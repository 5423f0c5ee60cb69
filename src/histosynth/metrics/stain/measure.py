"""What is measured of the stain of one tile."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ...core.tile import Pixels
from ...tissue.appearance import is_tissue
from ...tissue.density import optical_density
from ..dyes import blurred_light, dyes_of, has_own_directions, unit_rows


def measure_stain(pixels: Pixels, mpp: float) -> dict[str, Float64Array]:
    """The stain of a tile, whatever its sharpness, noise and density of nuclei.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mpp: micrometres per pixel.

    Returns:
        * `stain/od_mean` (3,): mean optical density of tissue, red, green, blue, in [0, 5.5];
        * `stain/angles` (5,): azimuth and elevation of haematoxylin, then of eosin, and the angle
          between both, degrees. A dye is a direction in density space; azimuth turns from red (0)
          to green (90), elevation rises from their plane to blue (90);
        * `stain/doses` (2,): length of a full dose (99th percentile) of haematoxylin and of eosin;
        * `stain/tissue` (1,): share of pixels that are tissue.

        All are nan but the share where there is no tissue; angles also where two dyes cannot be
        distinguished.
    """
    light = blurred_light(pixels, mpp)
    density = optical_density(light)
    tissue = is_tissue(density)
    mean = np.full(3, np.nan)
    if tissue.any():
        inside = density[tissue]
        mean = np.asarray(inside.mean(axis=0, dtype=np.float64))
    angles = np.full(5, np.nan)
    doses = np.full(2, np.nan)
    dyes = dyes_of(light)
    if dyes is not None:
        doses = np.asarray(np.linalg.norm(dyes, axis=1))
        if has_own_directions(dyes):
            angles = _angles(dyes)
    tissue_share = tissue.mean()
    return {
        "stain/od_mean": mean,
        "stain/angles": angles,
        "stain/doses": doses,
        "stain/tissue": np.array([tissue_share]),
    }


def _angles(dyes: Float64Array) -> Float64Array:
    """(5,) as in `measure_stain`, of dyes (2, 3)."""
    directions = unit_rows(dyes)
    red, green, blue = directions.T
    azimuth = np.degrees(np.arctan2(green, red))
    height = np.clip(blue, -1, 1)
    elevation = np.degrees(np.arcsin(height))
    haematoxylin, eosin = directions
    cosine = np.clip(haematoxylin @ eosin, -1, 1)
    between = np.degrees(np.arccos(cosine))
    angles = [
        azimuth[0],
        elevation[0],
        azimuth[1],
        elevation[1],
        between,
    ]
    return np.array(angles)
