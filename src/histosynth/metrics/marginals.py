"""One number a tile, many tiles: differences of means and Wasserstein distances, each beside its
floor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.arrays import Float64Array
from ..core.estimate import undefined
from .comparison import Comparison, Side, baseline_pair, compare, mean_difference, wasserstein
from .finding import Finding, Plot, Series
from .sample import Sample

LEAST = 8
"""Tiles of a side below which the distance of two distributions is not told: it would be noise."""
PLACES = 512


@dataclass(frozen=True)
class Quantity:
    """A number that was measured of each tile.

    Attributes:
        name: of its findings, e.g. `stain_od_red`.
        title: for people.
        unit: of the value.
        key: under which `TileMeasurements.values` holds it, an array.
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
        values = np.array(
            [np.ravel(tile.values[self.key])[self.column] for tile in sample.tiles], np.float64
        )
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
        synthetic: what was made.
        reference: real tissue of other patients; None: the floor is told from halves of `real`.
        name: of the summary, `<name>_W1`: distances in standard deviations of real tiles, averaged.
        seed: of the halves.
    """
    pair, note = baseline_pair(real, reference, seed)
    findings = []
    scaled = []
    for quantity in quantities:
        more, distance = _compared(quantity, (synthetic, real), pair, note)
        findings += more
        spread = np.nanstd(quantity.of(real)) if np.isfinite(quantity.of(real)).any() else 0.0
        if distance is not None and spread > 0:
            scaled.append((distance, float(spread)))
    summary = _summary(
        scaled,
        len(quantities),
        name=name,
        note=note,
        n=len(synthetic),
    )
    sides = (("real", real), ("synthetic", synthetic))
    plots = tuple(_plot(quantity, sides) for quantity in quantities)
    return (summary, *findings), tuple(plot for plot in plots if plot.series)


def _compared(
    quantity: Quantity,
    sides: tuple[Sample, Sample],
    pair: tuple[Sample, Sample] | None,
    note: str,
) -> tuple[list[Finding], Comparison | None]:
    unit = quantity.unit
    all_sides = (*sides, *(pair or ()))
    values = [quantity.of(side) for side in all_sides]
    whose = [side.patients for side in all_sides]
    means = [
        Side.of(np.stack([x, np.ones(len(x))], axis=1), names)
        for x, names in zip(values, whose, strict=True)
    ]
    told = [side.n for side in means]
    name = f"{quantity.name}_difference"
    if not min(told[:2]):
        why = undefined("no tile of one side could be measured; it takes 1", unit=unit)
        return [Finding(name, why, "real"), Finding(f"{quantity.name}_W1", why, "low")], None
    apart = compare(mean_difference, *_split(means))
    first = Finding(
        name,
        apart.estimate(unit=unit, distance=False),
        "real",
        apart.real(unit=unit, distance=False),
        note="mean of synthetic tiles - mean of real ones; " + note,
    )
    if min(told[:2]) < LEAST:
        why = undefined(
            f"{min(told[:2])} tiles of one side; give at least {LEAST}",
            n=told[0],
            unit=unit,
        )
        return [first, Finding(f"{quantity.name}_W1", why, "low")], None
    grid = grid_of(np.concatenate(values))
    spreads = [
        Side.spread(list(x), names, grid, [1.0] * len(x))
        for x, names in zip(values, whose, strict=True)
    ]
    distance = compare(wasserstein(grid), *_split(spreads))
    second = Finding(
        f"{quantity.name}_W1",
        distance.estimate(unit=unit),
        "low",
        distance.real(unit=unit),
        distance.ratio(),
        note=note,
    )
    return [first, second], distance


def _split(sides: list[Side]) -> tuple[tuple[Side, Side], tuple[Side, Side] | None]:
    baseline = (
        (sides[2], sides[3]) if len(sides) == 4 and min(side.n for side in sides[2:]) else None
    )
    return (sides[0], sides[1]), baseline


def grid_of(values: Float64Array) -> Float64Array:
    """(B,) places to gather values at: the values themselves, or about a thousand places among
    many.
    """
    told = np.unique(values[np.isfinite(values)])
    if len(told) <= 2 * PLACES:
        return told
    levels = np.linspace(0, 1, PLACES)
    # quantiles where values are dense, even steps for the tails
    return np.union1d(np.quantile(told, levels), told[0] + levels * (told[-1] - told[0]))


def _summary(
    scaled: list[tuple[Comparison, float]],
    many: int,
    *,
    name: str,
    note: str,
    n: int,
) -> Finding:
    if not scaled:
        why = undefined(f"no quantity could be compared; give at least {LEAST} tiles a side", n=n)
        return Finding(f"{name}_W1", why, "low")
    baselines = [each.baseline / spread for each, spread in scaled if each.baseline is not None]
    first = scaled[0][0]
    mean = Comparison(
        np.mean([each.value / spread for each, spread in scaled], axis=0),
        np.mean(baselines, axis=0) if len(baselines) == len(scaled) else None,
        min(each.n for each, _ in scaled),
        min(each.groups for each, _ in scaled),
        first.baseline_n,
        first.baseline_groups,
    )
    about = (
        f"mean of {len(scaled)} of {many} distances, each in standard deviations of real "
        f"tiles; {note}"
    )
    value = mean.estimate(unit="sd")
    return Finding(
        f"{name}_W1",
        value,
        "low",
        mean.real(unit="sd"),
        mean.ratio(),
        note=about,
    )


def _plot(quantity: Quantity, sides: Sequence[tuple[str, Sample]]) -> Plot:
    series = []
    for role, sample in sides:
        values = quantity.of(sample)
        values = values[np.isfinite(values)]
        if len(values) and role in ("real", "synthetic"):
            series.append(Series("real" if role == "real" else "synthetic", role, values.tolist()))
    axis = f"{quantity.title} ({quantity.unit})" if quantity.unit else quantity.title
    return Plot(quantity.title, axis, "", tuple(series), "density")
