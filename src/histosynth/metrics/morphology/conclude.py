"""How synthetic nuclei differ from real ones, class by class, with the baseline of real nuclei."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ...core.arrays import BoolArray, Float64Array
from ...core.estimate import undefined
from ...core.number_format import spelt_unit
from ..comparison import (
    Comparison,
    PatientSums,
    baseline_pair,
    compare,
    mean_comparison,
    wasserstein,
)
from ..finding import Finding, Plot, Section, Series
from ..marginals import grid_of
from ..proportions import TileRows, share_finding
from ..sample import Sample
from ..titles import with_titles
from .features import FEATURE_FAMILIES, FEATURE_UNITS, NUCLEUS_FEATURES
from .nucleus_table import NucleusTable
from .two_sample import two_sample_auc
from .words import FEATURE_TITLES, morphology_titles

MIN_NUCLEI_OF_CLASS = 20
"""Nuclei of a class on each side, below which the class is left out."""
INSIDE_PERCENTILES = (2.5, 97.5)
SMOOTHED_PERCENTILE = 5.0
"""Nuclei with less fine power than this percentile of real ones of their class count as
over-smoothed."""
_MAX_GRID_POINTS = 300
"""Steps of the distribution functions that are compared."""
_MAX_PLOTTED_NUCLEI = 500
_MIN_SPREAD = 1e-9
_UNIT = "real sd"
_ABOUT = (
    "Nuclei that a detector finds, outlined by a threshold, each in the class of the one requested "
    "within 3 micrometres, compared with real nuclei of the same class. Outlines err alike on both "
    "sides: read every number with its baseline."
)
_MIXED_CLASSES = (
    "all classes; the two sides of the baseline may contain other shares of them, which a "
    "classifier distinguishes as well; "
)
_MITOSES = (
    "mitotic figures; SarcoDiff (Lomte et al. 2025) reports 12 % over-smoothed, counted "
    "in its own way; "
)
_Role = Literal["synthetic", "real", "reference"]


@dataclass(frozen=True, eq=False)
class _TablePair:
    """Two sets of nuclei, the first compared with the second."""

    first: NucleusTable
    second: NucleusTable

    @property
    def smaller_count(self) -> int:
        return min(len(self.first), len(self.second))

    def of_class(self, class_id: int) -> _TablePair:
        """Only nuclei of a class."""
        return _TablePair(
            self.first.where(self.first.class_ids == class_id),
            self.second.where(self.second.class_ids == class_id),
        )

    def only(self, features: Sequence[str]) -> _TablePair:
        """Only some features."""
        return _TablePair(self.first.only(features), self.second.only(features))


@dataclass(frozen=True, eq=False)
class _Nuclei:
    """Nuclei that are compared: all, or those of one class.

    Attributes:
        name: in the names of findings.
        sides: synthetic and real.
        baseline: two sets of real nuclei; None: there is none.
        note: of all findings.
    """

    name: str
    sides: _TablePair
    baseline: _TablePair | None
    note: str


def conclude_morphology(
    synthetic: Sample,
    real: Sample,
    reference: Sample | None,
    classes: Sequence[str],
) -> Section:
    """Distances of each feature, AUC of a classifier, and shares inside the real range.

    For each class of `classes` (and all nuclei): `W1_<class>_<feature>`, 1-D Wasserstein distances
    in real standard deviations, and their mean `W1_<class>`; `AUC_<class>` of distinguishing
    synthetic from real nuclei, of all nuclei (`AUC_nuclei`) also by shape, dye and chromatin alone,
    which shows by what they are distinguished; `inside_<class>`, the share of values within the
    middle 95 % of real ones; `smoothed_<class>`, the share of nuclei with less fine power than 95 %
    of real ones have. Classes that begin with "mito" are noted as mitotic figures.

    Args:
        synthetic: with the values of `measure_morphology`.
        real: tiles to compare with.
        reference: real tiles of other patients, for the baseline; None: real's patients are halved.
        classes: class names, in the order of the values.
    """
    sides = _TablePair(NucleusTable.of(synthetic), NucleusTable.of(real))
    pair, note = baseline_pair(real, reference)
    baseline = None
    if pair is not None:
        baseline = _TablePair(NucleusTable.of(pair[0]), NucleusTable.of(pair[1]))
    all_nuclei = _Nuclei(
        "nuclei",
        sides,
        baseline,
        _MIXED_CLASSES + note,
    )
    findings = [_outlined(synthetic, real), _auc_finding(all_nuclei)]
    findings += [_family_auc(all_nuclei, family) for family in FEATURE_FAMILIES]
    class_facts = {}
    for class_id, name in enumerate(classes):
        of_class = sides.of_class(class_id)
        class_baseline = None if baseline is None else baseline.of_class(class_id)
        class_facts[name] = _facts(of_class)
        findings += _of_class(_Nuclei(name, of_class, class_baseline, note))
    plotted: dict[_Role, NucleusTable] = {"synthetic": sides.first, "real": sides.second}
    if reference is not None and len(reference) and baseline is not None:
        plotted["reference"] = baseline.first
    return Section(
        "morphology",
        "Morphology of nuclei",
        _ABOUT,
        with_titles(findings, morphology_titles(classes)),
        {
            "features": list(NUCLEUS_FEATURES),
            "units": FEATURE_UNITS,
            "classes": class_facts,
        },
        tuple(_plot(column, plotted) for column in range(len(NUCLEUS_FEATURES))),
    )


def _outlined(synthetic: Sample, real: Sample) -> Finding:
    """Share of the requested nuclei that are dark at their centroid and of a nucleus' size."""
    synthetic_rows, synthetic_count = _outlined_rows(synthetic)
    real_rows, real_count = _outlined_rows(real)
    return share_finding(
        "outlined",
        "real",
        synthetic_rows,
        real_rows,
        n=(synthetic_count, real_count),
        min_count=MIN_NUCLEI_OF_CLASS,
        note="of those that the border of their tile does not cut",
    )


