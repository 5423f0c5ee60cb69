"""How far two annotators agree on nuclei: which there are, and of which class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import BadNuclei, BadOption
from ...core.estimate import Estimate
from ...core.matching import f1, match_points
from ...core.nuclei import ANY
from .kappa import Z95, Counts, bootstrap, estimate_kappa

NOT_MARKED = "not marked"
Table = Counter[tuple[str | None, str | None]]
"""How often the first gave one class and the second another; None: not marked at all."""


@dataclass(frozen=True, eq=False)
class Marks:
    """One annotator's nuclei: (N, 2) centroids in px, and a class name each (`any`: not told)."""

    xy: NDArray[np.float64]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        xy = np.asarray(self.xy, np.float64)
        xy = xy.reshape(0, 2) if not xy.size else xy
        if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) != len(self.names):
            problem = (
                f"Centroids of shape {xy.shape} and {len(self.names)} classes do not go together."
            )
            raise BadNuclei(problem, "Give (N, 2) and N names.")
        if broken := int((~np.isfinite(xy)).any(axis=1).sum()):
            raise BadNuclei(f"{broken:,} of {len(xy):,} centroids are no numbers.", "Remove them.")
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
        kappa_marked: the same with "not marked" as a class of its own. It is lower by its make:
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
        parts = {name: getattr(self, name).as_dict() for name in ("kappa", "kappa_marked", "f1")}
        return {
            **asdict(self),
            **parts,
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
    return summarise_nuclei([compare_nuclei(first, second, reach_um=reach_um, mpp=mpp)])


def compare_nuclei(
    first: Marks,
    second: Marks,
    *,
    reach_um: float,
    mpp: float,
) -> Table:
    """Counts of one picture: matched one to one by place alone, then classes side by side."""
    for option, value in (("--reach", reach_um), ("--mpp", mpp)):
        if not (math.isfinite(value) and value > 0):
            raise BadOption(option, value, "a number above 0")
    pairs, _ = match_points(first.xy, second.xy, reach_um / mpp)
    table: Table = Counter((first.names[i], second.names[j]) for i, j in pairs)
    lone_first = set(range(len(first))) - set(pairs[:, 0].tolist())
    lone_second = set(range(len(second))) - set(pairs[:, 1].tolist())
    table.update((first.names[i], None) for i in lone_first)
    table.update((None, second.names[j]) for j in lone_second)
    return table


def summarise_nuclei(tables: Sequence[Table], *, unit: str = "file") -> NucleiAgreement:
    """Agreement over several pictures.

    Args:
        tables: of `compare_nuclei`, one for each independent group (file or patient).
        unit: what a group is; the intervals are drawn over them, or asymptotic for a single one.
    """
    classes = tuple(
        sorted({name for table in tables for pair in table for name in pair if name} - {ANY})
    )
    stack = [_matrix(table, classes) for table in tables]
    paired = [matrix[:-1, :-1] for matrix in stack]
    pooled: Table = sum(tables, Counter())
    matched = sum(count for pair, count in pooled.items() if None not in pair)
    alone = [sum(n for pair, n in pooled.items() if pair[side] is None) for side in (1, 0)]
    return NucleiAgreement(
        classes,
        tuple(tuple(int(value) for value in row) for row in np.sum(stack, axis=0))
        if stack
        else ((0,),),
        estimate_kappa(paired, unit),
        estimate_kappa(stack, unit),
        _detection(tables, unit),
        matched + alone[0],
        matched + alone[1],
        matched,
        sum(count for pair, count in pooled.items() if ANY in pair and None not in pair),
    )


def _matrix(table: Table, classes: Sequence[str]) -> Counts:
    place: dict[str | None, int] = {
        **{name: index for index, name in enumerate(classes)},
        None: len(classes),
    }
    out = np.zeros((len(place), len(place)))
    for pair, count in table.items():
        if ANY not in pair:
            out[place[pair[0]], place[pair[1]]] += count
    return out


def _detection(tables: Sequence[Table], unit: str) -> Estimate:
    # columns: matched pairs, and marks that stand alone
    counts = [
        (sum(n for pair, n in t.items() if None not in pair), sum(t.values())) for t in tables
    ]
    groups = np.array([(m, every - m) for m, every in counts if every], np.float64).reshape(-1, 2)
    matched, alone = (int(value) for value in groups.sum(axis=0))
    if not len(groups):
        return Estimate(
            math.nan,
            math.nan,
            math.nan,
            0,
            "none",
            "neither marked a nucleus",
        )
    value = f1(matched, matched, matched + alone)
    if len(groups) > 1:
        low, high, said = bootstrap(
            groups,
            lambda sums: 2 * sums[:, 0] / (2 * sums[:, 0] + sums[:, 1]),
            unit,
        )
        return Estimate(value, low, high, matched + alone, said)
    # F1 grows with the share of distinct nuclei that both marked, whose interval is Wilson's (1927)
    total = matched + alone
    share = matched / total
    square = Z95**2 / total
    middle = share + square / 2
    half = Z95 * math.sqrt(share * (1 - share) / total + square / (4 * total))
    low, high = ((middle + sign * half) / (1 + square) for sign in (-1, 1))
    low, high = (2 * end / (1 + end) for end in (max(low, 0.0), min(high, 1.0)))
    return Estimate(
        value, low, high, total, f"asymptotic, one {unit} (its nuclei taken as independent)"
    )
