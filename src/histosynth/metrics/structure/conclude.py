"""Scores of detectors on synthetic tiles, compared with their scores on real tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from ...core.arrays import Float64Array
from ..finding import Finding, Plot, Section, Series
from ..proportions import Score, quotient, share_finding
from ..sample import Sample
from ..titles import with_titles
from .measure import REACH_UM, STRICT_UM
from .words import structure_titles

MIN_NUCLEI_FOR_SHARE = 20
"""A share of fewer nuclei is not reported."""
ERROR_BINS = 240
"""Bins of localisation errors, from 0 to `REACH_UM`."""
_MAX_PLOTTED_ERRORS = 2000
_FOUND = 1
"""Column of `counts`."""
_REQUESTED = 2
"""Column of `counts`."""
_ABOUT = (
    "Nuclei found where they were requested, one to one within 6 micrometres (and 3), by detectors "
    "that are independent of the generator. A detector misses nuclei of real tissue too: read the "
    "ratio to its score there."
)
_RINGS_NOTE = (
    "by rings of colour around each requested place, fitted on real tiles; no detector is involved"
)
TileFunction = Callable[[Float64Array], Sequence[float] | Float64Array]
"""Values of one tile => numbers that are summed over tiles."""


@dataclass(frozen=True)
class _Sides:
    """Both sides of one detector; real is None where there is no baseline."""

    synthetic: Sample
    real: Sample | None

    def __iter__(self) -> Iterator[tuple[Literal["synthetic", "real"], Sample]]:
        yield "synthetic", self.synthetic
        if self.real is not None:
            yield "real", self.real


@dataclass(frozen=True, eq=False)
class _TileRows:
    """Numbers of each tile that are summed, (N, F), with the patients (N)."""

    numbers: Float64Array
    patients: list[str]

    def total(self, column: int) -> int:
        """Sum of a column over all tiles."""
        return int(np.nansum(self.numbers[:, column]))


@dataclass(frozen=True, eq=False)
class _BothRows:
    """Rows of synthetic tiles, and of real ones if there are any."""

    synthetic: _TileRows
    real: _TileRows | None


@dataclass(frozen=True)
class _CountScore:
    """A score of matched, found and requested nuclei.

    Attributes:
        measure: `F1`, `precision` or `recall`.
        name: of the finding.
        reach: row of `counts`: 0 for `REACH_UM`, 1 for `STRICT_UM`.
        group: 0 for all nuclei, 1 + index for a class.
    """

    measure: Literal["F1", "precision", "recall"]
    name: str
    reach: int = 0
    group: int = 0

    def row(self, counts: Float64Array) -> list[float]:
        """(2, 1 + K, 3) counts of a tile => numerator, denominator and requested nuclei."""
        matched, found, requested = counts[self.reach, self.group]
        if self.measure == "precision":
            return [matched, found, requested]
        if self.measure == "recall":
            return [matched, requested, requested]
        # F1 is the harmonic mean of the other two
        return [2 * matched, found + requested, requested]


def conclude_structure(
    synthetic: Sample,
    real: Sample | None,
    classes: Sequence[str],
    detectors: Sequence[str],
) -> Section:
    """F1, precision, recall, classes, counts and places of nuclei, each with the same on real
    tiles.

    Intervals are over patients; those present on both sides are resampled jointly.

    Args:
        synthetic: with the values of `measure_structure`.
        real: the same detectors on real tiles against the nuclei marked there; None: there is no
            baseline.
        classes: the requested classes, in the order of the values.
        detectors: names as in the values; those that were not measured are left out.
    """
    findings: list[Finding] = []
    plots: list[Plot] = []
    chance: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for name in detectors:
        sides = _measured_sides(synthetic, real, f"structure/{name}/counts")
        if sides is None:
            continue
        by_chance = {each.name: each for each in _scores(name, sides, classes, "chance")}
        chance[name] = {each.name: each.as_dict() for each in by_chance.values()}
        for score in _scores(name, sides, classes, "counts"):
            findings.append(_with_chance(score, by_chance))
        findings += [_count_error(name, sides), _localisation(name, sides)]
        plots += [_count_plot(name, sides), _error_plot(name, sides)]
    for name in (*detectors, "rings"):
        sides = _measured_sides(synthetic, real, f"structure/{name}/confusion")
        if sides is None:
            continue
        findings.append(_accuracy(name, sides, len(classes)))
        tables[name] = _confusion_table(name, sides, classes)
    return Section(
        "structure",
        "Structure",
        _ABOUT,
        with_titles(findings, structure_titles(detectors, classes)),
        {
            "reach_um": REACH_UM,
            "strict_um": STRICT_UM,
            "chance": chance,
            "confusion": tables,
        },
        tuple(plots),
    )


def _measured_sides(
    synthetic: Sample,
    real: Sample | None,
    key: str,
) -> _Sides | None:
    """The sides that have these values; None where the synthetic one has not."""
    if not synthetic.has(key):
        return None
    if real is None or not real.has(key):
        return _Sides(synthetic, None)
    return _Sides(synthetic, real)


def _scores(
    detector: str,
    sides: _Sides,
    classes: Sequence[str],
    which: Literal["counts", "chance"],
) -> list[Finding]:
    """Precision, recall and F1 of what the detector found, or of random points (`chance`)."""
    scores = [
        _CountScore("F1", f"F1_{detector}"),
        _CountScore("precision", f"precision_{detector}"),
        _CountScore("recall", f"recall_{detector}"),
        _CountScore(
            "F1",
            f"F1_{detector}_{STRICT_UM:g}um",
            reach=1,
        ),
    ]
    for class_id, class_name in enumerate(classes):
        scores.append(
            _CountScore(
                "F1",
                f"F1_{detector}_{class_name}",
                group=1 + class_id,
            )
        )
    findings = []
    for score in scores:
        rows = _rows(
            sides,
            f"structure/{detector}/{which}",
            score.row,
        )
        if np.isnan(rows.synthetic.numbers).all():
            continue  # a class that the detector does not detect
        findings.append(_finding(score.name, "high", rows, count_column=2))
    return findings


def _with_chance(finding: Finding, by_chance: Mapping[str, Finding]) -> Finding:
    level = by_chance[finding.name].value
    if not level.is_defined:
        return finding
    note = f"as many points placed anywhere, classes shuffled: {level.value:.2f}"
    return replace(finding, note=note)


def _count_error(detector: str, sides: _Sides) -> Finding:
    """Sum over tiles of |found - requested| / requested."""

    def row(counts: Float64Array) -> list[float]:
        found = counts[0, 0, _FOUND]
        requested = counts[0, 0, _REQUESTED]
        return [abs(found - requested), requested]

    return _finding(
        f"count_error_{detector}",
        "low",
        _rows(sides, f"structure/{detector}/counts", row),
        count_column=1,
        note="sum over tiles of |found - requested|, as a share of those requested",
    )


def _localisation(detector: str, sides: _Sides) -> Finding:
    """Median localisation error of matched pairs.

    It is computed from binned counts, so that bootstrap replicates are sums.
    """

    def row(errors: Float64Array) -> Float64Array:
        counts, _ = np.histogram(errors, ERROR_BINS, (0, REACH_UM))
        counts = counts.astype(np.float64)
        return np.append(counts, counts.sum())

    return _finding(
        f"localisation_{detector}",
        "low",
        _rows(
            sides,
            f"structure/{detector}/errors_um",
            row,
        ),
        count_column=-1,
        unit="um",
        score=lambda sums: median_um(sums[:, :-1]),
    )


def median_um(counts: Float64Array) -> Float64Array:
    """(R, B) counts of B equal bins from 0 to `REACH_UM` => (R,) medians, um.

    Within a bin the median is interpolated linearly.
    """
    bins = counts.shape[1]
    cumulative = counts.cumsum(axis=1)
    half = cumulative[:, -1:] / 2
    median_bin = (cumulative < half).sum(axis=1)[:, None].clip(max=bins - 1)
    in_bin = np.take_along_axis(counts, median_bin, 1)
    before = np.take_along_axis(cumulative, median_bin, 1) - in_bin
    fraction = (half - before) / in_bin
    return np.asarray(((median_bin + fraction) * REACH_UM / bins)[:, 0])


def _accuracy(
    name: str,
    sides: _Sides,
    classes: int,
) -> Finding:
    """Of the matched pairs with defined classes: the share with the requested class."""

    def row(table: Float64Array) -> list[float]:
        matched = table[:classes, :classes]
        return [float(np.trace(matched)), float(matched.sum())]

    return _finding(
        f"class_accuracy_{name}",
        "high",
        _rows(sides, f"structure/{name}/confusion", row),
        count_column=1,
        note=_RINGS_NOTE if name == "rings" else "among the nuclei that were found",
    )


def _confusion_table(
    name: str,
    sides: _Sides,
    classes: Sequence[str],
) -> dict[str, Any]:
    """Confusion of both sides as lists."""
    extra = []
    missed = []
    if name != "rings":
        extra = ["extra"]
        missed = ["missed"]
    tables: dict[str, Any] = {"synthetic": None, "real": None}
    for role, sample in sides:
        table = sample.stack(f"structure/{name}/confusion").sum(axis=0)
        tables[role] = table.astype(int).tolist()
    return {
        "requested": [*classes, *extra],
        "found": [*classes, *missed],
        **tables,
    }


def _rows(
    sides: _Sides,
    key: str,
    row: TileFunction,
) -> _BothRows:
    """`row` of the values of each tile of both sides."""
    real = None
    if sides.real is not None:
        real = _rows_of(sides.real, key, row)
    return _BothRows(_rows_of(sides.synthetic, key, row), real)


def _rows_of(
    sample: Sample,
    key: str,
    row: TileFunction,
) -> _TileRows:
    rows = [row(np.asarray(values, np.float64)) for values in sample.each(key)]
    return _TileRows(np.array(rows), sample.patients)


def _finding(
    name: str,
    better: Literal["high", "low"],
    rows: _BothRows,
    *,
    count_column: int,
    unit: str = "",
    note: str = "",
    score: Score = quotient,
) -> Finding:
    """A score of sums over tiles; the sum of `count_column` is the number of nuclei."""
    synthetic = rows.synthetic
    real = None
    real_count = 0
    if rows.real is not None:
        real = (rows.real.numbers, rows.real.patients)
        real_count = rows.real.total(count_column)
    return share_finding(
        name,
        better,
        (synthetic.numbers, synthetic.patients),
        real,
        n=(synthetic.total(count_column), real_count),
        min_count=MIN_NUCLEI_FOR_SHARE,
        score=score,
        unit=unit,
        note=note,
    )


def _count_plot(detector: str, sides: _Sides) -> Plot:
    """Requested and found nuclei of each tile."""
    series = []
    for role, sample in sides:
        counts = sample.stack(f"structure/{detector}/counts")[:, 0, 0]
        requested = counts[:, _REQUESTED].tolist()
        found = counts[:, _FOUND].tolist()
        series.append(Series(role, role, requested, found))
    return Plot(
        f"Nuclei of each tile, {detector}",
        "requested",
        "found",
        tuple(series),
        "scatter",
    )


def _error_plot(detector: str, sides: _Sides) -> Plot:
    """Distance of each found nucleus from its requested place."""
    series = []
    for role, sample in sides:
        each = sample.each(f"structure/{detector}/errors_um")
        errors = np.concatenate([np.asarray(values, float) for values in each])
        step = max(len(errors) // _MAX_PLOTTED_ERRORS, 1)
        series.append(Series(role, role, errors[::step].tolist()))
    return Plot(
        f"Places of nuclei, {detector}",
        "distance from the requested place (micrometres)",
        "",
        tuple(series),
        "density",
    )
