"""The sides of a comparison: features, whose they are, how they are drawn again, and the floor."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array
from ..intervals import group_index
from ..sample import Sample

Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Sides:
    """Features of the sides, whose they are, and how both are drawn again.

    Attributes:
        real, synthetic: (N, D) and (M, D).
        other: (K, D) real tiles of other patients; None: halves of `real` stand in for the floor.
        patients: of real, made and other tiles.
    """

    real: Float64Array
    synthetic: Float64Array
    other: Float64Array | None
    patients: tuple[list[str], list[str], list[str]]

    @property
    def paired(self) -> bool:
        """Whether made tiles carry the patients of real ones, so that both are drawn together."""
        return set(self.patients[1]) <= set(self.patients[0])

    def replicates(self, replicates: int, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
        """Rows of real and of made tiles, patients drawn with replacement."""
        random = np.random.default_rng(seed)
        names = [list(dict.fromkeys(side)) for side in self.patients[:2]]
        rows = [rows_of(side) for side in self.patients[:2]]
        for _ in range(replicates):
            first = random.choice(len(names[0]), len(names[0]))
            mine = [names[0][i] for i in first]
            theirs = (
                mine
                if self.paired
                else [names[1][i] for i in random.choice(len(names[1]), len(names[1]))]
            )
            picked = [rows[1][name] for name in theirs if name in rows[1]]
            if picked:
                yield np.concatenate([rows[0][name] for name in mine]), np.concatenate(picked)

    @property
    def shape(self) -> tuple[int, int]:
        """(patients, tiles of each) that a floor is taken of, and to which made tiles are cut
        beside it.

        As many patients and tiles of each on both: sets of more patients lie nearer to anything,
            whatever
        their number of tiles.
        """
        synthetic = rows_of(self.patients[1])
        pool = rows_of(self.patients[2] if self.other is not None else self.patients[0])
        spare = len(pool) if self.other is not None else len(pool) // 2
        tiles = min(
            int(np.median([len(rows) for rows in side.values()] or [0]))
            for side in (synthetic, pool)
        )
        return min(len(synthetic), spare), tiles

    def trials(
        self,
        count: int,
        *,
        again: bool,
        seed: int = 0,
    ) -> Iterator[Trial]:
        """Made tiles, real tiles of other patients in the same number, and what both are held
        against.

        Args:
            count: how many.
            again: draw patients with replacement, for intervals; False: each at most once.
            seed: of the draws.
        """
        random = np.random.default_rng(seed)
        patients, tiles = self.shape
        real, synthetic, other = (rows_of(side) for side in self.patients)
        for _ in range(count):
            if self.other is not None:
                against = _names(random, real, len(real), again)
                baseline = self.other[
                    _cut(
                        random,
                        other,
                        _names(random, other, patients, again),
                        tiles,
                    )
                ]
            else:
                order = [list(real)[i] for i in random.permutation(len(real))]
                left = order[: len(order) // 2]
                right = order[len(order) // 2 :]
                against = _names(random, dict.fromkeys(right), len(right), again)
                baseline = self.real[
                    _cut(
                        random,
                        real,
                        _names(random, dict.fromkeys(left), patients, again),
                        tiles,
                    )
                ]
            theirs = (
                [name for name in against if name in synthetic]
                if self.paired and self.other is not None
                else []
            )
            if len(theirs) < patients:  # other patients, or fewer than are asked for
                theirs = _names(random, synthetic, patients, again)
            chosen = [theirs[i] for i in random.permutation(len(theirs))[:patients]]
            yield Trial(
                self.synthetic[_cut(random, synthetic, chosen, tiles)],
                baseline,
                self.real[np.concatenate([real[name] for name in against])],
            )


@dataclass(frozen=True, eq=False)
class Trial:
    """Made tiles and as many real ones of other patients, both held against the same real tiles."""

    synthetic: Float64Array
    baseline: Float64Array
    real: Float64Array


def _names(
    random: np.random.Generator,
    rows: Mapping[Hashable, object],
    n: int,
    again: bool,
) -> list[Hashable]:
    names = list(rows)
    return [
        names[i]
        for i in random.choice(len(names), n if again else min(n, len(names)), replace=again)
    ]


def _cut(
    random: np.random.Generator,
    rows: Mapping[Hashable, Rows],
    names: Sequence[Hashable],
    tiles: int,
) -> Rows:
    """Some tiles of each patient, by chance; all where there are no more."""
    return np.concatenate([random.permutation(rows[name])[:tiles] for name in names])


def sides_of(
    real: Sample,
    synthetic: Sample,
    other: Sample | None,
    key: str,
) -> Sides:
    """Features of three sides; a reference without tiles, or not measured so, is none."""
    usable = other if other is not None and other.has(key) else None
    return Sides(
        _stacked(real, key),
        _stacked(synthetic, key),
        None if usable is None else usable.stack(key),
        (real.patients, synthetic.patients, usable.patients if usable else []),
    )


def _stacked(sample: Sample, key: str) -> Float64Array:
    return sample.stack(key) if len(sample) else np.zeros((0, 1))


def rows_of(patients: Sequence[Hashable]) -> dict[Hashable, Rows]:
    """Which rows are whose."""
    index = group_index(patients) if patients else np.zeros(0, np.intp)
    return {
        name: np.flatnonzero(index == place) for place, name in enumerate(dict.fromkeys(patients))
    }
