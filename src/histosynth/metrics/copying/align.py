"""Fits a place of training tissue to a window that may be a turned, enlarged or sheared copy of it.

Correlation pixel by pixel falls quickly when a copy is turned by 3 degrees or enlarged by 5 %,
though the tissue is the same. Angles and zooms are tried first; the best is refined to any affine
map by Gauss-Newton steps on the difference of both, up to gain and offset (Lucas & Kanade 1981).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core.arrays import Float32Array, Float64Array

ANGLES = (-9.0, -6.0, -3.0, 0.0, 3.0, 6.0, 9.0)
"""Angles that are tried, degrees."""
ZOOMS = (0.9, 0.95, 1.0, 1.05, 1.1)
"""Zooms that are tried."""
MAX_DEFORMATION = 0.3
"""A map that differs more from the identity, in any entry, has lost its way."""
MAX_SHIFT = 12.0
"""A shift by more samples likewise."""
_TRIED_SIGMA = 1.5
_REFINED_SIGMAS = (2.0, 1.0)
"""Both pictures are blurred by so much in each round, samples."""
_STEPS = 8
_MARGIN = 12
"""Samples of the source around the window that a map may reach; beyond them it is mirrored."""
_GRID_STEP = 2
"""Of the angles and zooms only every second sample is compared."""


@dataclass(frozen=True, eq=False)
class _Map:
    """An affine map of places in the window, from its middle, to the source.

    Attributes:
        matrix: (2, 2).
        shift: (2,) where the middle of the window lies in the source, samples.
    """

    matrix: Float64Array
    shift: Float64Array


def align(
    window: Float32Array,
    source: Float32Array,
    top: int,
    left: int,
) -> Float32Array:
    """(s, s) what a place of the source shows, mapped so that it is most like the window.

    Args:
        window: (s, s) density at 1 um/px, from `register.texture` or a part of it.
        source: (h, w) that of a training tile.
        top: first row of the place where the window was found without a map; the place lies inside.
        left: its first column.
    """
    side = len(window)
    nearby = _padded_part(source, top, left, side)
    wanted = window.astype(np.float64)
    unmoved = _Map(np.eye(2), _middle(nearby))
    best = _refined(nearby, wanted, _best_tried(nearby, wanted, unmoved.shift))
    found = _sampled(nearby, _places(side), best)
    as_it_is = _sampled(nearby, _places(side), unmoved)
    if correlation(as_it_is, wanted) >= correlation(found, wanted):
        found = as_it_is
    return np.asarray(found, np.float32)


def correlation(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Normalised correlation of two pictures of one size, in [-1, 1]; 0 where one has none."""
    centred = first - first.mean()
    other = second - second.mean()
    norm = math.sqrt(float((centred**2).sum() * (other**2).sum()))
    product_sum = float((centred * other).sum())
    return product_sum / norm if norm else 0.0


def _padded_part(
    source: Float32Array,
    top: int,
    left: int,
    side: int,
) -> Float64Array:
    """The place with a margin, mirrored where the source ends."""
    bottom = top + side + _MARGIN
    right = left + side + _MARGIN
    first_row = max(top - _MARGIN, 0)
    first_column = max(left - _MARGIN, 0)
    part = source[first_row:bottom, first_column:right].astype(np.float64)
    height, width = part.shape
    before_row = first_row - (top - _MARGIN)
    before_column = first_column - (left - _MARGIN)
    full = side + 2 * _MARGIN
    rows = (before_row, full - before_row - height)
    columns = (before_column, full - before_column - width)
    return np.pad(part, (rows, columns), mode="symmetric")


def _middle(nearby: Float64Array) -> Float64Array:
    return np.full(2, (len(nearby) - 1) / 2)


def _places(side: int, step: int = 1) -> Float64Array:
    """(2, n) rows and columns of samples, from the middle."""
    places = np.arange(0, side, step) - (side - 1) / 2
    rows, columns = np.meshgrid(places, places, indexing="ij")
    return np.stack([rows.ravel(), columns.ravel()])


