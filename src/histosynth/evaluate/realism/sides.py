"""The sides of a comparison: features, whose they are, how they are drawn again, and the floor."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.estimate import Estimate
from ..intervals import group_index
from ..sample import Sample

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
GROUPS = 10
"""Floors: so many groups of training patients against the held-out ones."""


@dataclass(frozen=True, eq=False)
class Sides:
    """Features of the sides, whose they are, and how both are drawn again.

    Attributes:
        real, made: (N, D) and (M, D).
        other: (K, D) real tiles of other patients; None: halves of `real` stand in for the floor.
        patients: of real, made and other tiles.
    """

    real: Floats
    made: Floats
    other: Floats | None
    patients: tuple[list[str], list[str], list[str]]

    @property
    def paired(self) -> bool:
        """Whether made tiles carry the patients of real ones, so that both are drawn together."""
        return set(self.patients[1]) <= set(self.patients[0])

    def draws(self, draws: int, seed: int = 0) -> Iterator[tuple[Rows, Rows]]:
        """Rows of real and of made tiles, patients drawn with replacement."""
        random = np.random.default_rng(seed)
        names = [list(dict.fromkeys(side)) for side in self.patients[:2]]
        rows = [rows_of(side) for side in self.patients[:2]]
        for _ in range(draws):
            first = random.choice(len(names[0]), len(names[0]))
            mine = [names[0][i] for i in first]
            theirs = (
                mine if self.paired else [names[1][i] for i in random.choice(len(names[1]), len(names[1]))]
            )
            picked = [rows[1][name] for name in theirs if name in rows[1]]
            if picked:
                yield np.concatenate([rows[0][name] for name in mine]), np.concatenate(picked)

    def floors(self, n: int, groups: int = GROUPS, seed: int = 0) -> list[tuple[Floats, Floats]]:
        """Pairs of real sets of different patients: about `n` others against the held-out ones."""
        random, out = np.random.default_rng(seed), []
        if self.other is not None:
            rows = rows_of(self.patients[2])
            for _ in range(groups):
                out.append((self.other[some_rows(random, rows, n)], self.real))
            return out
        rows = rows_of(self.patients[0])
        names = list(rows)
        for _ in range(groups):
            order = random.permutation(len(names))
            halves = order[: len(names) // 2], order[len(names) // 2 :]
            one, two = (np.concatenate([rows[names[i]] for i in half]) for half in halves)
            out.append((self.real[one], self.real[two]))
        return out


def sides_of(real: Sample, made: Sample, other: Sample | None, key: str) -> Sides:
    """Features of three sides; a reference without tiles, or not measured so, is none."""
    usable = other if other is not None and other.has(key) else None
    return Sides(
        _stacked(real, key), _stacked(made, key), None if usable is None else usable.stack(key),
        (real.patients, made.patients, usable.patients if usable else []),
    )  # fmt: skip


def _stacked(sample: Sample, key: str) -> Floats:
    return sample.stack(key) if len(sample) else np.zeros((0, 1))


def over_groups(values: Sequence[float] | Floats, n: int, sides: Sides) -> Estimate:
    """Mean of the floors of several groups of patients, with the range of 95 % of them."""
    each = np.asarray(values, np.float64)
    low, high = (float(end) for end in np.percentile(each, [2.5, 97.5]))
    patients = len(set(sides.patients[2] or sides.patients[0]))
    said = f"{len(each)} groups of patients"
    return Estimate(float(each.mean()), low, high, n, said, "", "", patients)


def rows_of(patients: Sequence[Hashable]) -> dict[Hashable, Rows]:
    """Which rows are whose."""
    index = group_index(patients) if patients else np.zeros(0, np.intp)
    return {name: np.flatnonzero(index == place) for place, name in enumerate(dict.fromkeys(patients))}


def some_rows(random: np.random.Generator, rows: dict[Hashable, Rows], n: int) -> Rows:
    """About `n` rows: whole patients in random order, the last one in part."""
    out: list[Rows] = []
    for place in random.permutation(len(rows)):
        out.append(list(rows.values())[place])
        if sum(map(len, out)) >= n:
            break
    return np.concatenate(out)[:n]
