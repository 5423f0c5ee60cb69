"""Nuclei of many tiles in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array
from ..sample import Sample
from .features import FEATURES


@dataclass(frozen=True, eq=False)
class Table:
    """Nuclei of one side.

    Attributes:
        values: (N, F), columns `FEATURES`, or some of them.
        class_ids: (N,) index of the class.
        tile: (N,) row of the tile in its sample.
        patients: of each tile of the sample.
    """

    values: Float64Array
    class_ids: NDArray[np.intp]
    tile: NDArray[np.intp]
    patients: list[str]

    @classmethod
    def of(cls, sample: Sample) -> Table:
        """All nuclei that could be measured."""
        values = [np.zeros((0, len(FEATURES))), *sample.each("morphology/values")]
        classes = [np.zeros(0), *sample.each("morphology/kind")]
        many = [len(each) for each in classes[1:]]
        return cls(
            np.concatenate(values).astype(np.float64),
            np.concatenate(classes).astype(np.intp),
            np.repeat(np.arange(len(sample)), many),
            sample.patients,
        )

    def __len__(self) -> int:
        return len(self.values)

    def where(self, keep: NDArray[np.bool_]) -> Table:
        """Those marked True in `keep` (N); the tiles stay."""
        return Table(
            self.values[keep],
            self.class_ids[keep],
            self.tile[keep],
            self.patients,
        )

    def only(self, features: Sequence[str]) -> Table:
        """The same nuclei, of the columns of `FEATURES` only these."""
        columns = [FEATURES.index(name) for name in features]
        return Table(
            self.values[:, columns],
            self.class_ids,
            self.tile,
            self.patients,
        )

    @property
    def whose(self) -> list[str]:
        """(N) the patient of each nucleus."""
        return [self.patients[row] for row in self.tile]

    def by_tile(self, column: int) -> list[Float64Array]:
        """One feature, tile by tile."""
        return [self.values[self.tile == row, column] for row in range(len(self.patients))]

    def share(self, marked: NDArray[np.bool_] | Float64Array) -> tuple[Float64Array, list[str]]:
        """(T, 2) sum of `marked` (N,) and number of nuclei, tile by tile, with the patients."""
        many = len(self.patients)
        sums = [
            np.bincount(self.tile, weights, minlength=many)
            for weights in (marked, np.ones(len(self)))
        ]
        return np.stack(sums, axis=1).astype(np.float64), self.patients
