"""Tiles with marked nuclei to a model of their layouts.

Densities: the quantiles of a kernel estimate in all cells of all tiles. Fields: the covariances of
its normal scores, by distance. Forces: iterative Boltzmann inversion (Reith et al. 2003) of the
distances of pairs, in densities drawn from the model: in those of the tiles themselves, which hold
the noise of their own nuclei, forces of long reach come out that drawn densities do not need.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import ndimage, special, stats
from scipy.spatial import cKDTree

from ...core.arrays import Float64Array, IndexArray
from ...core.nuclei import Nuclei
from .drawing import inside_of, outer_surface
from .model import CELL_UM, STEP_UM, LayoutModel
from .points import Points, grid_shape, move, scatter

SCALES_UM = (20.0, 60.0, 180.0)
FORCE_REACH_UM = 24.0
QUANTILES = 41
ROUNDS = 12
_KERNEL_UM = 20.0
"""Standard deviation of the kernel that estimates densities."""
_FIRST_SWEEPS = 15
_SWEEPS = 6
"""Moves of each nucleus in a round; the next round goes on from there."""
_DAMPING = 0.6
"""Share of a correction that is made."""
_MAX_ENERGY = 6.0
_DIGITS = 4
_UM2_PER_MM2 = 1e6


def fit_layouts(
    tiles: Sequence[Nuclei],
    *,
    seed: int = 0,
    about: str = "",
    rounds: int = ROUNDS,
) -> LayoutModel:
    """The model of these tiles' layouts.

    Args:
        tiles: nuclei of the same classes, at any scale; those of class `any` do not count.
        seed: source of all randomness.
        about: what the tiles are, for people.
        rounds: corrections of the forces.
    """
    random = np.random.default_rng(seed)
    classes = tiles[0].classes
    real = [points_of(tile) for tile in tiles]
    windows = [window_of(tile) for tile in tiles]
    fields = []
    for points, window in zip(
        real,
        windows,
        strict=True,
    ):
        fields.append(
            _estimated(
                points,
                window,
                len(classes),
            )
        )
    bins = int(FORCE_REACH_UM / STEP_UM)
    model = LayoutModel(
        classes,
        _quantiles(fields).round(1),
        np.array(SCALES_UM),
        _fit_mixing(fields).round(6),
        np.zeros((len(classes), len(classes), bins)),
        about,
    )
    forces = _fit_forces(
        model,
        real,
        windows,
        random,
        rounds,
    )
    return replace(
        model,
        forces=forces.round(_DIGITS),
    )


def points_of(tile: Nuclei) -> Points:
    """The nuclei of a tile that have a class, in um from its corner."""
    is_known = tile.class_ids < len(tile.classes)
    xy = (tile.xy[is_known].astype(np.float64) + 0.5) * tile.mpp
    return Points(
        xy,
        tile.class_ids[is_known].astype(np.intp),
    )


def window_of(tile: Nuclei) -> tuple[float, float]:
    """Width and height of a tile, um."""
    return tile.size.width * tile.mpp, tile.size.height * tile.mpp


def _estimated(
    points: Points,
    window: tuple[float, float],
    classes: int,
) -> Float64Array:
    """(K, rows, columns) nuclei per mm2 by a Gaussian kernel, corrected for the window's border."""
    shape = grid_shape(window)
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


def _quantiles(fields: Sequence[Float64Array]) -> Float64Array:
    """(K, Q) densities at evenly spaced probabilities over all cells."""
    cells = np.concatenate(
        [
            field.reshape(
                len(field),
                -1,
            )
            for field in fields
        ],
        axis=1,
    )
    knots = np.linspace(
        0,
        1,
        QUANTILES,
    )
    return np.asarray(
        np.quantile(
            cells,
            knots,
            axis=1,
        ).T
    )


def _fit_mixing(fields: Sequence[Float64Array]) -> Float64Array:
    """(S, K, K) covariances at each scale, so that their sum follows those of the normal scores."""
    lags = np.arange(
        0,
        2 * int(SCALES_UM[-1]) // int(CELL_UM),
    )
    found = _covariances(
        _normal_scores(fields),
        lags,
    )
    distances = lags * CELL_UM
    # white noise under a Gaussian kernel has this correlation
    shapes = np.exp(-np.square(distances[:, None] / np.array(SCALES_UM)) / 4)
    usable = np.isfinite(found).all(axis=(1, 2))
    shapes = shapes[usable]
    found = found[usable]
    mixing = np.stack([np.eye(found.shape[1]) / len(SCALES_UM)] * len(SCALES_UM))
    rate = (
        1
        / np.linalg.norm(
            shapes,
            2,
        )
        ** 2
    )
    for _ in range(4000):
        error = (
            np.tensordot(
                shapes,
                mixing,
                1,
            )
            - found
        )
        mixing = mixing - rate * np.tensordot(
            shapes.T,
            error,
            1,
        )
        mixing = np.stack([_nearest_covariance(each) for each in mixing])
    deviation = np.sqrt(np.diagonal(mixing.sum(axis=0)))
    return np.asarray(mixing / deviation[:, None] / deviation)