def _sampled(
    picture: Float64Array,
    places: Float64Array,
    mapped: _Map,
) -> Float64Array:
    """(s, s) the picture at mapped places."""
    there = mapped.matrix @ places + mapped.shift[:, None]
    values = ndimage.map_coordinates(
        picture,
        there,
        order=1,
        mode="nearest",
    )
    side = math.isqrt(len(values))
    return np.asarray(values.reshape(side, side))


def _best_tried(
    nearby: Float64Array,
    wanted: Float64Array,
    shift: Float64Array,
) -> _Map:
    """The angle and zoom that are most alike."""
    blurred = ndimage.gaussian_filter(nearby, _TRIED_SIGMA)
    wanted_blurred = ndimage.gaussian_filter(wanted, _TRIED_SIGMA)
    sparse = wanted_blurred[::_GRID_STEP, ::_GRID_STEP]
    places = _places(len(wanted), _GRID_STEP)
    maps = [_Map(_turn(*each), shift) for each in product(ANGLES, ZOOMS)]
    scores = []
    for each in maps:
        found = _sampled(blurred, places, each)
        scores.append(correlation(found, sparse))
    return maps[int(np.argmax(scores))]


def _turn(angle: float, zoom: float) -> Float64Array:
    radians = math.radians(angle)
    cosine = zoom * math.cos(radians)
    sine = zoom * math.sin(radians)
    return np.array([[cosine, -sine], [sine, cosine]])


def _refined(
    nearby: Float64Array,
    wanted: Float64Array,
    start: _Map,
) -> _Map:
    """The best map found by steps from a start."""
    best = start
    for sigma in _REFINED_SIGMAS:
        blurred = ndimage.gaussian_filter(nearby, sigma)
        target = ndimage.gaussian_filter(wanted, sigma)
        best = _stepped(blurred, target, best)
    return best


def _stepped(
    picture: Float64Array,
    target: Float64Array,
    start: _Map,
) -> _Map:
    """The most alike map of all steps."""
    places = _places(len(target))
    slopes = [np.asarray(np.gradient(picture, axis=axis)) for axis in (0, 1)]
    middle = _middle(picture)
    current = start
    best = start
    highest = -math.inf
    for step in range(_STEPS + 1):
        found = _sampled(picture, places, current)
        score = correlation(found, target)
        if score > highest:
            best = current
            highest = score
        if step == _STEPS:
            break
        current = _one_step(
            found,
            target,
            [_sampled(slope, places, current) for slope in slopes],
            places,
            current,
        )
        if _is_lost(current, middle):
            break
    return best


def _one_step(
    found: Float64Array,
    target: Float64Array,
    slopes: list[Float64Array],
    places: Float64Array,
    current: _Map,
) -> _Map:
    """Least squares of: found + slopes * change = gain * target + offset."""
    rows, columns = places
    by_row, by_column = (slope.ravel() for slope in slopes)
    reach = float(np.abs(rows).max())
    # entries of the matrix are of another size than shifts: scaled for the solver
    design = np.stack(
        [
            by_row * rows / reach,
            by_row * columns / reach,
            by_column * rows / reach,
            by_column * columns / reach,
            by_row,
            by_column,
            -target.ravel(),
            -np.ones(target.size),
        ]
    )
    normal = design @ design.T
    right_side = -design @ found.ravel()
    change, *_ = np.linalg.lstsq(normal, right_side)
    matrix = change[:4].reshape(2, 2) / reach
    return _Map(current.matrix + matrix, current.shift + change[4:6])


def _is_lost(mapped: _Map, middle: Float64Array) -> bool:
    deformation = np.abs(mapped.matrix - np.eye(2)).max()
    shift = np.abs(mapped.shift - middle).max()
    return bool(deformation > MAX_DEFORMATION or shift > MAX_SHIFT)