def _outlined_rows(sample: Sample) -> tuple[TileRows, int]:
    """(T, 2) outlined and complete nuclei of each tile, and how many are complete."""
    counts = np.zeros((4, 0))
    if len(sample):
        counts = sample.stack("morphology/left_out").T
    nuclei, not_dark, cut, wrong_size = counts
    complete = nuclei - cut
    outlined = nuclei - not_dark - cut - wrong_size
    rows = np.stack([outlined, complete], axis=1)
    return (rows, sample.patients), int(complete.sum())


def _of_class(nuclei: _Nuclei) -> list[Finding]:
    """All findings of one class."""
    smaller = nuclei.sides.smaller_count
    name = nuclei.name
    if smaller < MIN_NUCLEI_OF_CLASS:
        reason = f"one side has {smaller} nuclei of this class; it takes {MIN_NUCLEI_OF_CLASS}"
        why = undefined(reason, n=smaller)
        return [Finding(f"W1_{name}", why, "low"), Finding(f"AUC_{name}", why, "real")]
    baseline = nuclei.baseline
    if baseline is not None and baseline.smaller_count < MIN_NUCLEI_OF_CLASS:
        baseline = None
    note = nuclei.note
    if name.lower().startswith("mito"):
        note = _MITOSES + note
    nuclei = _Nuclei(name, nuclei.sides, baseline, note)
    return [
        *_distances(nuclei),
        _auc_finding(nuclei),
        _inside_finding(nuclei),
        _smoothed_finding(nuclei),
    ]


def _distances(nuclei: _Nuclei) -> list[Finding]:
    """W1 of each feature, after their mean."""
    columns = range(len(NUCLEUS_FEATURES))
    distances = [_distance(column, nuclei) for column in columns]
    measured = [distance for distance in distances if distance is not None]
    mean = mean_comparison(measured) if measured else None
    note = nuclei.note
    if len(measured) < len(distances):
        note = f"mean of {len(measured)} of {len(distances)} features; {note}"
    findings = [_distance_finding(f"W1_{nuclei.name}", mean, nuclei, note)]
    for feature, distance in zip(NUCLEUS_FEATURES, distances, strict=True):
        name = f"W1_{nuclei.name}_{feature}"
        findings.append(_distance_finding(name, distance, nuclei, nuclei.note))
    return findings


def _distance_finding(
    name: str,
    distance: Comparison | None,
    nuclei: _Nuclei,
    note: str,
) -> Finding:
    if distance is None:
        why = undefined(
            "all real nuclei are alike in it, so that there is no standard deviation to divide by",
            n=len(nuclei.sides.first),
            unit=_UNIT,
        )
        return Finding(name, why, "low", note=note)
    return Finding(
        name,
        distance.estimate(unit=_UNIT),
        "low",
        distance.real(unit=_UNIT),
        distance.ratio(),
        note=note,
    )


def _distance(column: int, nuclei: _Nuclei) -> Comparison | None:
    """W1 of a feature, the area between two distribution functions (Vallender 1974).

    In standard deviations of the real nuclei; None where those are alike and others differ.
    """
    tables = [nuclei.sides.first, nuclei.sides.second]
    if nuclei.baseline is not None:
        tables += [nuclei.baseline.first, nuclei.baseline.second]
    fine = grid_of(np.concatenate([table.values[:, column] for table in tables]))
    # both ends and evenly between: a third of the work, and a distance within 1 %
    points = np.linspace(0, len(fine) - 1, _MAX_GRID_POINTS).round().astype(np.intp)
    grid = fine[np.unique(points)]
    sums = [_histograms(table, column, grid) for table in tables]
    spread = max(float(nuclei.sides.second.values[:, column].std()), _MIN_SPREAD)
    if spread == _MIN_SPREAD and len(grid) > 1:
        return None
    area = wasserstein(grid)

    def distance(first: Float64Array, second: Float64Array) -> Float64Array:
        return area(first, second) / spread

    baseline = (sums[2], sums[3]) if nuclei.baseline is not None else None
    return compare(distance, (sums[0], sums[1]), baseline)


