"""Features of the sides of a comparison, and how their patients and tiles are resampled."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ..intervals import rows_by_name
from ..sample import Sample


@dataclass(frozen=True, eq=False)
class FeatureSides:
    """Features of all sides, with the patient of each tile.

    Attributes:
        real, synthetic: (N, D) and (M, D).
        other: (K, D) real tiles of other patients; None: the baseline is taken from halves of
            `real`.
        real_patients, synthetic_patients, other_patients: patient of each tile.
        synthetic_layouts: layout of each synthetic tile; empty: each has one of its own.
    """

    real: Float64Array
    synthetic: Float64Array
    other: Float64Array | None
    real_patients: list[str]
    synthetic_patients: list[str]
    other_patients: list[str]
    synthetic_layouts: Sequence[str] = ()

    @property
    def paired(self) -> bool:
        """Whether synthetic tiles belong to patients of real ones, so that both are resampled
        jointly.
        """
        return set(self.synthetic_patients) <= set(self.real_patients)

    @property
    def smaller_count(self) -> int:
        """Tiles of the real or of the synthetic side, whichever has fewer."""
        return min(len(self.real), len(self.synthetic))

    @property
    def baseline_patients(self) -> list[str]:
        """Patients of the tiles that the baseline is taken from."""
        return self.real_patients if self.other is None else self.other_patients

    def replicates(
        self,
        replicates: int,
        seed: int = 0,
    ) -> Iterator[tuple[IndexArray, IndexArray]]:
        """Rows of real and of synthetic tiles, patients drawn with replacement."""
        random = np.random.default_rng(seed)
        real_rows = rows_by_name(self.real_patients)
        synthetic_rows = rows_by_name(self.synthetic_patients)
        real_names = list(real_rows)
        synthetic_names = list(synthetic_rows)
        for _ in range(replicates):
            drawn_real = [real_names[i] for i in random.choice(len(real_names), len(real_names))]
            drawn_synthetic = drawn_real
            if not self.paired:
                drawn = random.choice(len(synthetic_names), len(synthetic_names))
                drawn_synthetic = [synthetic_names[i] for i in drawn]
            chosen = [synthetic_rows[name] for name in drawn_synthetic if name in synthetic_rows]
            if chosen:
                real = np.concatenate([real_rows[name] for name in drawn_real])
                yield real, np.concatenate(chosen)

    @property
    def shape(self) -> tuple[int, int]:
        """(patients, tiles of each) of the baseline, to which synthetic tiles are cut as well.

        Both have as many patients and as many tiles of each, because sets of more patients are
        nearer to any other set, whatever their number of tiles.
        """
        synthetic = rows_by_name(self.synthetic_patients)
        pool = rows_by_name(self.baseline_patients)
        available = len(pool) // 2 if self.other is None else len(pool)
        tiles = min(_median_count(synthetic), _median_count(pool))
        return min(len(synthetic), available), tiles

    def trials(
        self,
        count: int,
        *,
        with_replacement: bool,
        seed: int = 0,
    ) -> Iterator[Trial]:
        """Synthetic tiles, as many real tiles of other patients, and real tiles to compare both
        with.

        Args:
            count: how many trials.
            with_replacement: draw patients with replacement, for intervals; False: each at most
                once.
            seed: of the draws.
        """
        random = np.random.default_rng(seed)
        patients, tiles = self.shape
        real = rows_by_name(self.real_patients)
        synthetic = rows_by_name(self.synthetic_patients)
        other = rows_by_name(self.other_patients)
        for _ in range(count):
            if self.other is None:
                order = [list(real)[i] for i in random.permutation(len(real))]
                left = order[: len(order) // 2]
                right = order[len(order) // 2 :]
                compared = _draw(random, right, len(right), with_replacement)
                baseline_names = _draw(random, left, patients, with_replacement)
                baseline = self.real[_some_tiles(random, real, baseline_names, tiles)]
            else:
                compared = _draw(
                    random,
                    list(real),
                    len(real),
                    with_replacement,
                )
                baseline_names = _draw(
                    random,
                    list(other),
                    patients,
                    with_replacement,
                )
                baseline = self.other[_some_tiles(random, other, baseline_names, tiles)]
            names: list[Hashable] = []
            if self.paired and self.other is not None:
                names = [name for name in compared if name in synthetic]
            if len(names) < patients:  # unpaired, or too few of these patients are synthetic
                names = _draw(
                    random,
                    list(synthetic),
                    patients,
                    with_replacement,
                )
            chosen = [names[i] for i in random.permutation(len(names))[:patients]]
            yield Trial(
                self.synthetic[_some_tiles(random, synthetic, chosen, tiles)],
                baseline,
                self.real[np.concatenate([real[name] for name in compared])],
            )


@dataclass(frozen=True, eq=False)
class Trial:
    """Synthetic tiles and as many real tiles of other patients, and the real tiles that both are
    compared with.
    """

    synthetic: Float64Array
    baseline: Float64Array
    real: Float64Array


def _median_count(rows: Mapping[Hashable, IndexArray]) -> int:
    counts = [len(each) for each in rows.values()]
    return int(np.median(counts or [0]))


def _draw(
    random: np.random.Generator,
    names: Sequence[Hashable],
    count: int,
    with_replacement: bool,
) -> list[Hashable]:
    """`count` of the names; without replacement at most all of them."""
    if not with_replacement:
        count = min(count, len(names))
    drawn = random.choice(
        len(names),
        count,
        replace=with_replacement,
    )
    return [names[i] for i in drawn]


def _some_tiles(
    random: np.random.Generator,
    rows: Mapping[Hashable, IndexArray],
    names: Sequence[Hashable],
    tiles: int,
) -> IndexArray:
    """Rows of at most `tiles` random tiles of each patient."""
    return np.concatenate([random.permutation(rows[name])[:tiles] for name in names])


def feature_sides(
    real: Sample,
    synthetic: Sample,
    other: Sample | None,
    key: str,
) -> FeatureSides:
    """Features of three sides.

    A reference that has no tiles, or was not measured this way, counts as none.
    """
    other_features = None
    other_patients: list[str] = []
    if other is not None and other.has(key):
        other_features = other.stack(key)
        other_patients = other.patients
    return FeatureSides(
        _stacked(real, key),
        _stacked(synthetic, key),
        other_features,
        real.patients,
        synthetic.patients,
        other_patients,
        synthetic.layouts,
    )


def _stacked(sample: Sample, key: str) -> Float64Array:
    if not len(sample):
        return np.zeros((0, 1))
    return sample.stack(key)