def _nearest_covariance(matrix: Float64Array) -> Float64Array:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    nearest: Float64Array = (vectors * values.clip(0)) @ vectors.T
    return nearest


def _normal_scores(fields: Sequence[Float64Array]) -> list[Float64Array]:
    """Each density as the normal quantile of its rank among all cells of its class."""
    cells = np.concatenate(
        [
            field.reshape(
                len(field),
                -1,
            )
            for field in fields
        ],
        axis=1,
    )
    ranks = stats.rankdata(
        cells,
        axis=1,
    )
    scores = special.ndtri((ranks - 0.5) / ranks.shape[1])
    ends = np.cumsum([field[0].size for field in fields])
    parts = np.split(
        scores,
        ends[:-1],
        axis=1,
    )
    return [
        part.reshape(field.shape)
        for part, field in zip(
            parts,
            fields,
            strict=True,
        )
    ]


def _covariances(scores: Sequence[Float64Array], lags: IndexArray) -> Float64Array:
    """(L, K, K) mean products of scores at so many cells apart, across and down; nan: no pair."""
    classes = len(scores[0])
    sums = np.zeros((len(lags), classes, classes))
    counts = np.zeros(len(lags))
    for field in scores:
        for turned in (
            field,
            field.transpose(
                0,
                2,
                1,
            ),
        ):
            for index, lag in enumerate(lags):
                first = turned[:, :, : turned.shape[2] - lag].reshape(
                    classes,
                    -1,
                )
                second = turned[:, :, lag:].reshape(
                    classes,
                    -1,
                )
                if first.shape[1] == second.shape[1]:
                    product = first @ second.T
                    sums[index] += (product + product.T) / 2
                    counts[index] += first.shape[1]
    enough = np.where(
        counts > 0,
        counts,
        np.nan,
    )
    return np.asarray(sums / enough[:, None, None])


def _fit_forces(
    model: LayoutModel,
    real: Sequence[Points],
    windows: Sequence[tuple[float, float]],
    random: np.random.Generator,
    rounds: int,
) -> Float64Array:
    """(K, K, R) energies with which pairs of drawn nuclei are as far apart as real ones."""
    classes = len(model.classes)
    wanted = _pair_ratios(
        real,
        windows,
        model.forces.shape,
    )
    drawn = []
    surfaces = []
    for window in windows:
        surface = outer_surface(
            model,
            window,
            random,
        )
        counts = random.poisson(surface.expected())
        surfaces.append(surface)
        drawn.append(
            scatter(
                surface,
                counts,
                random,
            )
        )
    forces = np.zeros((classes, classes, model.forces.shape[2]))
    for number in range(rounds):
        inner = [
            inside_of(
                points,
                model,
                window,
            )
            for points, window in zip(
                drawn,
                windows,
                strict=True,
            )
        ]
        found = _pair_ratios(
            inner,
            windows,
            forces.shape,
        )
        share = _DAMPING if number else 1.0
        forces = forces + share * np.log(found / wanted)
        forces = forces.clip(
            -_MAX_ENERGY,
            _MAX_ENERGY,
        )
        sweeps = _SWEEPS if number else _FIRST_SWEEPS
        for points, surface in zip(
            drawn,
            surfaces,
            strict=True,
        ):
            move(
                points,
                surface,
                forces,
                random,
                sweeps=sweeps,
            )
    return forces


def _pair_ratios(
    sets: Sequence[Points],
    windows: Sequence[tuple[float, float]],
    shape: tuple[int, ...],
) -> Float64Array:
    """(K, K, R) numbers of pairs in each bin of distance, over those of nuclei without order.

    Half a pair is added, so that none is no infinite force.
    """
    classes, _, bins = shape
    counts = np.full(
        shape,
        0.5,
    )
    products = np.zeros((classes, classes))
    for points, window in zip(
        sets,
        windows,
        strict=True,
    ):
        numbers = np.bincount(
            points.class_ids,
            minlength=classes,
        )
        products += np.outer(
            numbers,
            numbers,
        ) / (window[0] * window[1])
        if len(points.xy) < 2:
            continue
        tree = cKDTree(points.xy)
        first, second = tree.query_pairs(
            bins * STEP_UM,
            output_type="ndarray",
        ).T
        gaps = np.linalg.norm(
            points.xy[first] - points.xy[second],
            axis=1,
        )
        bin_ids = np.minimum(
            gaps / STEP_UM,
            bins - 1,
        ).astype(np.intp)
        one = points.class_ids[first]
        other = points.class_ids[second]
        np.add.at(
            counts,
            (one, other, bin_ids),
            1,
        )
        np.add.at(
            counts,
            (other, one, bin_ids),
            1,
        )
    return np.asarray(counts / products[:, :, None].clip(1e-9))
