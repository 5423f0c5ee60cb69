"""How forces change densities: the mean field of a Gibbs process.

Forces of pairs drive a class out of the ground of another, over any distance. Moves inside squares
cannot do that, so numbers of nuclei are drawn from densities that hold it already (Poisson-
saddlepoint approximation, Baddeley and Nair 2012, Stat 1:159): density = activity times
exp(- sum of Mayer integrals), with one factor a class that keeps its mean over tissue.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import ndimage

from ...core.arrays import Float64Array
from .ground_fields import ModelDensities
from .model import CELL_UM, STEP_UM, LayoutModel

CROWDING_CELLS = 6
"""Cells around a window that act on its densities."""
_ITERATIONS = 3
_RADIUS = CROWDING_CELLS // _ITERATIONS
_FINE = 8
"""Points a side at which the integral over a cell is taken."""
_SAMPLE_CELLS = 60
_SAMPLES = 40
_SAMPLE_SEED = 20_260_101
_FAR_APART = 4000
_UM2_PER_MM2 = 1e6


class Crowding:
    """Densities under the forces of a model."""

    def __init__(self, model: LayoutModel) -> None:
        self._kernels = _kernels(model)
        self._logs = np.zeros((_ITERATIONS, len(model.classes)))
        self._fit(model)

    def densities(self, activities: Float64Array) -> Float64Array:
        """(K, rows, columns) nuclei per mm2 under forces; outer `CROWDING_CELLS` cells depend on
        what lies around.

        Args:
            activities: densities without forces.
        """
        found = activities
        for logs in self._logs:
            found = (
                self._next(
                    activities,
                    found,
                )
                * np.exp(logs)[:, None, None]
            )
        return found

    def _next(self, activities: Float64Array, densities: Float64Array) -> Float64Array:
        """One damped step towards the fixed point."""
        expected = densities * (CELL_UM**2 / _UM2_PER_MM2)
        out = np.empty_like(activities)
        for class_id, kernels in enumerate(self._kernels):
            total = np.zeros(activities.shape[1:])
            for kernel, amounts in zip(
                kernels,
                expected,
                strict=True,
            ):
                total += ndimage.convolve(
                    amounts,
                    kernel,
                    mode="constant",
                )
            out[class_id] = activities[class_id] * np.exp(-total)
        return np.sqrt(out * densities)

    def _fit(self, model: LayoutModel) -> None:
        """Factors that keep the mean density of each class over the model's own fields."""
        ground = ModelDensities(
            model,
            _SAMPLE_SEED,
        )
        shape = (_SAMPLE_CELLS, _SAMPLE_CELLS)
        samples = []
        for number in range(_SAMPLES):
            samples.append(
                ground.per_mm2(
                    (number * _FAR_APART, 0),
                    shape,
                )
            )
        found = samples
        wanted = np.mean(
            samples,
            axis=(0, 2, 3),
        )
        for step in range(_ITERATIONS):
            after = []
            for activities, densities in zip(
                samples,
                found,
                strict=True,
            ):
                after.append(
                    self._next(
                        activities,
                        densities,
                    )
                )
            means = np.mean(
                after,
                axis=(0, 2, 3),
            )
            factors = wanted / np.maximum(
                means,
                1e-9,
            )
            self._logs[step] = np.log(
                factors.clip(
                    1e-3,
                    1e3,
                )
            )
            found = [each * factors[:, None, None] for each in after]


@lru_cache(maxsize=4)
def _cached(digest: str, model: _Held) -> Crowding:
    del digest
    return Crowding(model.model)


class _Held:
    """A model that counts as equal to any other: its digest tells them apart."""

    def __init__(self, model: LayoutModel) -> None:
        self.model = model

    def __eq__(self, other: object) -> bool:
        return isinstance(
            other,
            _Held,
        )

    def __hash__(self) -> int:
        return 0


def crowding_of(model: LayoutModel) -> Crowding:
    """The crowding of a model, computed once."""
    return _cached(
        model.sha256,
        _Held(model),
    )


def _kernels(model: LayoutModel) -> Float64Array:
    """(K, K, 2 R + 1, 2 R + 1) integrals of 1 - exp(-energy), in cells."""
    offsets = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    cells = np.arange(
        -_RADIUS,
        _RADIUS + 1,
    )
    gaps = (cells[:, None] + offsets).ravel() * CELL_UM
    apart = np.hypot(
        gaps[:, None],
        gaps,
    )
    bins = np.minimum(
        apart / STEP_UM,
        model.forces.shape[2],
    ).astype(np.intp)
    padded = np.concatenate(
        [model.forces, np.zeros((*model.forces.shape[:2], 1))],
        axis=2,
    )
    values = 1 - np.exp(-padded[:, :, bins])
    side = len(cells)
    classes = len(model.classes)
    parts = values.reshape(
        classes,
        classes,
        side,
        _FINE,
        side,
        _FINE,
    )
    kernels = parts.mean(axis=(3, 5))
    # where a class attracts itself on the whole, the mean field has no limit
    for class_id in range(classes):
        if kernels[class_id, class_id].sum() < 0:
            kernels[class_id, class_id] = 0.0
    return np.asarray(kernels)
