"""A plain judge of structure: dark round things where nuclei were asked for, and which kind they
look like.

Blobs are maxima of the Laplacian of Gaussian of haematoxylin density; kinds are told by rings of
colour around a place, with linear discriminants fitted on real tiles. Simple enough to have no
opinion of its own about synthetic tissue; always read beside the same judge's score on real tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import linear_sum_assignment
from scipy.spatial import cKDTree

from ..core.arrays import Float64Array
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.tile import Pixels
from ..tissue.appearance import fit_stain_frame
from ..tissue.density import optical_density

REACH_PX = 14
RINGS = 7
MATCH_UM = 3.0


def find_blobs(pixels: Pixels, *, sigma_px: float = 3.0, least: float = 0.12) -> Float64Array:
    """Centres (N, 2) of haematoxylin blobs of a tile, x and y in pixels."""
    density = optical_density(fit_stain_frame(pixels).to_canonical(pixels))
    red = ndimage.gaussian_filter(density[..., 0].astype(np.float64), sigma_px / 2)
    response = -(sigma_px**2) * np.asarray(ndimage.gaussian_laplace(red, sigma_px))
    top = np.asarray(ndimage.maximum_filter(response, size=7)) == response
    y, x = np.nonzero(top & (response > least))
    return np.stack([x, y], axis=1).astype(np.float64)


def found_share(pixels: Pixels, nuclei: Nuclei) -> tuple[int, int]:
    """(nuclei with a blob within 3 um, one blob each; nuclei asked for)."""
    blobs = find_blobs(pixels)
    if not len(blobs) or not len(nuclei):
        return 0, len(nuclei)
    gaps = np.linalg.norm(nuclei.xy[:, None].astype(np.float64) - blobs[None], axis=2)
    reach = MATCH_UM / nuclei.mpp
    rows, columns = linear_sum_assignment(np.minimum(gaps, 2 * reach))
    return int((gaps[rows, columns] <= reach).sum()), len(nuclei)


def ring_features(pixels: Pixels, nuclei: Nuclei) -> Float64Array:
    """(N, F) colour, spread and texture in rings around each nucleus, in canonical stain."""
    density = optical_density(fit_stain_frame(pixels).to_canonical(pixels)).astype(np.float64)
    edge = ndimage.gaussian_gradient_magnitude(density[..., 0], 1.0)
    layers = np.dstack([density, edge, density[..., 0] ** 2])
    padded = np.pad(
        layers,
        ((REACH_PX, REACH_PX), (REACH_PX, REACH_PX), (0, 0)),
        mode="reflect",
    )
    rows, columns = np.mgrid[-REACH_PX : REACH_PX + 1, -REACH_PX : REACH_PX + 1]
    ring = np.minimum((np.hypot(rows, columns) / 2).astype(int), RINGS)
    weights = np.stack([(ring == r) / max((ring == r).sum(), 1) for r in range(RINGS)])
    side = 2 * REACH_PX + 1
    out = []
    for x, y in nuclei.xy.round().astype(int):
        patch = padded[y : y + side, x : x + side]
        rings = np.tensordot(weights, patch, axes=([1, 2], [0, 1]))
        red = patch[..., 0] * (ring < 5)
        moments = np.cov(np.stack([rows.ravel(), columns.ravel()]), aweights=red.ravel() + 1e-6)
        long, short = np.sqrt(np.linalg.eigvalsh(moments)[::-1])
        out.append(np.concatenate([rings.ravel(), [long, short, long / short]]))
    return np.array(out).reshape(len(nuclei), RINGS * 5 + 3)


@dataclass(frozen=True, eq=False)
class RingClassifier:
    """Linear discriminants with equal priors: which kind a place looks like."""

    mean: Float64Array
    std: Float64Array
    weights: Float64Array
    offsets: Float64Array

    @classmethod
    def fit(cls, tiles: Sequence[tuple[Pixels, Nuclei]]) -> RingClassifier:
        """Fit on real tiles with their centroids."""
        told = [(pixels, nuclei.where(nuclei.class_ids != ANY_CLASS)) for pixels, nuclei in tiles]
        features = np.concatenate([ring_features(pixels, nuclei) for pixels, nuclei in told])
        classes = np.concatenate([nuclei.class_ids for _, nuclei in told])
        mean = features.mean(0)
        std = features.std(0) + 1e-6
        scaled = (features - mean) / std
        centres = np.stack([scaled[classes == k].mean(0) for k in range(int(classes.max()) + 1)])
        spread = np.cov((scaled - centres[classes]).T) + 0.05 * np.eye(scaled.shape[1])
        weights = np.linalg.solve(spread, centres.T)
        return cls(mean, std, weights, -0.5 * (centres * weights.T).sum(1))

    def __call__(self, pixels: Pixels, nuclei: Nuclei) -> NDArray[np.intp]:
        """(N,) the kind each place looks like."""
        scaled = (ring_features(pixels, nuclei) - self.mean) / self.std
        return np.asarray((scaled @ self.weights + self.offsets).argmax(axis=1))


def nearest(first: Float64Array, second: Float64Array) -> tuple[Float64Array, NDArray[np.intp]]:
    """Distance of each row of `first` to its nearest row of `second`, (N,), and which row it is,
    (N,).
    """
    distances, rows = cKDTree(second).query(first)
    return np.asarray(distances), np.asarray(rows)
