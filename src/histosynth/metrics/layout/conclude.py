"""The report section on layout: obtained compared with requested nuclei, and with real tissue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import undefined
from ..comparison import (
    Comparison,
    PatientSums,
    Statistic,
    baseline_pair,
    compare,
    mean_comparison,
    mean_difference,
    total_variation,
    wasserstein,
)
from ..finding import Finding, Plot, Section, Series
from ..sample import Sample
from ..titles import with_titles
from .measure import ALL, ClassPair, class_pairs, excess, neighbour_pairs, pcf_of, ripley_of
from .patterns import RADII_UM
from .words import layout_titles

MIN_NUCLEI_FOR_LAYOUT = 50
"""Nuclei of a class that a side must contain before the distances of that class are reported."""
NEAREST_GRID_UM = np.arange(0, 100.25, 0.25)
_Role = Literal["requested", "real", "synthetic"]
_ABOUT = (
    "Composition (total variation distance), density, nearest neighbours (Wasserstein distance, "
    "weighted after Hanisch 1984), L(r) - r and pair correlation g(r) with translation correction "
    "(Ohser & Stoyan 1981; mean absolute difference of curves over r). K and g are ratios of sums "
    "over tiles."
)


@dataclass(frozen=True)
class _Against:
    """Obtained nuclei against one other sample, and the two samples of the real baseline.

    Attributes:
        name: of the other sample, in the names of findings.
        sides: obtained, and the other sample.
        baseline: the pair that takes their place; None: there is none.
        note: which real tissue the baseline is of.
    """

    name: Literal["requested", "real"]
    sides: tuple[Sample, Sample]
    baseline: tuple[Sample, Sample] | None
    note: str

    @property
    def samples(self) -> tuple[Sample, ...]:
        return (*self.sides, *(self.baseline or ()))

    def compare(
        self,
        statistic: Statistic,
        sums_of: Callable[[Sample], PatientSums],
    ) -> Comparison:
        """A statistic of the sums of each sample."""
        sums = [sums_of(sample) for sample in self.samples]
        baseline = None
        if self.baseline is not None:
            baseline = (sums[2], sums[3])
        return compare(statistic, (sums[0], sums[1]), baseline)


@dataclass(frozen=True, eq=False)
class _PairDistances:
    """A distance by pair of classes.

    Attributes:
        name: `nearest`, `L` or `g`.
        unit: of the distance.
        pairs: number of pairs of classes, with (all, all).
        by_pair: of the pairs of which all samples contain enough nuclei.
    """

    name: str
    unit: str
    pairs: int
    by_pair: dict[ClassPair, Comparison]

    def table(self) -> list[dict[str, object]]:
        """JSON-able, a row a pair."""
        rows: list[dict[str, object]] = []
        for pair, comparison in self.by_pair.items():
            real = comparison.real(unit=self.unit)
            row: dict[str, object] = {
                "pair": list(pair),
                "value": comparison.estimate(unit=self.unit).as_dict(),
                "real": real.as_dict() if real else None,
            }
            rows.append(row)
        return rows


def conclude_layout(
    requested: Sample | None,
    obtained: Sample,
    real: Sample | None,
    classes: Sequence[str],
    *,
    marked: Sample | None = None,
    reference: Sample | None = None,
    seed: int = 0,
) -> Section:
    """How nuclei found in synthetic tiles are arranged, compared with the request and with real
    tissue.

    A detector errs on real tiles too. So what was obtained differs from what was requested by at
    least as much as what is found in real tiles differs from what people marked there: that is the
    baseline of `<measure>_from_requested`. The baseline of `<measure>_from_real` is real tissue of
    other patients, measured with the same detector.

    Args:
        requested: nuclei from which tiles were generated; None: they were not given.
        obtained: nuclei found in synthetic tiles.
        real: nuclei found by the same detector in real tiles.
        classes: classes, in the order in which they were measured.
        marked: nuclei that people marked in the tiles of `real`.
        reference: nuclei found in real tiles of other patients; None: halves of `real` against each
            other.
        seed: of the halves.
    """
    findings: list[Finding] = []
    tables: dict[str, list[dict[str, object]]] = {}
    if len(obtained):
        if requested is not None and len(requested):
            against = _against_requested(
                obtained,
                requested,
                real,
                marked,
            )
            findings += _findings(against, classes, tables)
        if real is not None and len(real):
            baseline, note = baseline_pair(real, reference, seed)
            against = _Against("real", (obtained, real), baseline, note)
            findings += _findings(against, classes, tables)
    samples: dict[_Role, Sample] = {}
    if requested is not None and len(requested):
        samples["requested"] = requested
    if real is not None and len(real):
        samples["real"] = real
    if len(obtained):
        samples["synthetic"] = obtained
    return Section(
        "layout",
        "Layout of nuclei",
        _ABOUT,
        with_titles(findings, layout_titles()),
        {"pairs": tables},
        tuple(_plots(samples, classes)),
    )


def _against_requested(
    obtained: Sample,
    requested: Sample,
    real: Sample | None,
    marked: Sample | None,
) -> _Against:
    baseline = None
    note = "no baseline: there are no marks of real tiles"
    if real is not None and len(real) and marked is not None and len(marked):
        baseline = (real, marked)
        note = "baseline: found in real tiles against marked there"
    return _Against(
        "requested",
        (obtained, requested),
        baseline,
        note,
    )


def _findings(
    against: _Against,
    classes: Sequence[str],
    tables: dict[str, list[dict[str, object]]],
) -> list[Finding]:
    """All findings of one comparison; adds its tables of pairs to `tables`."""
    findings = [_composition(against), _density(against)]
    for distances in _distances_by_pair(against, classes):
        findings += _pooled(against, distances)
        tables[f"{distances.name}_from_{against.name}"] = distances.table()
    return findings


def _density(against: _Against) -> Finding:
    density = against.compare(mean_difference, _counts_and_areas)
    unit = "per mm2"
    return Finding(
        f"density_from_{against.name}",
        density.estimate(unit=unit, distance=False),
        "real",
        density.real(unit=unit, distance=False),
        note="difference of densities; " + against.note,
    )


def _composition(against: _Against) -> Finding:
    name = f"composition_from_{against.name}"
    totals = [sample.stack("layout/counts")[:, :-1].sum() for sample in against.samples]
    classified = min(float(total) for total in totals)
    if classified < MIN_NUCLEI_FOR_LAYOUT:
        reason = (
            f"one side has {classified:.0f} nuclei with a class; "
            f"give at least {MIN_NUCLEI_FOR_LAYOUT}"
        )
        return Finding(
            name,
            undefined(reason, n=len(against.sides[0])),
            "low",
        )
    composition = against.compare(total_variation, _class_counts)
    return Finding(
        name,
        composition.estimate(),
        "low",
        composition.real(),
        composition.ratio(),
        note=against.note,
    )


def _distances_by_pair(against: _Against, classes: Sequence[str]) -> list[_PairDistances]:
    """Nearest neighbours, L and g of each pair of classes of which all samples contain enough."""
    enough = _frequent_classes(against.samples, classes)
    ordered = neighbour_pairs(classes)
    unordered = class_pairs(classes)
    nearest = _PairDistances("nearest", "um", len(ordered), {})
    ripley = _PairDistances("L", "um", len(unordered), {})
    pcf = _PairDistances("g", "", len(unordered), {})
    for pair in ordered:
        if enough.issuperset(pair):
            sums_of = partial(_neighbour_histograms, pair=pair)
            nearest.by_pair[pair] = against.compare(wasserstein(NEAREST_GRID_UM), sums_of)
    for row, pair in enumerate(unordered):
        if enough.issuperset(pair):
            ripley_sums = partial(_curve_sums, key="layout/ripley", row=row)
            pcf_sums = partial(_curve_sums, key="layout/pcf", row=row)
            ripley.by_pair[pair] = against.compare(_curve_distance(excess), ripley_sums)
            pcf.by_pair[pair] = against.compare(_curve_distance(np.asarray), pcf_sums)
    return [nearest, ripley, pcf]


def _frequent_classes(samples: Sequence[Sample], classes: Sequence[str]) -> set[str]:
    """Classes, and `ALL`, of which every sample contains at least `MIN_NUCLEI_FOR_LAYOUT`."""
    totals = [sample.stack("layout/counts").sum(axis=0) for sample in samples]
    smallest = np.min(totals, axis=0)
    frequent = set()
    for name, count in zip(classes, smallest, strict=False):  # the last count is without a class
        if count >= MIN_NUCLEI_FOR_LAYOUT:
            frequent.add(name)
    if min(total.sum() for total in totals) >= MIN_NUCLEI_FOR_LAYOUT:
        frequent.add(ALL)
    return frequent


def _counts_and_areas(sample: Sample) -> PatientSums:
    counts = sample.stack("layout/counts").sum(axis=1)
    areas = sample.stack("layout/area")[:, 0]
    return PatientSums.of(np.stack([counts, areas], axis=1), sample.patients)


def _class_counts(sample: Sample) -> PatientSums:
    return PatientSums.of(sample.stack("layout/counts")[:, :-1], sample.patients)


def _neighbour_histograms(sample: Sample, pair: ClassPair) -> PatientSums:
    name = f"{pair[0]}>{pair[1]}"
    return PatientSums.histograms(
        sample.each(f"layout/nn/{name}"),
        sample.patients,
        NEAREST_GRID_UM,
        sample.each(f"layout/nn_weight/{name}"),
    )


def _curve_sums(
    sample: Sample,
    key: str,
    row: int,
) -> PatientSums:
    """(G, 2 R): numerators, then denominators; 0 where a tile is too small to define them."""
    numerators = sample.stack(key)[:, row]
    denominators = sample.stack("layout/products")[:, row]
    both = np.nan_to_num(np.stack([numerators, denominators], axis=1))
    return PatientSums.of(both.reshape(len(sample), -1), sample.patients)


def _curve_distance(curve: Callable[[Float64Array], Float64Array]) -> Statistic:
    """Mean absolute difference of two curves over the radii at which both are defined."""
    steps = len(RADII_UM)

    def distance(left: Float64Array, right: Float64Array) -> Float64Array:
        left_curve = curve(left[:, :steps] / left[:, steps:])
        right_curve = curve(right[:, :steps] / right[:, steps:])
        gap = np.abs(left_curve - right_curve)
        defined = np.isfinite(gap)
        total = np.where(defined, gap, 0).sum(axis=1)
        return np.asarray(total / defined.sum(axis=1))

    return distance


def _pooled(against: _Against, distances: _PairDistances) -> list[Finding]:
    """A finding for all nuclei, and one for the mean over pairs of classes."""
    name = f"{distances.name}_from_{against.name}"
    all_nuclei = distances.by_pair.get((ALL, ALL))
    of_classes = [each for pair, each in distances.by_pair.items() if pair != (ALL, ALL)]
    mean = mean_comparison(of_classes) if of_classes else None
    mean_note = (
        f"mean over {len(of_classes)} of {distances.pairs - 1} pairs of classes; {against.note}"
    )
    return [
        _distance_finding(
            f"{name}_all",
            all_nuclei,
            distances.unit,
            against,
            against.note,
        ),
        _distance_finding(
            f"{name}_classes",
            mean,
            distances.unit,
            against,
            mean_note,
        ),
    ]


def _distance_finding(
    name: str,
    distance: Comparison | None,
    unit: str,
    against: _Against,
    note: str,
) -> Finding:
    if distance is None:
        why = undefined(
            f"a side holds fewer than {MIN_NUCLEI_FOR_LAYOUT} nuclei",
            n=len(against.sides[0]),
            unit=unit,
        )
        return Finding(name, why, "low", note=against.note)
    return Finding(
        name,
        distance.estimate(unit=unit),
        "low",
        distance.real(unit=unit),
        distance.ratio(),
        note=note,
    )


def _plots(samples: Mapping[_Role, Sample], classes: Sequence[str]) -> Iterator[Plot]:
    """L(r) - r and g(r), of all nuclei and within each class."""
    excess_curves = {role: excess(ripley_of(sample)) for role, sample in samples.items()}
    pcf_curves = {role: pcf_of(sample) for role, sample in samples.items()}
    for row, (one, other) in enumerate(class_pairs(classes)):
        if one != other:
            continue
        plots = (
            _curve_plot(
                f"L(r) - r, {one}",
                "L(r) - r (micrometres)",
                excess_curves,
                row,
            ),
            _curve_plot(
                f"g(r), {one}",
                "g(r)",
                pcf_curves,
                row,
            ),
        )
        for plot in plots:
            if plot.series:
                yield plot


def _curve_plot(
    title: str,
    axis: str,
    curves: Mapping[_Role, Float64Array],
    row: int,
) -> Plot:
    series = []
    for role, curve in curves.items():
        y = curve[row]
        finite = np.isfinite(y)
        if finite.any():
            series.append(
                Series(
                    role,
                    role,
                    RADII_UM[finite].tolist(),
                    y[finite].tolist(),
                )
            )
    return Plot(title, "distance r (micrometres)", axis, tuple(series))
