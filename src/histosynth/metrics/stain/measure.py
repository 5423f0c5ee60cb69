"""What is measured of the stain of one tile."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...core.tile import Pixels
from ...tissue.appearance import is_tissue
from ...tissue.density import optical_density
from ..dyes import blurred_light, dyes_of, has_own_directions


def measure_stain(pixels: Pixels, mpp: float) -> dict[str, NDArray[np.float64]]:
    """What a tile is stained like, whatever its sharpness, noise and packing.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mpp: micrometres per pixel.

    Returns:
        `stain/od_mean` (3,): mean optical density of tissue, red, green, blue, in [0, 5.5].
        `stain/angles` (5,): azimuth and elevation of haematoxylin, then of eosin, and the angle
            between
        both, degrees. A dye is a direction in density space; azimuth turns from red (0) to green
        (90), elevation rises from their plane to blue (90).
        `stain/doses` (2,): length of a full dose (99th percentile) of haematoxylin and of eosin.
        `stain/tissue` (1,): share of pixels that are tissue.
        All nan but the share where there is no tissue; angles also where two dyes cannot be told
        apart.
    """
    light = blurred_light(pixels, mpp)
    density = optical_density(light)
    tissue = is_tissue(density)
    mean = density[tissue].mean(axis=0, dtype=np.float64) if tissue.any() else np.full(3, np.nan)
    dyes = dyes_of(light)
    return {
        "stain/od_mean": np.asarray(mean, np.float64),
        "stain/angles": _angles(dyes)
        if dyes is not None and has_own_directions(dyes)
        else np.full(5, np.nan),
        "stain/doses": np.full(2, np.nan) if dyes is None else np.linalg.norm(dyes, axis=1),
        "stain/tissue": np.array([tissue.mean()]),
    }


def _angles(dyes: NDArray[np.float64]) -> NDArray[np.float64]:
    ways = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    azimuth = np.degrees(np.arctan2(ways[:, 1], ways[:, 0]))
    elevation = np.degrees(np.arcsin(np.clip(ways[:, 2], -1, 1)))
    between = np.degrees(np.arccos(np.clip(ways[0] @ ways[1], -1, 1)))
    return np.array([azimuth[0], elevation[0], azimuth[1], elevation[1], between])
