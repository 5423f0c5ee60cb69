"""Classifies nuclei by rings of colour around their centroids, with linear discriminants.

It is fitted on real tiles and simple enough to have no bias of its own towards synthetic tissue.
Its accuracy is always compared with its accuracy on real tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.arrays import Float64Array, IndexArray
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.tile import Pixels
from ..tissue.appearance import fit_stain_frame
from ..tissue.density import optical_density

RING_REACH_PX = 14
"""From a centroid to the side of its patch."""
RINGS = 7
RING_WIDTH_PX = 2
NUCLEUS_RINGS = 5
"""Rings over which the shape of a nucleus is measured."""
SHRINKAGE = 0.05
"""Added to the diagonal of the pooled covariance of standardised features."""


def ring_features(pixels: Pixels, nuclei: Nuclei) -> Float64Array:
    """(N, F) colour, spread and texture in rings around each nucleus, in canonical stain."""
    padded = _padded_layers(pixels)
    offset = np.arange(-RING_REACH_PX, RING_REACH_PX + 1)
    rows, columns = np.meshgrid(offset, offset, indexing="ij")
    distance = np.hypot(rows, columns)
    ring = (distance / RING_WIDTH_PX).astype(int)
    ring = np.minimum(ring, RINGS)
    weights = _ring_weights(ring)
    coordinates = np.stack([rows.ravel(), columns.ravel()])
    side = 2 * RING_REACH_PX + 1
    features = []
    for x, y in nuclei.xy.round().astype(int):
        patch = padded[y : y + side, x : x + side]
        ring_means = np.tensordot(
            weights,
            patch,
            axes=([1, 2], [0, 1]),
        )
        red = patch[..., 0] * (ring < NUCLEUS_RINGS)
        moments = np.cov(coordinates, aweights=red.ravel() + 1e-6)
        eigenvalues = np.linalg.eigvalsh(moments)
        short_axis, long_axis = np.sqrt(eigenvalues)
        shape = [
            long_axis,
            short_axis,
            long_axis / short_axis,
        ]
        features.append(np.concatenate([ring_means.ravel(), shape]))
    return np.array(features).reshape(len(nuclei), RINGS * 5 + 3)


def _ring_weights(ring: IndexArray) -> Float64Array:
    """(R, S, S) weights of the mean over each ring, from the ring (S, S) of each pixel."""
    weights = []
    for index in range(RINGS):
        inside = ring == index
        pixels = max(inside.sum(), 1)
        weights.append(inside / pixels)
    return np.stack(weights)


def _padded_layers(pixels: Pixels) -> Float64Array:
    """(H + 2 R, W + 2 R, 5) density, its gradient and its square, mirrored by R = RING_REACH_PX."""
    canonical = fit_stain_frame(pixels).to_canonical(pixels)
    density = optical_density(canonical).astype(np.float64)
    red = density[..., 0]
    gradient = ndimage.gaussian_gradient_magnitude(red, 1.0)
    layers = np.dstack([density, gradient, red**2])
    reach = (RING_REACH_PX, RING_REACH_PX)
    return np.pad(
        layers,
        (reach, reach, (0, 0)),
        mode="reflect",
    )


@dataclass(frozen=True, eq=False)
class RingClassifier:
    """Linear discriminants with equal priors.

    Attributes:
        mean: (F,) of the features.
        std: (F,) of the features.
        weights: (F, K) of standardised features.
        offsets: (K,) of the classes.
    """

    mean: Float64Array
    std: Float64Array
    weights: Float64Array
    offsets: Float64Array

    @classmethod
    def fit(cls, tiles: Sequence[tuple[Pixels, Nuclei]]) -> RingClassifier:
        """Fit on real tiles with their nuclei; those without a class are left out.

        Raises:
            ValueError: there are fewer than 2 nuclei with a class, or a class has none.
        """
        tile_features = []
        tile_class_ids = []
        for pixels, nuclei in tiles:
            classified = nuclei.where(nuclei.class_ids != ANY_CLASS)
            tile_features.append(ring_features(pixels, classified))
            tile_class_ids.append(classified.class_ids)
        features = np.concatenate(tile_features)
        class_ids = np.concatenate(tile_class_ids).astype(np.intp)
        counts = np.bincount(class_ids)
        if len(class_ids) < 2 or not counts.all():
            raise ValueError(f"nuclei of each class: {counts.tolist()}; each takes 1, and all 2")
        mean = features.mean(0)
        std = features.std(0) + 1e-6
        scaled = (features - mean) / std
        class_means = []
        for class_id in range(int(class_ids.max()) + 1):
            of_class = scaled[class_ids == class_id]
            class_means.append(of_class.mean(0))
        centres = np.stack(class_means)
        residuals = scaled - centres[class_ids]
        within = np.cov(residuals.T)
        identity = np.eye(scaled.shape[1])
        covariance = within + SHRINKAGE * identity
        weights = np.linalg.solve(covariance, centres.T)
        norms = (centres * weights.T).sum(1)
        offsets = -0.5 * norms
        return cls(
            mean,
            std,
            weights,
            offsets,
        )

    def __call__(
        self,
        pixels: Pixels,
        nuclei: Nuclei,
    ) -> IndexArray:
        """(N,) class index of each place."""
        features = ring_features(pixels, nuclei)
        scaled = (features - self.mean) / self.std
        scores = scaled @ self.weights + self.offsets
        return np.asarray(scores.argmax(axis=1))
