"""Nuclei of many tiles in one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...core.arrays import BoolArray, Float64Array, IndexArray
from ..sample import Sample
from .features import NUCLEUS_FEATURES


@dataclass(frozen=True, eq=False)
class NucleusTable:
    """Nuclei of one side.

    Attributes:
        values: (N, F), columns `NUCLEUS_FEATURES`, or some of them.
        class_ids: (N,) index of the class.
        tile: (N,) row of the tile in its sample.
        patients: of each tile of the sample.
    """

    values: Float64Array
    class_ids: IndexArray
    tile: IndexArray
    patients: list[str]

    @classmethod
    def of(cls, sample: Sample) -> NucleusTable:
        """All nuclei that could be measured."""
        tile_values = sample.each("morphology/values")
        tile_class_ids = sample.each("morphology/class_ids")
        columns = len(NUCLEUS_FEATURES)
        no_values = np.zeros((0, columns))
        values = np.concatenate([no_values, *tile_values])
        class_ids = np.concatenate([np.zeros(0), *tile_class_ids])
        counts = [len(each) for each in tile_class_ids]
        tiles = np.arange(len(sample))
        return cls(
            values.astype(np.float64),
            class_ids.astype(np.intp),
            np.repeat(tiles, counts),
            sample.patients,
        )

    def __len__(self) -> int:
        return len(self.values)

    def where(self, keep: BoolArray) -> NucleusTable:
        """Those marked True in `keep` (N); the tiles stay."""
        return NucleusTable(
            self.values[keep],
            self.class_ids[keep],
            self.tile[keep],
            self.patients,
        )

    def only(self, features: Sequence[str]) -> NucleusTable:
        """The same nuclei with only these of the columns `NUCLEUS_FEATURES`."""
        columns = [NUCLEUS_FEATURES.index(name) for name in features]
        values = self.values[:, columns]
        return replace(self, values=values)

    @property
    def owners(self) -> list[str]:
        """(N) the patient of each nucleus."""
        return [self.patients[row] for row in self.tile]

    def by_tile(self, column: int) -> list[Float64Array]:
        """One feature, tile by tile."""
        feature = self.values[:, column]
        tiles = range(len(self.patients))
        return [feature[self.tile == row] for row in tiles]

    def share(
        self,
        marked: BoolArray | Float64Array,
    ) -> tuple[Float64Array, list[str]]:
        """(T, 2) sum of `marked` (N,) and number of nuclei, tile by tile, with the patients."""
        tiles = len(self.patients)
        marks = np.bincount(self.tile, marked, minlength=tiles)
        counts = np.bincount(
            self.tile,
            np.ones(len(self)),
            minlength=tiles,
        )
        sums = np.stack([marks, counts], axis=1)
        return sums.astype(np.float64), self.patients
