"""A detector without training: dark blue round things, all of one class, `nucleus`.

Maxima of the Laplacian of Gaussian of red's optical density (Al-Kofahi et al. 2010 begin so too)
over a range of sizes. It knows nothing of classes, and takes pigment and mucin for nuclei where
they are dark; what it finds needs no weights, no torch, and no trust in how somebody trained
something.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..core.tile import Pixels
from ..tissue.density import optical_density
from .detector import DetectedNuclei

FLAT = 1e-3
"""Response by which a maximum stands out from what is around it, at least."""


class BlobDetector:
    """See `Detector`.

    Args:
        least: least response, optical density; pale stains need less.
    """

    name = "blobs 1"
    mpp = 0.5
    classes = ("nucleus",)
    halo_px = 32
    lattice_px = 1
    sigmas_px = (4.0, 6.0)
    """Of blobs about 6 and 8 um across at 0.5 um/px: a blob's radius is 1.4 sigma."""

    def __init__(self, least: float = 0.13) -> None:
        self.least = least

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture at 0.5 um/px."""
        density = optical_density(pixels)
        # eosin takes almost no red; what it takes is in proportion to green, and is left out
        blue = np.maximum(density[..., 0] - 0.2 * density[..., 1], 0)
        response = np.full(blue.shape, -np.inf, np.float32)
        for sigma in self.sigmas_px:
            layer = -(sigma**2) * np.asarray(ndimage.gaussian_laplace(blue, sigma, truncate=3.0))
            np.maximum(response, layer, out=response)
        top = np.asarray(ndimage.maximum_filter(response, size=9)) == response
        # the filter's weights do not quite add up to 0: what is evenly black responds, all of it
        # alike
        peak = response > np.asarray(ndimage.minimum_filter(response, size=9)) + FLAT
        y, x = np.nonzero(top & peak & (response > self.least))
        xy = np.stack([x, y], axis=1).astype(np.float32)
        score = np.clip(response[y, x] / (response[y, x] + self.least), 0, 1)
        return DetectedNuclei(xy, np.zeros(len(xy), np.uint8), score.astype(np.float32))
