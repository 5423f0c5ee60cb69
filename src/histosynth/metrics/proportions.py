"""Shares beside shares: a score of sums over synthetic tiles, the same of real ones, and their
ratio.

Synthetic tiles are often made from the nuclei of the very patients they are held against. What is
hard about a patient is then hard on both sides, and drawing the sides for themselves would count it
twice. So where patients stand on both sides they are drawn together, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..core.arrays import Float64Array
from ..core.estimate import undefined
from .comparison import Comparison, Side, compare
from .finding import Better, Finding

Rows = tuple[ArrayLike, Sequence[str]]
"""(N, F) of each tile, and the patients (N)."""
Score = Callable[[Float64Array], Float64Array]
"""Sums (D, F) => (D,), nan where it is not defined."""


def quotient(sums: Float64Array) -> Float64Array:
    """First column over second."""
    return np.asarray(sums[:, 0] / sums[:, 1])


def compare_scores(score: Score, synthetic: Rows, real: Rows | None) -> Comparison:
    """A score of sums over tiles of both sides, in the same draws of patients."""
    one = Side.of(*synthetic)
    if real is None or not len(real[1]):
        return compare(lambda left, _: score(left), (one, one))
    other = Side.of(*real)
    if {*one.names} & {*other.names}:
        names = tuple(sorted({*one.names, *other.names}))
        one, other = (_over(side, names) for side in (one, other))
    return compare(lambda left, _: score(left), (one, one), (other, other))


def _over(side: Side, names: tuple[str, ...]) -> Side:
    """The same sums over more patients, who have nothing on this side."""
    sums = np.zeros((len(names), side.sums.shape[1]))
    sums[[names.index(name) for name in side.names]] = side.sums
    return Side(sums, names, side.n, side.groups)


def share_finding(
    name: str,
    better: Better,
    synthetic: Rows,
    real: Rows | None,
    *,
    n: tuple[int, int],
    least: int,
    score: Score = quotient,
    unit: str = "",
    note: str = "",
) -> Finding:
    """A finding of a score of sums, with its floor and the ratio to it.

    Args:
        name: of the finding.
        better: which way.
        synthetic: rows of its tiles.
        real: rows of real tiles; None: no floor.
        n: what was counted on both sides, e.g. nuclei.
        least: so many it takes on a side.
        score: of the sums; the first column over the second if not told.
        unit: of the value.
        note: for the reader.
    """
    if n[0] < least:
        reason = f"{n[0]} such nuclei on the synthetic side; it takes {least}"
        return Finding(
            name,
            undefined(reason, n=n[0], unit=unit),
            better,
            note=note,
        )
    said = compare_scores(score, synthetic, real if n[1] >= least else None)
    counted = Comparison(
        said.value,
        said.baseline,
        n[0],
        said.groups,
        n[1],
        said.baseline_groups,
    )
    value = counted.estimate(unit=unit, distance=False)
    return Finding(
        name,
        value,
        better,
        counted.real(unit=unit, distance=False),
        counted.ratio(),
        note=note,
    )
