"""What a model of layouts is fitted to: densities of tiles, their covariances, and distances of
pairs of nuclei.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage, special, stats
from scipy.spatial import cKDTree

from ...core.arrays import Float64Array, IndexArray
from .model import CELL_UM, STEP_UM
from .tile_samples import Points

QUANTILES = 41
LAGS = 24
"""Cells of `CELL_UM` over which covariances are measured."""
PAIR_BINS = 42
"""Bins of `STEP_UM` in which distances of pairs are counted."""
_KERNEL_UM = 20.0
"""Standard deviation of the kernel that estimates densities."""
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True, eq=False)
class FieldFacts:
    """Of densities in cells.

    Attributes:
        quantiles: (K, Q) nuclei per mm2 at evenly spaced probabilities.
        covariances: (L, K, K) of normal scores at 0, 1, ... cells apart; nan: no pair of cells.
    """

    quantiles: Float64Array
    covariances: Float64Array

    @classmethod
    def of(cls, fields: Sequence[Float64Array]) -> FieldFacts:
        """Of the fields (K, rows, columns) of tiles."""
        return cls(
            _quantiles(fields),
            _covariances(_normal_scores(fields), np.arange(LAGS)),
        )


def estimated_field(
    points: Points,
    window: tuple[float, float],
    classes: int,
) -> Float64Array:
    """(K, rows, columns) nuclei per mm2 by a Gaussian kernel, corrected for the window's border."""
    width, height = window
    shape = int(np.ceil(height / CELL_UM)), int(np.ceil(width / CELL_UM))
    edges = [np.arange(length + 1) * CELL_UM for length in shape]
    sigma = _KERNEL_UM / CELL_UM
    covered = ndimage.gaussian_filter(
        np.ones(shape),
        sigma,
        mode="constant",
    )
    fields = []
    for class_id in range(classes):
        of_class = points.xy[points.class_ids == class_id]
        counts, _, _ = np.histogram2d(
            of_class[:, 1],
            of_class[:, 0],
            bins=edges,
        )
        smooth = ndimage.gaussian_filter(
            counts,
            sigma,
            mode="constant",
        )
        fields.append(smooth / covered / CELL_UM**2 * _UM2_PER_MM2)
    return np.stack(fields)


def pair_ratios(
    tiles: Sequence[Points],
    windows: Sequence[tuple[float, float]],
    classes: int,
) -> Float64Array:
    """(K, K, B) numbers of pairs in bins of distance, over those of nuclei without order.

    Pairs are weighted for the window's border (Ohser and Stoyan 1981). Half a pair is added, so
    that none is no infinite force.
    """
    counts = np.full(
        classes * classes * PAIR_BINS,
        0.5,
    )
    products = np.zeros((classes, classes))
    for points, window in zip(
        tiles,
        windows,
        strict=True,
    ):
        numbers = np.bincount(points.class_ids, minlength=classes)
        products += np.outer(numbers, numbers) / (window[0] * window[1])
        if len(points.xy) > 1:
            counts += _pair_counts(
                points,
                window,
                classes,
            )
    found = counts.reshape(
        classes,
        classes,
        PAIR_BINS,
    )
    return np.asarray(found / products[:, :, None].clip(1e-9))


def _pair_counts(
    points: Points,
    window: tuple[float, float],
    classes: int,
) -> Float64Array:
    """(K * K * B) weights of the pairs of a tile, each in both orders."""
    width, height = window
    tree = cKDTree(points.xy)
    first, second = tree.query_pairs(
        PAIR_BINS * STEP_UM,
        output_type="ndarray",
    ).T
    gaps = np.abs(points.xy[first] - points.xy[second])
    overlap = (width - gaps[:, 0]) * (height - gaps[:, 1])
    weights = width * height / overlap.clip(1e-6)
    distances = np.hypot(gaps[:, 0], gaps[:, 1])
    bins = np.minimum(distances / STEP_UM, PAIR_BINS - 1).astype(np.intp)
    one = points.class_ids[first]
    other = points.class_ids[second]
    total = np.zeros(classes * classes * PAIR_BINS)
    for pair in (one * classes + other, other * classes + one):
        total += np.bincount(
            pair * PAIR_BINS + bins,
            weights,
            minlength=len(total),
        )
    return total


def _cells_of(fields: Sequence[Float64Array]) -> Float64Array:
    """(K, N) of all cells."""
    flat = [field.reshape(len(field), -1) for field in fields]
    return np.concatenate(flat, axis=1)


def _quantiles(fields: Sequence[Float64Array]) -> Float64Array:
    """(K, Q) densities at evenly spaced probabilities over all cells."""
    knots = np.linspace(
        0,
        1,
        QUANTILES,
    )
    found = np.quantile(
        _cells_of(fields),
        knots,
        axis=1,
    )
    return np.asarray(found.T)


def _normal_scores(fields: Sequence[Float64Array]) -> list[Float64Array]:
    """Each density as the normal quantile of its rank among all cells of its class."""
    ranks = stats.rankdata(
        _cells_of(fields),
        axis=1,
    )
    scores = special.ndtri((ranks - 0.5) / ranks.shape[1])
    ends = np.cumsum([field[0].size for field in fields])
    parts = np.split(
        scores,
        ends[:-1],
        axis=1,
    )
    found = []
    for part, field in zip(
        parts,
        fields,
        strict=True,
    ):
        found.append(part.reshape(field.shape))
    return found


def _covariances(scores: Sequence[Float64Array], lags: IndexArray) -> Float64Array:
    """(L, K, K) mean products of scores at so many cells apart, across and down; nan: no pair."""
    classes = len(scores[0])
    sums = np.zeros((len(lags), classes, classes))
    counts = np.zeros(len(lags))
    turned = [field.transpose(0, 2, 1) for field in scores]
    for field in (*scores, *turned):
        for index, lag in enumerate(lags):
            if lag >= field.shape[2]:
                continue
            first = field[:, :, : field.shape[2] - lag].reshape(classes, -1)
            second = field[:, :, lag:].reshape(classes, -1)
            product = first @ second.T
            sums[index] += (product + product.T) / 2
            counts[index] += first.shape[1]
    enough = np.where(counts > 0, counts, np.nan)
    return np.asarray(sums / enough[:, None, None])
