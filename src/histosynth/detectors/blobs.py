"""A detector without training: dark blue round spots, all of one class, `nucleus`.

Nuclei are maxima of the Laplacian of Gaussian of red's optical density over a range of sizes
(Al-Kofahi et al. 2010 begin in the same way). It distinguishes no classes, and takes pigment and
mucin for nuclei where they are dark; but it needs no weights and no torch, and its results do not
depend on any training.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.tile import Pixels
from ..tissue.density import optical_density
from .detector import DetectedNuclei

_EOSIN_RED_PER_GREEN = 0.2
"""Eosin absorbs little red: this share of what it absorbs of green."""
_NEIGHBOURHOOD_PX = 9
_MIN_CONTRAST = 1e-3
"""A maximum must exceed the lowest response around it by this."""


class BlobDetector:
    """See `Detector`.

    Args:
        min_response: least response, optical density; pale stains need less.
    """

    name = "blobs 1"
    mpp = 0.5
    classes = ("nucleus",)
    halo_px = 32
    lattice_px = 1
    sigmas_px = (4.0, 6.0)
    """Of blobs about 6 and 8 um across at 0.5 um/px: a blob's radius is 1.4 sigma."""

    def __init__(self, min_response: float = 0.13) -> None:
        self.min_response = min_response

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture at 0.5 um/px."""
        response = self._response(pixels)
        highest = np.asarray(ndimage.maximum_filter(response, size=_NEIGHBOURHOOD_PX))
        lowest = np.asarray(ndimage.minimum_filter(response, size=_NEIGHBOURHOOD_PX))
        is_maximum = highest == response
        # the filter's weights do not quite add up to 0: an evenly black area responds everywhere
        stands_out = response > lowest + _MIN_CONTRAST
        y, x = np.nonzero(is_maximum & stands_out & (response > self.min_response))
        xy = np.stack([x, y], axis=1).astype(np.float32)
        peak = response[y, x]
        score = np.clip(
            peak / (peak + self.min_response),
            0,
            1,
        )
        return DetectedNuclei(
            xy,
            np.zeros(len(xy), np.uint8),
            score.astype(np.float32),
        )

    def _response(self, pixels: Pixels) -> Float32Array:
        """(H, W): the largest scale-normalised response over all blob sizes."""
        density = optical_density(pixels)
        blue = np.maximum(
            density[..., 0] - _EOSIN_RED_PER_GREEN * density[..., 1],
            0,
        )
        response = np.full(
            blue.shape,
            -np.inf,
            np.float32,
        )
        for sigma in self.sigmas_px:
            filtered = np.asarray(ndimage.gaussian_laplace(blue, sigma, truncate=3.0))
            np.maximum(response, -(sigma**2) * filtered, out=response)
        return response
