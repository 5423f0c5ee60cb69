"""What a section shows beyond half a millimetre: its outline on glass, regions, and glands.

Regions: a part of the variance of the longest field of the model moves to fields of 0.7 and 2.2 mm,
so that each class keeps its densities and their mixture. Glands: the one term of many bodies. A
lumen is where a smooth field exceeds a level, and epithelium is dense within some um of that curve
(the distance is the field's height over its slope, the first order of a level set's distance).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from .ground_fields import densities_of, score_fields
from .model import CELL_UM, LayoutModel
from .position_noise import Places, seed_for, smooth_noise

REGIONS_UM = (700.0, 2200.0)
_REGION_SHARES = (0.45, 0.25)
"""Of the variance of the longest field of the model."""
_OUTLINE = 1
_PIECES = 2
_GLAND_REGIONS = 3
_GLANDS = 4
_EDGES = 5
_LEAST_SLOPE = 0.3
_NOISE_UM = ((0.11, 0.36), (0.03, 0.10))
"""Scale as a share of the slide's shorter side, and height, of the outline's noise."""
_RAGGED_UM = ((150.0, 30.0), (35.0, 9.0))
"""Scale and height, both um, of the outline's finest noise."""
_MARGIN = 0.06
"""Of the shorter side: glass that surely lies around the tissue."""
_FALL_FROM = 0.24
"""Distance from the slide's edges, as a share of the shorter side, from which tissue recedes."""
_FALL = 0.4
_GLAND_UM = 27.0
"""Standard deviation of the kernel of the field that has lumina as its tops."""
_LUMEN_LEVEL = 1.35
_REGION_UM = 900.0
_REGION_LEVEL = 0.8
_GLAND_SLOPE = 4.0
_RING_FROM_UM = 3.0
_RING_TO_UM = 17.0
_RING_PER_MM2 = 9000.0
_RIM_UM = 5.0
"""Nuclei's centres stay so far from places without tissue."""
_GUARD_UM = 40.0
"""Distances to lumina are of first order only, and cut here."""


@dataclass(frozen=True)
class _Piece:
    """An ellipse of tissue, um."""

    x: float
    y: float
    radius_x: float
    radius_y: float


class SlideDensities:
    """Densities of a section: tissue on glass, regions, and glands around lumina."""

    def __init__(
        self,
        model: LayoutModel,
        seed: int,
        size_um: tuple[float, float],
    ) -> None:
        self._model = model
        self._seed = seed
        self._side = min(size_um)
        self._pieces = _pieces(seed, size_um)
        self._size = size_um
        scales, mixing = _with_regions(model)
        self._scales = scales
        self._mixing = mixing
        self._lining = lining_class(model.classes)

    def per_mm2(
        self,
        first: tuple[int, int],
        shape: tuple[int, int],
    ) -> Float64Array:
        """See `Densities`."""
        places = Places.of_cells(
            first,
            shape,
            CELL_UM,
        )
        scores = score_fields(
            self._model,
            self._scales,
            self._mixing,
            self._seed,
            places,
        )
        fields = densities_of(self._model, scores)
        into_glass = self._into_glass(places)
        depth = self._into_lumina(places, CELL_UM)
        if self._lining is not None:
            outside = -depth
            in_ring = _smooth_step(outside - _RING_FROM_UM, 2.0)
            in_ring *= _smooth_step(_RING_TO_UM - outside, 3.0)
            fields *= 1 - 0.9 * in_ring
            fields[self._lining] += _RING_PER_MM2 * in_ring
        fields *= np.maximum(into_glass, depth) < -_RIM_UM
        return fields

    def without_tissue(self, places: Places, *, step_um: float) -> Float64Array:
        """See `Densities`."""
        depth = self._into_lumina(places, step_um)
        return np.maximum(self._into_glass(places), depth)

    def _into_glass(self, places: Places) -> Float64Array:
        """(R, C) about um beyond the outline of the tissue; below 0: inside."""
        inside = np.full((len(places.y), len(places.x)), -np.inf)
        for piece in self._pieces:
            across = (places.x - piece.x) / piece.radius_x
            down = (places.y - piece.y) / piece.radius_y
            away = np.sqrt((across**2)[None] + (down**2)[:, None])
            radius = min(piece.radius_x, piece.radius_y)
            inside = np.maximum(inside, (1 - away) * radius)
        number = _OUTLINE * 100
        for share, height in _NOISE_UM:
            noise = self._noise(
                number,
                share * self._side,
                places,
            )
            inside += height * self._side * 0.3 * noise
            number += 1
        for scale_um, height_um in _RAGGED_UM:
            inside += height_um * self._noise(
                number,
                scale_um,
                places,
            )
            number += 1
        inside -= self._falling_off(places)
        return np.asarray(-np.minimum(inside, self._from_edges(places)))

    def _falling_off(self, places: Places) -> Float64Array:
        """(R, C) um by which tissue recedes toward the slide's edges, so that it is not cut there
        along a straight line.
        """
        total = np.zeros((len(places.y), len(places.x)))
        for near in self._near_edges(places):
            total += near * near
        return np.asarray(_FALL * self._side * total)

    def _near_edges(self, places: Places) -> tuple[Float64Array, Float64Array]:
        """(1, C) and (R, 1): 1 at the slide's edges, 0 from `_FALL_FROM` on."""
        width, height = self._size
        across = np.minimum(places.x, width - places.x)
        down = np.minimum(places.y, height - places.y)
        reach = _FALL_FROM * self._side
        near_x = (1 - across / reach).clip(0)
        near_y = (1 - down / reach).clip(0)
        return near_x[None], near_y[:, None]

    def _from_edges(self, places: Places) -> Float64Array:
        """(R, C) um from the glass that surely lies around the tissue, with an uneven rim."""
        width, height = self._size
        across = np.minimum(places.x, width - places.x)
        down = np.minimum(places.y, height - places.y)
        nearest = np.minimum(across[None], down[:, None])
        uneven = self._noise(
            _EDGES * 100,
            0.08 * self._side,
            places,
        )
        uneven = 1 + 0.5 * np.tanh(uneven)
        return np.asarray(nearest - _MARGIN * self._side * uneven)

    def _into_lumina(self, places: Places, step: float) -> Float64Array:
        """(R, C) distance into lumina, about um, cut at `_GUARD_UM`."""
        wider = Places(_widened(places.x, step), _widened(places.y, step))
        region = self._noise(
            _GLAND_REGIONS * 100,
            _REGION_UM,
            wider,
        )
        share = _smooth_step(region - _REGION_LEVEL, 1 / _GLAND_SLOPE)
        field = self._noise(
            _GLANDS * 100,
            _GLAND_UM,
            wider,
        )
        field += 0.22 * self._noise(
            _GLANDS * 100 + 1,
            _GLAND_UM / 2.5,
            wider,
        )
        height = field - _LUMEN_LEVEL - 2.5 * (1 - share)
        across = height[1:-1, 2:] - height[1:-1, :-2]
        down = height[2:, 1:-1] - height[:-2, 1:-1]
        slope = np.sqrt(across**2 + down**2) / (2 * step)
        depth = height[1:-1, 1:-1] / np.maximum(slope, _LEAST_SLOPE / _GLAND_UM)
        return np.asarray(depth.clip(-_GUARD_UM, _GUARD_UM))

    def _noise(
        self,
        purpose: int,
        sigma_um: float,
        places: Places,
    ) -> Float64Array:
        return smooth_noise(
            seed_for(self._seed, purpose),
            sigma_um,
            places,
        )


