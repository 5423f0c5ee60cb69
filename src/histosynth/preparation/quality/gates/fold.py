"""Fold: dense in both dyes at once over more than a nucleus.

Two layers absorb twice. Crowded nuclei are dense in haematoxylin alone, thick collagen in eosin
alone, so the geometric mean of both, against the tile's own median, separates a fold from either.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ....core.arrays import Float32Array
from ....core.tile import Mask, Pixels
from ....tissue.augment import HED
from ....tissue.density import optical_density
from ..coarse import COARSE_PIXEL_UM, coarse_pixels
from ..gate import share_gate

_UNMIX = np.linalg.pinv(HED[:2])
"""Density to amounts of haematoxylin and eosin."""
_SMOOTH_UM = 8
_MIN_TISSUE_DENSITY = 0.1
_MIN_FOLD_TO_MEDIAN = 1.65
_MIN_FOLD_AMOUNT = 0.45


def measure_folds(pixels: Pixels, mpp: float) -> float:
    """Share in folds."""
    density = optical_density(coarse_pixels(pixels, mpp))
    dyes, tissue = smooth_dyes(density)
    both = both_dyes(dyes)
    median = float(np.median(both[tissue])) if tissue.any() else 0.0
    return float(is_folded(both, median).mean())


def smooth_dyes(density: Float32Array) -> tuple[Float32Array, Mask]:
    """Amounts of haematoxylin and eosin (H, W, 2), smoothed, and where tissue is (H, W).

    Args:
        density: (H, W, 3) optical density of pixels of `COARSE_PIXEL_UM`.
    """
    sigma = _SMOOTH_UM / COARSE_PIXEL_UM
    smooth = np.asarray(
        ndimage.gaussian_filter(
            density,
            (
                sigma,
                sigma,
                0,
            ),
        )
    )
    dyes = np.maximum(smooth @ _UNMIX, 0)
    return dyes, np.asarray(smooth[..., 1] > _MIN_TISSUE_DENSITY)


def both_dyes(dyes: Float32Array) -> Float32Array:
    """(H, W) how much of both dyes there is at once."""
    return np.asarray(np.sqrt(dyes[..., 0] * dyes[..., 1]))


def is_folded(both: Float32Array, median: Float32Array | float) -> Mask:
    """(H, W) bool: where there is so much of both dyes that tissue lies twice.

    Args:
        both: of `both_dyes`.
        median: what is usual in this tissue.
    """
    return np.asarray(both > np.maximum(_MIN_FOLD_TO_MEDIAN * median, _MIN_FOLD_AMOUNT))


FOLD = share_gate(
    "fold",
    measure_folds,
    0.15,
    "folds cover",
)
