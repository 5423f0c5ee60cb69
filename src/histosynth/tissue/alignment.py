"""How nuclei lie along fibres.

Twice the angle between a nucleus and the fibres around it follows a von Mises distribution whose
concentration is in proportion to the strength of the fibres' orientation and to the logarithm of
the nucleus' elongation: on training tissue about 12 times for epithelial and stromal nuclei, 18 for
lymphocytes. Where fibres run alike, nuclei are longer too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from ..core.arrays import Float64Array
from ..core.nuclei import Nuclei
from ..core.nucleus_shapes import HALF_TURN, known_shapes
from ..core.orientation import FibreOrientation

_MAX_FACTOR = 100.0
_MAX_LOG = 20.0
_MIN_MEASURED = 50
"""Nuclei of a class below which none is taken to lie along fibres."""
_HALVINGS = 40
_LEAST = 1e-6
_MAX_SCORE = 3.0
"""Standard deviations at which strengths are cut off."""
_DIGITS = 4


@dataclass(frozen=True)
class ClassAlignment:
    """Of the nuclei of one class.

    Attributes:
        factor: times strength and logarithm of elongation, the concentration of the von Mises
            distribution of twice the angle; 0: they lie in any direction.
        correlation: of the logarithms of elongation and strength.
        log_strength: mean and standard deviation of the logarithm of strength around them.
    """

    factor: float = 0.0
    correlation: float = 0.0
    log_strength: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 <= self.factor <= _MAX_FACTOR:
            raise ValueError(f"factor must be from 0 to {_MAX_FACTOR:g}")
        if not -1 < self.correlation < 1:
            raise ValueError("correlation must be between -1 and 1")
        mean, deviation = self.log_strength
        if not abs(mean) <= _MAX_LOG or not _LEAST <= deviation <= _MAX_LOG:
            raise ValueError("log_strength must be a mean and a standard deviation")

    def elongation_level(self, strength: Float64Array, level: Float64Array) -> Float64Array:
        """(N,) levels in [0, 1] of the elongation of nuclei, from independent ones."""
        if not self.correlation:
            return level
        mean, deviation = self.log_strength
        logarithm = np.log(strength.clip(min=_LEAST))
        score = ((logarithm - mean) / deviation).clip(
            -_MAX_SCORE,
            _MAX_SCORE,
        )
        own = special.ndtri(_inner(level)) * math.sqrt(1 - self.correlation**2)
        return np.asarray(special.ndtr(self.correlation * score + own))

    def angle(
        self,
        axes: Float64Array,
        elongation: Float64Array,
        level: Float64Array,
    ) -> Float64Array:
        """Angles of nuclei, degrees in [0, 180): along fibres, more or less.

        A wrapped Gaussian of the same mean cosine stands for the von Mises distribution.

        Args:
            axes: (N, 2) of the fibres around each.
            elongation: (N) of each, at least 1.
            level: (N) in [0, 1], where in the distribution each lies.
        """
        concentration = self.factor * np.hypot(*axes.T) * np.log(elongation)
        mean_cosine = _mean_cosine(concentration).clip(min=_LEAST)
        deviation = np.sqrt(-2 * np.log(mean_cosine))
        middle = np.arctan2(
            axes[:, 1],
            axes[:, 0],
        )
        twice = middle + deviation * special.ndtri(_inner(level))
        angles = np.rad2deg(twice) / 2 % HALF_TURN
        anywhere = concentration < _LEAST  # a wrapped Gaussian is never quite even
        return np.where(
            anywhere,
            level * HALF_TURN,
            angles,
        )


def _inner(level: Float64Array) -> Float64Array:
    """Levels inside of 0 and 1, where quantiles are finite."""
    return level.clip(_LEAST, 1 - _LEAST)


def _mean_cosine(concentration: Float64Array) -> Float64Array:
    """Of a von Mises distribution."""
    return np.asarray(special.i1e(concentration) / special.i0e(concentration))


def measure_alignment(
    tiles: Iterable[tuple[Nuclei, FibreOrientation]],
    classes: Sequence[str],
) -> tuple[ClassAlignment, ...]:
    """Of each class, in the order of the classes.

    Args:
        tiles: nuclei with shapes, and how fibres run, known everywhere.
        classes: of all tiles.
    """
    found: list[list[Float64Array]] = [[] for _ in classes]
    for nuclei, fibres in tiles:
        shapes = nuclei.shapes_or_unknown()
        known = known_shapes(shapes)
        axes = fibres.at(nuclei.xy[known]).astype(np.float64)
        strength = np.hypot(*axes.T).clip(min=_LEAST)
        twice = 2 * np.deg2rad(shapes[known, 2])
        along = axes[:, 0] * np.cos(twice) + axes[:, 1] * np.sin(twice)
        logarithm = np.log(shapes[known, 1])
        rows = np.stack([strength, logarithm, along / strength])
        for class_id, of_class in enumerate(found):
            of_class.append(rows[:, nuclei.class_ids[known] == class_id])
    return tuple(map(_alignment_of, found))


def _alignment_of(parts: Sequence[Float64Array]) -> ClassAlignment:
    """Of nuclei of one class: strengths, logarithms of elongation and cosines, (3, N) each."""
    if sum(each.shape[1] for each in parts) < _MIN_MEASURED:
        return ClassAlignment()
    strength, logarithm, cosine = np.concatenate(
        parts,
        axis=1,
    )
    log_strength = np.log(strength)
    mean = float(log_strength.mean())
    deviation = float(log_strength.std())
    correlation = 0.0
    if deviation > _LEAST and logarithm.std() > _LEAST:
        table = np.corrcoef(
            logarithm,
            log_strength,
        )
        correlation = float(table[0, 1])
    product = strength * logarithm
    mean_cosine = float(cosine.mean())
    least_deviation = 1 / 10**_DIGITS
    return ClassAlignment(
        _factor(product, mean_cosine),
        round(correlation, _DIGITS),
        (
            round(mean, _DIGITS),
            round(max(deviation, least_deviation), _DIGITS),
        ),
    )


def _factor(product: Float64Array, mean_cosine: float) -> float:
    """The factor under which the mean cosine is what was measured, by halving."""
    low = 0.0
    high = _MAX_FACTOR
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _mean_cosine(middle * product).mean() < mean_cosine:
            low = middle
        else:
            high = middle
    return round(
        low,
        _DIGITS,
    )
