"""Random density fields: smooth Gaussian noise of several scales, with the densities of tissue."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator
from scipy import ndimage, special

from ...core.arrays import Float64Array
from .model import CELL_UM, LayoutModel

_TRUNCATE = 3.0
"""Standard deviations after which the smoothing kernel ends."""


def draw_field(
    model: LayoutModel,
    shape: tuple[int, int],
    random: Generator,
) -> Float64Array:
    """Densities of all classes on a grid of `CELL_UM`.

    Args:
        model: of the layouts.
        shape: rows and columns.
        random: source of all randomness.

    Returns:
        (K, rows, columns) nuclei per mm2.
    """
    scores = np.zeros((len(model.classes), *shape))
    for scale_um, covariance in zip(model.scales_um, model.mixing, strict=True):
        noise = np.stack([_smooth_noise(shape, scale_um, random) for _ in model.classes])
        root = _square_root(covariance)
        scores += np.tensordot(root, noise, 1)
    probabilities = special.ndtr(scores)
    knots = np.linspace(0, 1, model.densities.shape[1])
    fields = []
    for probability, densities in zip(probabilities, model.densities, strict=True):
        fields.append(np.interp(probability, knots, densities))
    return np.stack(fields)


def _smooth_noise(
    shape: tuple[int, int],
    scale_um: float,
    random: Generator,
) -> Float64Array:
    """Gaussian noise (rows, columns) of variance 1, smoothed by a Gaussian kernel."""
    sigma = scale_um / CELL_UM
    margin = int(_TRUNCATE * sigma + 0.5)
    rows, columns = shape
    white = random.standard_normal((rows + 2 * margin, columns + 2 * margin))
    smooth = ndimage.gaussian_filter(
        white,
        sigma,
        mode="constant",
        truncate=_TRUNCATE,
    )
    impulse = np.zeros(2 * margin + 1)
    impulse[margin] = 1.0
    kernel = ndimage.gaussian_filter1d(
        impulse,
        sigma,
        mode="constant",
        truncate=_TRUNCATE,
    )
    inside = smooth[margin : margin + rows, margin : margin + columns]
    return np.asarray(inside / np.square(kernel).sum())


def _square_root(covariance: Float64Array) -> Float64Array:
    """A matrix whose product with its transpose is a covariance (K, K), which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: Float64Array = vectors * np.sqrt(values.clip(0))
    return root
