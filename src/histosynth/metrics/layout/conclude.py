"""Findings on layout: what was obtained against what was requested, and against real tissue."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ...core.arrays import Float64Array
from ...core.estimate import undefined
from ..comparison import (
    Comparison,
    Side,
    Statistic,
    baseline_pair,
    compare,
    mean_difference,
    total_variation,
    wasserstein,
)
from ..finding import Finding, Plot, Section, Series
from ..sample import Sample
from .measure import ALL, Pair, class_pairs, excess, neighbour_pairs, pcf_of, ripley_of
from .patterns import RADII_UM

LEAST = 50
"""Nuclei of a kind that a side must hold before the distances of that kind are told."""
NEAREST_UM = np.arange(0, 100.25, 0.25)
Role = Literal["requested", "real", "synthetic"]
UNITS = {"nearest": "um", "L": "um", "g": ""}


@dataclass(frozen=True)
class _Question:
    """Two samples to set beside each other, and two of the floor, first what stands in synthetic's
    place.
    """

    name: str
    sides: tuple[Sample, Sample]
    baseline: tuple[Sample, Sample] | None
    note: str

    @property
    def samples(self) -> tuple[Sample, ...]:
        return (*self.sides, *(self.baseline or ()))

    def told(self, statistic: Statistic, side: Callable[[Sample], Side]) -> Comparison:
        """A statistic of sums that `side` makes."""
        synthetic = [side(sample) for sample in self.samples]
        return compare(
            statistic,
            (synthetic[0], synthetic[1]),
            (synthetic[2], synthetic[3]) if self.baseline else None,
        )


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
    """How nuclei found in synthetic tiles stand, against what was asked for and against real
    tissue.

    A detector is wrong about real tiles too. So what was obtained differs from what was requested
    by at least as much as what is found in real tiles differs from what people marked there: that
        is the floor of
    `<measure>_from_requested`. The floor of `<measure>_from_real` is real tissue of other patients,
    seen by the same detector.

    Args:
        requested: nuclei that tiles were made from; None: they were free.
        obtained: nuclei found again in synthetic tiles.
        real: nuclei found by the same detector in real tiles.
        classes: classes, in the order that they were measured in.
        marked: nuclei that people marked in the tiles of `real`.
        reference: nuclei found in real tiles of other patients; None: halves of `real` against each
            other.
        seed: of the halves.
    """
    questions = []
    if requested is not None and len(requested):
        pair = None
        note = "no floor: there are no marks of real tiles"
        if real is not None and marked is not None and len(real) and len(marked):
            pair = (real, marked)
            note = "floor: found in real tiles against marked there"
        questions.append(_Question("requested", (obtained, requested), pair, note))
    if real is not None and len(real):
        baseline, note = baseline_pair(real, reference, seed)
        questions.append(_Question("real", (obtained, real), baseline, note))
    findings: list[Finding] = []
    tables: dict[str, list[dict[str, object]]] = {}
    for config in questions if len(obtained) else ():
        findings += _plain(config)
        for name, pairs, told in _by_pair(config, classes):
            more, table = _pooled(
                config,
                f"{name}_from_{config.name}",
                pairs,
                told,
            )
            findings += more
            tables[f"{name}_from_{config.name}"] = table
    about = (
        "Composition (total variation distance), density, nearest neighbours (Wasserstein "
        "distance, weighed "
        "after Hanisch 1984), L(r) - r and pair correlation g(r) with translation correction "
        "(Ohser & Stoyan "
        "1981; mean absolute difference of curves over r). K and g are ratios of sums over tiles."
    )
    roles: dict[Role, Sample | None] = {
        "requested": requested,
        "real": real,
        "synthetic": obtained,
    }
    seen = {role: sample for role, sample in roles.items() if sample is not None and len(sample)}
    plots = tuple(_plots(seen, classes))
    return Section(
        "layout",
        "Layout of nuclei",
        about,
        tuple(findings),
        {"pairs": tables},
        plots,
    )


def _plain(config: _Question) -> list[Finding]:
    """Composition and density."""
    density = config.told(mean_difference, _numbers)
    unit = "per mm2"
    out = [
        Finding(
            f"density_from_{config.name}",
            density.estimate(unit=unit, distance=False),
            "real",
            density.real(unit=unit, distance=False),
            note="difference of densities; " + config.note,
        )
    ]
    name = f"composition_from_{config.name}"
    told = min(float(sample.stack("layout/counts")[:, :-1].sum()) for sample in config.samples)
    if told < LEAST:
        reason = f"one side has {told:.0f} nuclei of a told kind; give at least {LEAST}"
        return [Finding(name, undefined(reason, n=len(config.sides[0])), "low"), *out]
    mix = config.told(total_variation, _kinds)
    return [
        Finding(
            name,
            mix.estimate(),
            "low",
            mix.real(),
            mix.ratio(),
            note=config.note,
        ),
        *out,
    ]


def _by_pair(
    config: _Question, classes: Sequence[str]
) -> list[tuple[str, list[Pair], dict[Pair, Comparison]]]:
    """Nearest neighbours, L and g: of each pair of kinds that all samples hold enough of."""
    counts = np.min(
        [sample.stack("layout/counts").sum(axis=0) for sample in config.samples], axis=0
    )
    total = min(sample.stack("layout/counts").sum() for sample in config.samples)
    enough = {name for name, count in zip(classes, counts, strict=False) if count >= LEAST}
    enough |= {ALL} if total >= LEAST else set()
    near = neighbour_pairs(classes)
    curves = class_pairs(classes)
    ripley = _between(excess)
    pcf = _between(np.asarray)
    nearest = wasserstein(NEAREST_UM)
    told: dict[str, dict[Pair, Comparison]] = {"nearest": {}, "L": {}, "g": {}}
    for pair in near:
        if enough.issuperset(pair):
            told["nearest"][pair] = config.told(nearest, partial(_near, pair=pair))
    for row, pair in enumerate(curves):
        if enough.issuperset(pair):
            told["L"][pair] = config.told(ripley, partial(_sums, key="layout/ripley", row=row))
            told["g"][pair] = config.told(pcf, partial(_sums, key="layout/pcf", row=row))
    return [("nearest", near, told["nearest"]), ("L", curves, told["L"]), ("g", curves, told["g"])]


def _numbers(sample: Sample) -> Side:
    both = np.stack(
        [sample.stack("layout/counts").sum(axis=1), sample.stack("layout/area")[:, 0]], axis=1
    )
    return Side.of(both, sample.patients)


def _kinds(sample: Sample) -> Side:
    return Side.of(sample.stack("layout/counts")[:, :-1], sample.patients)


def _near(sample: Sample, pair: Pair) -> Side:
    name = f"{pair[0]}>{pair[1]}"
    gaps, weights = (sample.each(f"layout/{key}/{name}") for key in ("nn", "nn_weight"))
    return Side.spread(gaps, sample.patients, NEAREST_UM, weights)


def _sums(sample: Sample, key: str, row: int) -> Side:
    """(G, 2 R): numerators, then denominators; 0 where a tile is too small to tell."""
    both = np.stack([sample.stack(key)[:, row], sample.stack("layout/products")[:, row]], axis=1)
    return Side.of(np.nan_to_num(both).reshape(len(sample), -1), sample.patients)


def _between(curve: Callable[[Float64Array], Float64Array]) -> Statistic:
    """Mean absolute difference of two curves over the radii that both can tell."""

    def distance(left: Float64Array, right: Float64Array) -> Float64Array:
        steps = len(RADII_UM)
        one, two = (curve(side[:, :steps] / side[:, steps:]) for side in (left, right))
        gap = np.abs(one - two)
        told = np.isfinite(gap)
        return np.asarray(np.where(told, gap, 0).sum(axis=1) / told.sum(axis=1))

    return distance


def _pooled(
    config: _Question,
    name: str,
    pairs: list[Pair],
    told: dict[Pair, Comparison],
) -> tuple[list[Finding], list[dict[str, object]]]:
    """A finding for all nuclei, one for the mean over pairs of kinds, and a table of the pairs."""
    unit = UNITS[name.split("_")[0]]
    table: list[dict[str, object]] = []
    for pair in told:
        value = told[pair].estimate(unit=unit)
        real = told[pair].real(unit=unit)
        table.append(
            {
                "pair": list(pair),
                "value": value.as_dict(),
                "real": real.as_dict() if real else None,
            }
        )
    named = [told[pair] for pair in told if pair != (ALL, ALL)]
    out = []
    for which, each in (("all", told.get((ALL, ALL))), ("kinds", _mean(named))):
        if each is None:
            why = undefined(
                f"a side holds fewer than {LEAST} nuclei",
                n=len(config.sides[0]),
                unit=unit,
            )
            out.append(Finding(f"{name}_{which}", why, "low", note=config.note))
            continue
        note = config.note
        if which == "kinds":
            note = f"mean over {len(named)} of {len(pairs) - 1} pairs of kinds; {note}"
        value = each.estimate(unit=unit)
        real = each.real(unit=unit)
        out.append(
            Finding(
                f"{name}_{which}",
                value,
                "low",
                real,
                each.ratio(),
                note=note,
            )
        )
    return out, table


def _mean(each: list[Comparison]) -> Comparison | None:
    if not each:
        return None
    baselines = [one.baseline for one in each if one.baseline is not None]
    return Comparison(
        np.mean([one.value for one in each], axis=0),
        np.mean(baselines, axis=0) if len(baselines) == len(each) else None,
        min(one.n for one in each),
        min(one.groups for one in each),
        each[0].baseline_n,
        each[0].baseline_groups,
    )


def _plots(samples: Mapping[Role, Sample], classes: Sequence[str]) -> list[Plot]:
    """L(r) - r and g(r), of all nuclei and within each kind."""
    curves = {role: (excess(ripley_of(sample)), pcf_of(sample)) for role, sample in samples.items()}
    out = []
    for row, (one, two) in enumerate(class_pairs(classes)):
        for which, (title, unit) in (
            enumerate((("L(r) - r", " (um)"), ("g(r)", ""))) if one == two else ()
        ):
            series = []
            for role, both in curves.items():
                y = both[which][row]
                keep = np.isfinite(y)
                if keep.any():
                    series.append(
                        Series(
                            role,
                            role,
                            RADII_UM[keep].tolist(),
                            y[keep].tolist(),
                        )
                    )
            out.append(
                Plot(
                    f"{title}, {one}",
                    "r (um)",
                    title + unit,
                    tuple(series),
                )
            )
    return [plot for plot in out if plot.series]
