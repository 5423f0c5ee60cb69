"""Distances between sets of feature vectors. They know nothing of images or encoders."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Features = NDArray[np.float64]


def frechet_distance(first: Features, second: Features) -> float:
    """Squared Frechet distance of two Gaussians fitted to features (N, D) and (M, D) (Heusel et al. 2017).

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)). The trace of the root is the sum of singular values of
    A B^T, with A and B the centred, scaled features (or their triangular factors, where there are more
    samples than dimensions): exact, and well behaved where there are fewer. Its bias grows as n falls:
    compare only at equal n, beside a floor.
    """
    means = first.mean(0), second.mean(0)
    roots = [(x - m) / np.sqrt(len(x) - 1) for x, m in zip((first, second), means, strict=True)]
    traces = sum(float((root**2).sum()) for root in roots)
    small = [
        linalg.qr(root, mode="r")[0][: root.shape[1]] if len(root) > root.shape[1] else root for root in roots
    ]
    cross = linalg.svdvals(small[0] @ small[1].T).sum()
    return float(((means[0] - means[1]) ** 2).sum() + traces - 2 * cross)


def kernel_distance(first: Features, second: Features) -> float:
    """Unbiased squared MMD with the kernel (x.y / D + 1)^3: KID (Binkowski et al. 2018). May be below 0."""

    def kernel(x: Features, y: Features) -> Features:
        return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)

    n, m = len(first), len(second)
    inside = kernel(first, first), kernel(second, second)
    within = (inside[0].sum() - np.trace(inside[0])) / (n * (n - 1))
    within += (inside[1].sum() - np.trace(inside[1])) / (m * (m - 1))
    return float(within - 2 * kernel(first, second).mean())
