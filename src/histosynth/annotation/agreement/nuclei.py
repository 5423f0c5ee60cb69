"""How far two annotators agree on nuclei: which there are, and of which class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ...core.errors import BadNuclei, BadOption
from ...core.estimate import Estimate, undefined
from ...core.matching import f1, match_points
from ...core.nuclei import ANY
from .kappa import Z95, Counts, Interval, bootstrap, estimate_kappa, without_interval

NOT_MARKED = "not marked"
ClassPairs = Counter[tuple[str | None, str | None]]
"""How often the first gave one class and the second another; None: not marked at all."""


@dataclass(frozen=True, eq=False)
class Marks:
    """One annotator's nuclei.

    Attributes:
        xy: (N, 2) centroids, px.
        names: (N) class names; `any` where none is given.
    """

    xy: Float64Array
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        xy = np.asarray(self.xy, np.float64)
        if not xy.size:
            xy = xy.reshape(0, 2)
        if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) != len(self.names):
            raise BadNuclei(
                f"Centroids of shape {xy.shape} and {len(self.names)} classes do not go together.",
                "Give (N, 2) and N names.",
            )
        broken = ~np.isfinite(xy).all(axis=1)
        if broken.any():
            count = int(broken.sum())
            raise BadNuclei(
                f"{count:,} of {len(xy):,} centroids are no numbers.",
                "Remove them.",
            )
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "names", tuple(self.names))

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class NucleiAgreement:
    """Two annotators' nuclei compared.

    Attributes:
        classes: class names, as in `matrix`, whose last row and column stand for "not marked".
        matrix: counts, the first's classes down, the second's across.
        kappa: of the classes of matched pairs.
        kappa_marked: the same with "not marked" as a class of its own. It is lower by definition:
            what neither marked is not counted, so those agreements are missing.
        f1: of detection, 2 m / (n1 + n2), whatever the class; the same from either side.
        first: nuclei of the first annotator.
        second: of the second.
        matched: pairs within reach.
        unspecified: matched pairs in which either class is `any`; in `f1`, but in neither kappa.
    """

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    kappa: Estimate
    kappa_marked: Estimate
    f1: Estimate
    first: int
    second: int
    matched: int
    unspecified: int

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "kappa": self.kappa.as_dict(),
            "kappa_marked": self.kappa_marked.as_dict(),
            "f1": self.f1.as_dict(),
            "classes": [*self.classes, NOT_MARKED],
        }


def nuclei_agreement(
    first: Marks,
    second: Marks,
    *,
    reach_um: float,
    mpp: float,
) -> NucleiAgreement:
    """Agreement of two annotators on one picture; see `summarise_nuclei` for several.

    Args:
        first: of one annotator, px.
        second: of the other, px of the same picture.
        reach_um: two marks no farther apart are one nucleus, um; > 0. Half a nucleus is about
            right.
        mpp: micrometres per pixel, > 0.

    Raises:
        BadOption: a reach or scale that is not positive.
    """
    return summarise_nuclei(
        [
            compare_nuclei(
                first,
                second,
                reach_um=reach_um,
                mpp=mpp,
            )
        ]
    )


def compare_nuclei(
    first: Marks,
    second: Marks,
    *,
    reach_um: float,
    mpp: float,
) -> ClassPairs:
    """Counts of one picture: matched one to one by place alone, then the classes of each pair."""
    for option, value in (("--reach", reach_um), ("--mpp", mpp)):
        if not (math.isfinite(value) and value > 0):
            raise BadOption(option, value, "a number above 0")
    pairs, _ = match_points(first.xy, second.xy, reach_um / mpp)
    table: ClassPairs = Counter()
    for i, j in pairs:
        table[first.names[i], second.names[j]] += 1
    for i in unmatched(first, pairs[:, 0]):
        table[first.names[i], None] += 1
    for j in unmatched(second, pairs[:, 1]):
        table[None, second.names[j]] += 1
    return table


def unmatched(marks: Marks, matched: IndexArray) -> list[int]:
    """Indices of the marks that are not among the matched ones, in their order."""
    return sorted(set(range(len(marks))) - set(matched.tolist()))


def summarise_nuclei(tables: Sequence[ClassPairs], *, unit: str = "file") -> NucleiAgreement:
    """Agreement over several pictures.

    Args:
        tables: of `compare_nuclei`, one for each independent group (file or patient).
        unit: what a group is; the intervals are computed over them, or asymptotic for a single
            one.
    """
    classes = _classes_of_tables(tables)
    matrices = [_matrix(table, classes) for table in tables]
    of_pairs = [matrix[:-1, :-1] for matrix in matrices]
    pooled: ClassPairs = sum(tables, Counter())
    counts = _detection_counts(pooled)
    return NucleiAgreement(
        classes,
        _as_rows(np.sum(matrices, axis=0)) if matrices else ((0,),),
        estimate_kappa(of_pairs, unit),
        estimate_kappa(matrices, unit),
        _estimate_detection(tables, unit),
        counts.matched + counts.only_first,
        counts.matched + counts.only_second,
        counts.matched,
        _count_unspecified(pooled),
    )


def _classes_of_tables(tables: Sequence[ClassPairs]) -> tuple[str, ...]:
    """All class names that either gave, sorted, without `any`."""
    names: set[str] = set()
    for table in tables:
        for pair in table:
            names.update(name for name in pair if name)
    return tuple(sorted(names - {ANY}))


def _as_rows(matrix: Counts) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(value) for value in row) for row in matrix)


def _matrix(table: ClassPairs, classes: Sequence[str]) -> Counts:
    """(K + 1, K + 1) counts, "not marked" last; pairs with `any` are left out."""
    index: dict[str | None, int] = {None: len(classes)}
    for position, name in enumerate(classes):
        index[name] = position
    matrix = np.zeros((len(index), len(index)))
    for pair, count in table.items():
        if ANY not in pair:
            first, second = pair
            matrix[index[first], index[second]] += count
    return matrix


@dataclass(frozen=True)
class _DetectionCounts:
    """Matched pairs, and marks of one annotator alone."""

    matched: int
    only_first: int
    only_second: int

    @property
    def unmatched(self) -> int:
        return self.only_first + self.only_second


def _detection_counts(table: ClassPairs) -> _DetectionCounts:
    matched = 0
    only_first = 0
    only_second = 0
    for (first, second), count in table.items():
        if first is None:
            only_second += count
        elif second is None:
            only_first += count
        else:
            matched += count
    return _DetectionCounts(matched, only_first, only_second)


def _count_unspecified(table: ClassPairs) -> int:
    """Matched pairs in which either class is `any`."""
    return sum(count for pair, count in table.items() if ANY in pair and None not in pair)


def _estimate_detection(tables: Sequence[ClassPairs], unit: str) -> Estimate:
    """F1 of detection over all groups; without an interval over several groups that all agree on
    everything or on nothing, because no replicate would differ.
    """
    counts = [_detection_counts(table) for table in tables]
    rows = [(each.matched, each.unmatched) for each in counts]
    groups = np.array([row for row in rows if any(row)], np.float64).reshape(-1, 2)
    if not len(groups):
        return undefined("neither marked a nucleus")
    matched, alone = (int(value) for value in groups.sum(axis=0))
    value = f1(matched, matched, matched + alone)
    if len(groups) > 1:
        if not matched or not alone:
            marked_by = "one alone" if matched else "both"
            return without_interval(
                value,
                matched + alone,
                f"no nucleus was marked by {marked_by}, so how far F1 could be from {value:g} "
                "cannot be estimated",
            )
        interval = bootstrap(groups, _f1_of_sums, unit)
    else:
        interval = _wilson_f1(matched, matched + alone, unit)
    return Estimate(
        value,
        interval.low,
        interval.high,
        matched + alone,
        interval.method,
    )


def _f1_of_sums(sums: Counts) -> Counts:
    """F1 of each of (R, 2) sums of matched pairs and of marks alone."""
    matched = sums[:, 0]
    alone = sums[:, 1]
    values: Counts = 2 * matched / (2 * matched + alone)
    return values


def _wilson_f1(
    matched: int,
    total: int,
    unit: str,
) -> Interval:
    """Interval of the F1 of one group.

    F1 grows with the share of distinct nuclei that both marked, whose interval is Wilson's (1927).
    """
    share = matched / total
    square = Z95**2 / total
    middle = share + square / 2
    half = Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total))
    low = max((middle - half) / (1 + square), 0.0)
    high = min((middle + half) / (1 + square), 1.0)
    return Interval(
        2 * low / (1 + low),
        2 * high / (1 + high),
        f"asymptotic, one {unit} (its nuclei taken as independent)",
    )