def lining_class(classes: tuple[str, ...]) -> int | None:
    """Index of the class that lines lumina; None: no class is named so."""
    for class_id, name in enumerate(classes):
        if name.lower().startswith("epitheli"):
            return class_id
    return None


def _with_regions(model: LayoutModel) -> tuple[Float64Array, Float64Array]:
    """Scales and covariances of a model, a part of the longest scale's moved to `REGIONS_UM`."""
    longest = int(np.argmax(model.scales_um))
    mixing = [*model.mixing]
    moved = [share * model.mixing[longest] for share in _REGION_SHARES]
    mixing[longest] = (1 - sum(_REGION_SHARES)) * model.mixing[longest]
    return np.array([*model.scales_um, *REGIONS_UM]), np.stack([*mixing, *moved])


def _pieces(seed: int, size_um: tuple[float, float]) -> tuple[_Piece, ...]:
    """One piece of tissue, or two where the slide is long."""
    width, height = size_um
    random = np.random.default_rng([_PIECES, seed & (2**64 - 1)])
    aspect = max(width, height) / min(width, height)
    number = max(1, round(aspect / 1.6))
    pieces = []
    for index in range(number):
        share = (index + 0.5) / number
        along = share + random.uniform(-0.06, 0.06) / number
        aside = 0.5 + random.uniform(-0.05, 0.05)
        long_radius = max(width, height) / number * random.uniform(0.33, 0.41)
        short_radius = min(width, height) * random.uniform(0.31, 0.39)
        if width >= height:
            piece = _Piece(
                along * width,
                aside * height,
                long_radius,
                short_radius,
            )
        else:
            piece = _Piece(
                aside * width,
                along * height,
                short_radius,
                long_radius,
            )
        pieces.append(piece)
    return tuple(pieces)


def _widened(positions: Float64Array, step: float) -> Float64Array:
    """Positions with one more at each end."""
    ends = [positions[0] - step], positions, [positions[-1] + step]
    return np.asarray(np.concatenate(ends))


def _smooth_step(values: Float64Array, width: float) -> Float64Array:
    """0 below, 1 above 0, a slope of that width between."""
    scaled = (values / width + 0.5).clip(0, 1)
    return np.asarray(scaled * scaled * (3 - 2 * scaled))
