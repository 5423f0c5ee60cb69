"""Scores of sums over synthetic tiles, compared with the same scores of real tiles.

Synthetic tiles are often generated from the nuclei of the very patients that they are compared
with. What is hard about a patient is then hard on both sides, and resampling the sides
independently would count it twice. So patients present on both sides are resampled jointly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Float64Array
from ..core.estimate import undefined
from .comparison import Comparison, PatientSums, compare
from .finding import Better, Finding

TileRows = tuple[ArrayLike, Sequence[str]]
"""(N, F) numbers of each tile, and the patients (N)."""
Score = Callable[[Float64Array], Float64Array]
"""Sums (R, F) => (R,), nan where it is not defined."""


def quotient(sums: Float64Array) -> Float64Array:
    """First column over second."""
    return np.asarray(sums[:, 0] / sums[:, 1])


def compare_scores(
    score: Score,
    synthetic: TileRows,
    real: TileRows | None,
) -> Comparison:
    """A score of sums over tiles of both sides, in the same replicates of patients."""

    def first_score(first: Float64Array, _: Float64Array) -> Float64Array:
        return score(first)

    first = PatientSums.of(*synthetic)
    if real is None or not len(real[1]):
        return compare(first_score, (first, first))
    second = PatientSums.of(*real)
    if {*first.names} & {*second.names}:
        names = tuple(sorted({*first.names, *second.names}))
        first = _over_patients(first, names)
        second = _over_patients(second, names)
    return compare(
        first_score,
        (first, first),
        (second, second),
    )


def _over_patients(side: PatientSums, names: tuple[str, ...]) -> PatientSums:
    """The same sums with zeros for patients who are not on this side."""
    sums = np.zeros((len(names), side.sums.shape[1]))
    sums[[names.index(name) for name in side.names]] = side.sums
    return PatientSums(sums, names, side.n, side.groups)


def share_finding(
    name: str,
    better: Better,
    synthetic: TileRows,
    real: TileRows | None,
    *,
    n: tuple[int, int],
    min_count: int,
    score: Score = quotient,
    unit: str = "",
    note: str = "",
) -> Finding:
    """A finding of a score of sums, with its real baseline and the ratio to it.

    Args:
        name: of the finding.
        better: which way.
        synthetic: rows of synthetic tiles.
        real: rows of real tiles; None: there is no baseline.
        n: what was counted on both sides, e.g. nuclei.
        min_count: so many are needed on a side.
        score: of the sums; the default is the first column over the second.
        unit: of the value.
        note: for the reader.
    """
    if n[0] < min_count:
        reason = f"{n[0]} such nuclei on the synthetic side; it takes {min_count}"
        return Finding(
            name,
            undefined(reason, n=n[0], unit=unit),
            better,
            note=note,
        )
    comparison = compare_scores(
        score,
        synthetic,
        real if n[1] >= min_count else None,
    )
    counted = replace(comparison, n=n[0], baseline_n=n[1])
    return Finding(
        name,
        counted.estimate(unit=unit, distance=False),
        better,
        counted.real(unit=unit, distance=False),
        counted.ratio(),
        note=note,
    )
