"""Tiles with marked nuclei to a model of their layouts.

Forces, densities and covariances of fields are corrected until tiles that the model draws show what
the tiles show, both measured in one way: distances of pairs up to 24 um by forces (iterative
Boltzmann inversion, Reith et al. 2003), those of 24 to 84 um by the covariances of the fields, and
kernel estimates of densities by quantiles and covariances. Tiles are drawn as slides are, other
ones in each round, and the last rounds are averaged (Polyak and Juditsky 1992). What a kernel
estimate adds to the densities that were drawn is known in each round, so that it does not count
which fields were drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from ...core.nuclei import MAX_PER_MM2, Nuclei
from .model import CELL_UM, STEP_UM, LayoutModel
from .tile_facts import LAGS, PAIR_BINS, FieldFacts, estimated_field, pair_ratios
from .tile_samples import Points, sample_tiles

SCALES_UM = (20.0, 60.0, 180.0)
FORCE_REACH_UM = 24.0
ROUNDS = 24
_AVERAGED = 8
"""Last rounds, of which the numbers are averaged."""
_AREA_MM2 = 12.0
"""Of the tiles that are drawn in a round."""
_MOST_TILES = 400
_MOST_SIDE_UM = 400.0
_FAR_BINS = 5
"""Bins of distance that are counted together beyond the reach of forces."""
_NEAR_LAGS = (6, 12)
"""Cells from which covariances follow kernel estimates more and more, not pairs of nuclei."""
_ENERGIES = (-2.0, 6.0)
_DIGITS = 4
_MIXING_STEPS = 2000
_Window = tuple[float, float]


@dataclass(frozen=True, eq=False)
class _Target:
    """What tiles show."""

    fields: FieldFacts
    pairs: Float64Array
    means: Float64Array
    side_cells: int


@dataclass(frozen=True, eq=False)
class _State:
    """Numbers that are corrected round by round."""

    quantiles: Float64Array
    covariances: Float64Array
    forces: Float64Array


def fit_layouts(
    tiles: Sequence[Nuclei],
    *,
    seed: int = 0,
    about: str = "",
    rounds: int | None = None,
) -> LayoutModel:
    """The model of these tiles' layouts.

    Args:
        tiles: nuclei of the same classes, at any scale; those of class `any` do not count.
        seed: source of all randomness.
        about: what the tiles are, for people.
        rounds: corrections of the model; None: `ROUNDS`.
    """
    rounds = ROUNDS if rounds is None else rounds
    classes = tiles[0].classes
    target = _target_of(tiles)
    bins = int(FORCE_REACH_UM / STEP_UM)
    state = _State(
        _with_means(target.fields.quantiles, target.means),
        target.fields.covariances,
        np.zeros((len(classes), len(classes), bins)),
    )
    states = [state]
    for number in range(rounds):
        model = _model_of(
            state,
            classes,
            about,
        )
        state = _corrected(
            state,
            model,
            target,
            _Round(seed, number, rounds),
        )
        states.append(state)
    last = states[-min(_AVERAGED, max(rounds // 3, 1)) :]
    mean = _State(
        np.mean([each.quantiles for each in last], axis=0),
        np.mean([each.covariances for each in last], axis=0),
        np.mean([each.forces for each in last], axis=0),
    )
    return _model_of(
        mean,
        classes,
        about,
    )


@dataclass(frozen=True)
class _Round:
    """One correction of several."""

    seed: int
    number: int
    rounds: int

    @property
    def share(self) -> float:
        """Of a correction that is made."""
        if self.number == 0:
            return 1.0
        if self.number < self.rounds / 2:
            return 0.6
        return 0.3

    @property
    def tile_seed(self) -> int:
        """Of the tiles that are drawn."""
        return self.seed * 100_003 + 7 * self.number + 1


def points_of(tile: Nuclei) -> Points:
    """The nuclei of a tile that have a class, in um from its corner."""
    is_known = tile.class_ids < len(tile.classes)
    xy = (tile.xy[is_known].astype(np.float64) + 0.5) * tile.mpp
    return Points(
        xy,
        tile.class_ids[is_known].astype(np.intp),
    )


def window_of(tile: Nuclei) -> _Window:
    """Width and height of a tile, um."""
    return tile.size.width * tile.mpp, tile.size.height * tile.mpp


def _target_of(tiles: Sequence[Nuclei]) -> _Target:
    classes = len(tiles[0].classes)
    points: list[Points] = []
    windows: list[_Window] = []
    for tile in tiles:
        for part, window in _pieces(points_of(tile), window_of(tile)):
            points.append(part)
            windows.append(window)
    fields = []
    counts = np.zeros(classes)
    area = 0.0
    for each, window in zip(
        points,
        windows,
        strict=True,
    ):
        fields.append(
            estimated_field(
                each,
                window,
                classes,
            )
        )
        counts += np.bincount(each.class_ids, minlength=classes)
        area += window[0] * window[1]
    side = float(np.median([min(window) for window in windows]))
    return _Target(
        FieldFacts.of(fields),
        pair_ratios(
            points,
            windows,
            classes,
        ),
        counts / area * 1e6,
        max(4, round(side / CELL_UM)),
    )


def _pieces(points: Points, window: _Window) -> list[tuple[Points, _Window]]:
    """A window in equal parts of `_MOST_SIDE_UM` a side at most."""
    columns, rows = (int(np.ceil(side / _MOST_SIDE_UM)) for side in window)
    width, height = window[0] / columns, window[1] / rows
    places = (points.xy // [width, height]).astype(np.intp)
    places = places.clip(0, [columns - 1, rows - 1])
    found = []
    for row in range(rows):
        for column in range(columns):
            is_in = (places == [column, row]).all(axis=1)
            corner = np.array([column * width, row * height])
            part = Points(points.xy[is_in] - corner, points.class_ids[is_in])
            found.append((part, (width, height)))
    return found


def _corrected(
    state: _State,
    model: LayoutModel,
    target: _Target,
    turn: _Round,
) -> _State:
    """The numbers after one round."""
    classes = len(model.classes)
    side_um = target.side_cells * CELL_UM
    count = min(_MOST_TILES, int(np.ceil(_AREA_MM2 * 1e6 / side_um**2)))
    drawn = sample_tiles(
        model,
        count,
        side_cells=target.side_cells,
        seed=turn.tile_seed,
    )
    windows = [(side_um, side_um)] * count
    pairs = pair_ratios(
        drawn.points,
        windows,
        classes,
    )
    reach = state.forces.shape[2]
    share = turn.share
    surplus = np.log(pairs[:, :, :reach] / target.pairs[:, :, :reach])
    forces = state.forces + share * (surplus + surplus.transpose(1, 0, 2)) / 2
    state = _State(
        state.quantiles,
        state.covariances,
        forces.clip(*_ENERGIES),
    )
    if turn.number == 0:
        return state
    estimated = [
        estimated_field(
            each,
            (side_um, side_um),
            classes,
        )
        for each in drawn.points
    ]
    found = FieldFacts.of(estimated)
    known = FieldFacts.of(drawn.fields)
    quantiles = target.fields.quantiles - (found.quantiles - known.quantiles)
    step = quantiles - state.quantiles
    lacking = target.fields.covariances - (found.covariances - known.covariances)
    by_fields = np.nan_to_num(lacking - state.covariances)
    weights = _near_weights()[:, None, None]
    by_pairs = _far_deficit(
        pairs,
        target.pairs,
        reach,
    )
    change = weights * by_pairs + (1 - weights) * by_fields
    covariances = state.covariances + share * change
    variances = np.arange(classes)
    covariances[0, variances, variances] = 1.0
    return _State(
        _with_means(state.quantiles + share * step, target.means),
        covariances,
        state.forces,
    )


def _near_weights() -> Float64Array:
    """(L,) how far covariances follow pairs of nuclei."""
    first, last = _NEAR_LAGS
    weights = (last - np.arange(LAGS)) / (last - first)
    return np.asarray(weights.clip(0, 1))


def _far_deficit(
    drawn: Float64Array,
    wanted: Float64Array,
    reach: int,
) -> Float64Array:
    """(L, K, K) logarithms of how many pairs are lacking, at distances beyond the forces."""
    classes = len(drawn)
    shape = (classes, classes, -1, _FAR_BINS)
    last = reach + (PAIR_BINS - reach) // _FAR_BINS * _FAR_BINS
    sums = []
    for ratios in (wanted, drawn):
        far = ratios[:, :, reach:last]
        sums.append(far.reshape(shape).sum(axis=3))
    lacking = np.log(sums[0] / sums[1])
    lacking = (lacking + lacking.transpose(1, 0, 2)) / 2
    middles = (np.arange(lacking.shape[2]) + 0.5) * _FAR_BINS + reach
    lags = np.arange(LAGS) * CELL_UM / STEP_UM
    out = np.zeros((LAGS, classes, classes))
    for one in range(classes):
        for other in range(classes):
            out[:, one, other] = np.interp(
                lags,
                middles,
                lacking[one, other],
            )
    return out


def _with_means(quantiles: Float64Array, means: Float64Array) -> Float64Array:
    """Ascending quantiles (K, Q) of which the means are `means` (K)."""
    ascending = np.maximum.accumulate(quantiles.clip(0), axis=1)
    middles = (ascending[:, 1:] + ascending[:, :-1]) / 2
    factors = means / middles.mean(axis=1).clip(1e-9)
    scaled = ascending * factors[:, None]
    return np.asarray(scaled.clip(0, MAX_PER_MM2))


def _model_of(
    state: _State,
    classes: tuple[str, ...],
    about: str,
) -> LayoutModel:
    forces = state.forces
    return LayoutModel(
        classes,
        state.quantiles.round(1),
        np.array(SCALES_UM),
        _mixing_of(state.covariances).round(6),
        forces.round(_DIGITS),
        about,
    )


def _mixing_of(found: Float64Array) -> Float64Array:
    """(S, K, K) covariances at each scale, so that their sum follows (L, K, K) `found`."""
    distances = np.arange(LAGS) * CELL_UM
    # white noise under a Gaussian kernel has this correlation
    shapes = np.exp(-np.square(distances[:, None] / np.array(SCALES_UM)) / 4)
    usable = np.isfinite(found).all(axis=(1, 2))
    shapes = shapes[usable]
    found = found[usable]
    mixing = np.stack([np.eye(found.shape[1]) / len(SCALES_UM)] * len(SCALES_UM))
    rate = 1 / np.linalg.norm(shapes, 2) ** 2
    for _ in range(_MIXING_STEPS):
        error = np.tensordot(shapes, mixing, 1) - found
        step = np.tensordot(shapes.T, error, 1)
        mixing = _nearest_covariances(mixing - rate * step)
    deviation = np.sqrt(np.diagonal(mixing.sum(axis=0)).clip(1e-12))
    return np.asarray(mixing / deviation[:, None] / deviation)


def _nearest_covariances(matrices: Float64Array) -> Float64Array:
    """(S, K, K) without negative eigenvalues."""
    turned = matrices.transpose(0, 2, 1)
    values, vectors = np.linalg.eigh((matrices + turned) / 2)
    scaled = vectors * values.clip(0)[:, None, :]
    return np.asarray(scaled @ vectors.transpose(0, 2, 1))