def _histograms(
    table: NucleusTable,
    column: int,
    grid: Float64Array,
) -> PatientSums:
    values = table.by_tile(column)
    weights = [np.ones(len(each)) for each in values]
    return PatientSums.histograms(
        values,
        table.patients,
        grid,
        weights,
    )


def _auc_finding(nuclei: _Nuclei) -> Finding:
    """AUC of a classifier; there is no ratio, because half of it is chance."""
    value = two_sample_auc(nuclei.sides.first, nuclei.sides.second)
    baseline = None
    if nuclei.baseline is not None:
        baseline = two_sample_auc(nuclei.baseline.first, nuclei.baseline.second)
    return Finding(
        f"AUC_{nuclei.name}",
        value,
        "real",
        baseline,
        note="0.5: cannot be distinguished from real ones; " + nuclei.note,
    )


def _family_auc(nuclei: _Nuclei, family: str) -> Finding:
    """AUC by the features of one family alone."""
    features = FEATURE_FAMILIES[family]
    baseline = None
    if nuclei.baseline is not None:
        baseline = nuclei.baseline.only(features)
    part = _Nuclei(
        f"{nuclei.name}_{family}",
        nuclei.sides.only(features),
        baseline,
        f"by {', '.join(features)} alone; {nuclei.note}",
    )
    return _auc_finding(part)


def _inside_finding(nuclei: _Nuclei) -> Finding:
    """Share of values within the middle 95 % of real ones."""

    def inside(pair: _TablePair) -> Float64Array:
        low, high = np.percentile(
            pair.second.values,
            INSIDE_PERCENTILES,
            axis=0,
        )
        values = pair.first.values
        return np.asarray(((values >= low) & (values <= high)).mean(axis=1))

    note = f"mean over features of the share within the middle 95 % of real ones; {nuclei.note}"
    return _marked_share(
        f"inside_{nuclei.name}",
        nuclei,
        inside,
        note,
    )


def _smoothed_finding(nuclei: _Nuclei) -> Finding:
    """Share of nuclei with less fine power than real ones."""
    column = NUCLEUS_FEATURES.index("fine_power")

    def smoothed(pair: _TablePair) -> BoolArray:
        limit = np.percentile(pair.second.values[:, column], SMOOTHED_PERCENTILE)
        return np.asarray(pair.first.values[:, column] < limit)

    note = f"below the {SMOOTHED_PERCENTILE:g}th percentile of real fine power; {nuclei.note}"
    return _marked_share(
        f"smoothed_{nuclei.name}",
        nuclei,
        smoothed,
        note,
    )


def _marked_share(
    name: str,
    nuclei: _Nuclei,
    mark: Callable[[_TablePair], BoolArray | Float64Array],
    note: str,
) -> Finding:
    """Mean of a mark of the first nuclei of a pair; the baseline is that of the baseline's pair."""
    rows = nuclei.sides.first.share(mark(nuclei.sides))
    baseline_rows = None
    baseline_count = 0
    if nuclei.baseline is not None:
        baseline_rows = nuclei.baseline.first.share(mark(nuclei.baseline))
        baseline_count = len(nuclei.baseline.first)
    return share_finding(
        name,
        "real",
        rows,
        baseline_rows,
        n=(len(nuclei.sides.first), baseline_count),
        min_count=MIN_NUCLEI_OF_CLASS,
        note=note,
    )


def _facts(sides: _TablePair) -> dict[str, Any]:
    """Medians, and how many nuclei there are."""
    return {
        "synthetic": _table_facts(sides.first),
        "real": _table_facts(sides.second),
    }


def _table_facts(table: NucleusTable) -> dict[str, Any]:
    medians = [None] * len(NUCLEUS_FEATURES)
    if len(table):
        medians = np.median(table.values, axis=0).round(4).tolist()
    return {"nuclei": len(table), "medians": dict(zip(NUCLEUS_FEATURES, medians, strict=True))}


def _plot(column: int, plotted: dict[_Role, NucleusTable]) -> Plot:
    feature = NUCLEUS_FEATURES[column]
    series = []
    for role, table in plotted.items():
        values = table.values[:, column]
        step = max(-(-len(values) // _MAX_PLOTTED_NUCLEI), 1)
        series.append(Series(role, role, values[::step].tolist()))
    title = FEATURE_TITLES[feature]
    axis = title
    if feature in FEATURE_UNITS:
        axis = f"{title} ({spelt_unit(FEATURE_UNITS[feature])})"
    return Plot(
        f"Nuclei: {title[:1].lower()}{title[1:]}",
        axis,
        "",
        tuple(series),
        "density",
    )
