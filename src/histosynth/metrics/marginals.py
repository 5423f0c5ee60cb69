"""Compares quantities of which each tile has one: differences of means and Wasserstein
distances.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..core.arrays import Float64Array
from ..core.estimate import undefined
from ..core.number_format import spelt_unit
from .comparison import (
    Comparison,
    PatientSums,
    Statistic,
    baseline_pair,
    compare,
    mean_comparison,
    mean_difference,
    wasserstein,
)
from .finding import Finding, Plot, Series
from .sample import Sample
from .titles import with_titles

MIN_TILES_FOR_W1 = 8
"""Tiles of a side below which the distance of two distributions is not reported: it would be
noise."""
GRID_POINTS = 512


@dataclass(frozen=True)
class Quantity:
    """A number that was measured of each tile.

    Attributes:
        name: of its findings, e.g. `stain_od_red`.
        title: for people.
        unit: of the value.
        key: name of the array in `TileMeasurements.values`.
        column: which number of that array.
    """

    name: str
    title: str
    unit: str
    key: str
    column: int = 0

    def of(self, sample: Sample) -> Float64Array:
        """(N,) one number a tile; nan where it could not be measured."""
        if not len(sample):
            return np.zeros(0)
        numbers = [np.ravel(tile.values[self.key])[self.column] for tile in sample.tiles]
        values = np.array(numbers, np.float64)
        return np.where(np.isfinite(values), values, np.nan)


def compare_marginals(
    quantities: Sequence[Quantity],
    real: Sample,
    synthetic: Sample,
    reference: Sample | None,
    *,
    name: str,
    seed: int = 0,
) -> tuple[tuple[Finding, ...], tuple[Plot, ...]]:
    """A summary, then two findings a quantity: the difference of means and the Wasserstein
    distance.

    Args:
        quantities: what to compare.
        real: held-out tissue.
        synthetic: synthetic tissue.
        reference: real tissue of other patients; None: the baseline is taken from halves of `real`.
        name: of the summary, `<name>_W1`: distances in standard deviations of real tiles, averaged.
        seed: of the halves.
    """
    pair, note = baseline_pair(real, reference, seed)
    samples = (synthetic, real, *(pair or ()))
    findings: list[Finding] = []
    distances: list[Comparison] = []
    spreads: list[float] = []
    for quantity in quantities:
        found, distance = _compared(quantity, samples, note)
        findings += found
        spread = _spread(quantity.of(real))
        if distance is not None and spread > 0:
            distances.append(distance)
            spreads.append(spread)
    if distances:
        summary = _summary(
            name,
            distances,
            spreads,
            len(quantities),
            note,
        )
    else:
        reason = _why_no_summary(quantities, real)
        summary = Finding(
            f"{name}_W1",
            undefined(reason, n=len(synthetic)),
            "low",
        )
    plots = [_plot(quantity, real, synthetic) for quantity in quantities]
    titled = with_titles((summary, *findings), _titles(name, quantities))
    return titled, tuple(plot for plot in plots if plot.series)


def _titles(name: str, quantities: Sequence[Quantity]) -> Iterator[tuple[str, str]]:
    """Plain names of the findings."""
    yield f"{name}_W1", "Distance from real tissue, mean over all quantities"
    for quantity in quantities:
        yield f"{quantity.name}_difference", f"{quantity.title}: synthetic minus real"
        yield f"{quantity.name}_W1", f"{quantity.title}: distance from real tissue"


def _why_no_summary(quantities: Sequence[Quantity], real: Sample) -> str:
    if len(real) >= MIN_TILES_FOR_W1 and not any(_spread(each.of(real)) for each in quantities):
        return (
            f"{len(real)} real tiles are alike in every quantity, so that there is no standard "
            "deviation to divide by; give real tiles that differ"
        )
    return f"no quantity could be compared; give at least {MIN_TILES_FOR_W1} tiles a side"


def _spread(values: Float64Array) -> float:
    finite = values[np.isfinite(values)]
    # of equal values the deviation is 0, but a rounded mean would leave some 1e-17 to divide by
    if not len(finite) or finite.min() == finite.max():
        return 0.0
    return float(np.nanstd(values))


def _compared(
    quantity: Quantity,
    samples: Sequence[Sample],
    note: str,
) -> tuple[list[Finding], Comparison | None]:
    """Findings of one quantity, and its Wasserstein distance where it could be computed.

    Args:
        quantity: what to compare.
        samples: synthetic, real, and the two of the baseline if there is one.
        note: which real tissue the baseline is of.
    """
    unit = quantity.unit
    distance_name = f"{quantity.name}_W1"
    values = [quantity.of(sample) for sample in samples]
    means = []
    for sample, x in zip(samples, values, strict=True):
        with_count = np.stack([x, np.ones(len(x))], axis=1)
        means.append(PatientSums.of(with_count, sample.patients))
    measured = min(means[0].n, means[1].n)
    if not measured:
        why = undefined("no tile of one side could be measured; it takes 1", unit=unit)
        none = [
            Finding(
                f"{quantity.name}_difference",
                why,
                "real",
            ),
            Finding(distance_name, why, "low"),
        ]
        return none, None
    difference = _difference_finding(quantity, means, note)
    if measured < MIN_TILES_FOR_W1:
        why = undefined(
            f"{measured} tiles of one side; give at least {MIN_TILES_FOR_W1}",
            n=means[0].n,
            unit=unit,
        )
        return [difference, Finding(distance_name, why, "low")], None
    grid = grid_of(np.concatenate(values))
    histograms = []
    for sample, x in zip(samples, values, strict=True):
        weights = [1.0] * len(x)
        histograms.append(
            PatientSums.histograms(
                list(x),
                sample.patients,
                grid,
                weights,
            )
        )
    distance = _compare_with_baseline(wasserstein(grid), histograms)
    finding = Finding(
        distance_name,
        distance.estimate(unit=unit),
        "low",
        distance.real(unit=unit),
        distance.ratio(),
        note=note,
    )
    return [difference, finding], distance


def _difference_finding(
    quantity: Quantity,
    means: Sequence[PatientSums],
    note: str,
) -> Finding:
    difference = _compare_with_baseline(mean_difference, means)
    return Finding(
        f"{quantity.name}_difference",
        difference.estimate(
            unit=quantity.unit,
            distance=False,
        ),
        "real",
        difference.real(
            unit=quantity.unit,
            distance=False,
        ),
        note="mean of synthetic tiles - mean of real ones; " + note,
    )


def _compare_with_baseline(
    statistic: Statistic,
    sides: Sequence[PatientSums],
) -> Comparison:
    """Of synthetic, real and the two sides of the baseline, where both have measured tiles."""
    baseline = None
    if len(sides) == 4 and sides[2].n and sides[3].n:
        baseline = (sides[2], sides[3])
    return compare(statistic, (sides[0], sides[1]), baseline)


def grid_of(values: Float64Array) -> Float64Array:
    """(B,) points to bin values at: the values themselves, or about a thousand points among
    many.
    """
    finite = np.unique(values[np.isfinite(values)])
    if len(finite) <= 2 * GRID_POINTS:
        return finite
    levels = np.linspace(0, 1, GRID_POINTS)
    # quantiles where values are dense, even steps for the tails
    even = finite[0] + levels * (finite[-1] - finite[0])
    return np.union1d(np.quantile(finite, levels), even)


def _summary(
    name: str,
    distances: Sequence[Comparison],
    spreads: Sequence[float],
    quantities: int,
    note: str,
) -> Finding:
    mean = mean_comparison(distances, spreads)
    summary_note = (
        f"mean of {len(distances)} of {quantities} distances, each in standard deviations of "
        f"real tiles; {note}"
    )
    return Finding(
        f"{name}_W1",
        mean.estimate(unit="sd"),
        "low",
        mean.real(unit="sd"),
        mean.ratio(),
        note=summary_note,
    )


def _plot(
    quantity: Quantity,
    real: Sample,
    synthetic: Sample,
) -> Plot:
    sides: tuple[tuple[Literal["real", "synthetic"], Sample], ...] = (
        ("real", real),
        ("synthetic", synthetic),
    )
    series = []
    for role, sample in sides:
        values = quantity.of(sample)
        values = values[np.isfinite(values)]
        if len(values):
            series.append(Series(role, role, values.tolist()))
    axis = quantity.title
    if quantity.unit:
        axis = f"{quantity.title} ({spelt_unit(quantity.unit)})"
    return Plot(
        quantity.title,
        axis,
        "",
        tuple(series),
        "density",
    )
