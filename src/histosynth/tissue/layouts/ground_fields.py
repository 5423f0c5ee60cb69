"""Densities on an endless plane that depend on a seed and on the position alone."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from scipy import special

from ...core.arrays import Float64Array
from .model import CELL_UM, LayoutModel
from .position_noise import Places, seed_for, smooth_noise

FIELDS = 1000
"""Purposes of seeds from here on are those of density fields."""
_PART = 128


class Densities(Protocol):
    """Where nuclei of each class are how dense."""

    def per_mm2(
        self,
        first: tuple[int, int],
        shape: tuple[int, int],
    ) -> Float64Array:
        """Densities on cells of `CELL_UM`.

        Args:
            first: column and row of the first cell; cell (0, 0) begins at the slide's corner.
            shape: rows and columns.

        Returns:
            (K, rows, columns) nuclei per mm2.
        """

    def without_tissue(self, places: Places, *, step_um: float) -> Float64Array | None:
        """(R, C) distance into a region without tissue, about um; below 0: tissue; None: there is
        no such region anywhere.

        Args:
            places: a grid.
            step_um: of the grid.
        """


def without_tissue_at(densities: Densities, places: Places) -> Float64Array | None:
    """What `Densities.without_tissue` returns for many places far apart, a part at a time: noise
    between them costs memory.
    """
    out = np.empty((len(places.y), len(places.x)))
    for top in range(0, len(places.y), _PART):
        for left in range(0, len(places.x), _PART):
            rows = slice(top, top + _PART)
            columns = slice(left, left + _PART)
            part = Places(places.x[columns], places.y[rows])
            values = densities.without_tissue(part, step_um=places.step_um)
            if values is None:
                return None
            out[rows, columns] = values
    return out


class ModelDensities:
    """Densities of a model, everywhere alike: what `draw_field` draws for one tile."""

    def __init__(self, model: LayoutModel, seed: int) -> None:
        self._model = model
        self._seed = seed

    def per_mm2(
        self,
        first: tuple[int, int],
        shape: tuple[int, int],
    ) -> Float64Array:
        """See `Densities`."""
        places = Places.of_cells(first, shape, CELL_UM)
        scores = score_fields(
            self._model,
            self._model.scales_um,
            self._model.mixing,
            self._seed,
            places,
        )
        return densities_of(self._model, scores)

    def without_tissue(self, places: Places, *, step_um: float) -> None:
        """There is tissue everywhere."""
        del places, step_um


def score_fields(
    model: LayoutModel,
    scales_um: Float64Array,
    mixing: Float64Array,
    seed: int,
    places: Places,
) -> Float64Array:
    """(K, R, C) normal scores of the densities: sums of fields of all scales (S).

    Args:
        model: states the classes.
        scales_um: (S) of the kernels.
        mixing: (S, K, K) covariances.
        seed: any whole number.
        places: where.
    """
    classes = len(model.classes)
    scores = np.zeros((classes, len(places.y), len(places.x)))
    for number, (scale_um, covariance) in enumerate(zip(scales_um, mixing, strict=True)):
        root = covariance_root(covariance)
        for source in range(classes):
            purpose = FIELDS + number * classes + source
            noise = smooth_noise(
                seed_for(seed, purpose),
                float(scale_um),
                places,
            )
            for class_id in range(classes):
                scores[class_id] += root[class_id, source] * noise
    return scores


def densities_of(model: LayoutModel, scores: Float64Array) -> Float64Array:
    """Nuclei per mm2 of normal scores (K, R, C)."""
    knots = np.linspace(0, 1, model.densities.shape[1])
    fields = np.empty_like(scores)
    for class_id, densities in enumerate(model.densities):
        probability = special.ndtr(scores[class_id])
        fields[class_id] = np.interp(probability, knots, densities)
    return fields


def covariance_root(covariance: Float64Array) -> Float64Array:
    """A matrix whose product with its transpose is a covariance (K, K), which may be singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: Float64Array = vectors * np.sqrt(values.clip(0))
    return root
