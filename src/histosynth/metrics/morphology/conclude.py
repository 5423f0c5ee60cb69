"""How unlike real nuclei synthetic ones are, class by class, beside how unlike real ones of others
are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from ...core.estimate import undefined
from ..comparison import Comparison, Side, baseline_pair, compare, wasserstein
from ..finding import Finding, Plot, Section, Series
from ..marginals import grid_of
from ..proportions import share_finding
from ..sample import Sample
from .features import FAMILIES, FEATURES, UNITS
from .table import Table
from .two_sample import auc_of_telling

Pair = tuple[Table, Table]
LEAST_NUCLEI = 20
"""Nuclei of a class on each side, below which it is not judged."""
INSIDE = (2.5, 97.5)
SMOOTHED = 5.0
"""Nuclei with less fine power than this percentile of real ones of their class count as
over-smoothed."""
PLACES = 300
"""Steps of the distribution functions that are compared, at most."""
SHOWN = 500
"""Values of a density plot, at most."""
ABOUT = (
    "Nuclei that a detector sees, outlined by a threshold, each in the class of the one asked "
    "for within "
    "3 um, beside real nuclei of the same class. Outlines err alike on both sides: read every "
    "number beside "
    "its floor."
)
MIXED = "all classes; the floor's two sides may hold other shares of them, which is told as well; "
MITOSES = (
    "mitotic figures; SarcoDiff (Lomte et al. 2025) reports 12 % over-smoothed, counted "
    "in its own way; "
)


def conclude_morphology(
    synthetic: Sample,
    real: Sample,
    reference: Sample | None,
    classes: Sequence[str],
) -> Section:
    """Distances of each feature, what a classifier can tell, and what lies inside the real range.

    For each class of `classes` (and all nuclei): `W1_<class>_<feature>`, 1-D Wasserstein distances
    in real standard deviations, and their mean `W1_<class>`; `AUC_<class>` of telling synthetic
    from real nuclei, of all nuclei (`AUC_nuclei`) also by shape, dye and chromatin alone, which
    says what gives them away; `inside_<class>`, the share of values within the middle 95 % of real
    ones; `smoothed_<class>`, the share of nuclei with less fine power than 95 % of real ones have.
    Classes that begin with "mito" are said to be mitotic figures.

    Args:
        synthetic: with the values of `measure_morphology`.
        real: tiles it is held against.
        reference: real tiles of other patients, for the floor; None: real's patients are halved.
        classes: class names, in the order of the values.
    """
    generated = Table.of(synthetic)
    true = Table.of(real)
    pair, note = baseline_pair(real, reference)
    baseline = None if pair is None else (Table.of(pair[0]), Table.of(pair[1]))
    findings = [
        _outlined(synthetic, real),
        _told_apart("nuclei", (generated, true), baseline, MIXED + note),
    ]
    for family, features in FAMILIES.items():
        parts = generated.only(features), true.only(features)
        base = (
            None if baseline is None else (baseline[0].only(features), baseline[1].only(features))
        )
        said = f"by {', '.join(features)} alone; {MIXED}{note}"
        findings.append(_told_apart(f"nuclei_{family}", parts, base, said))
    facts: dict[str, Any] = {
        "features": list(FEATURES),
        "units": UNITS,
        "classes": {},
    }
    for place, name in enumerate(classes):
        sides = _of_kind((generated, true), place)
        base = None if baseline is None else _of_kind(baseline, place)
        facts["classes"][name] = _facts(sides)
        least = min(map(len, sides))
        if least < LEAST_NUCLEI:
            why = undefined(
                f"one side has {least} nuclei of this class; it takes {LEAST_NUCLEI}", n=least
            )
            findings += [Finding(f"W1_{name}", why, "low"), Finding(f"AUC_{name}", why, "real")]
            continue
        if base is not None and min(map(len, base)) < LEAST_NUCLEI:
            base = None
        said = (MITOSES if name.lower().startswith("mito") else "") + note
        findings += _distances(name, sides, base, said)
        findings += [_told_apart(name, sides, base, said), *_fidelity(name, sides, base, said)]
    shown: list[tuple[Literal["synthetic", "real", "reference"], Table]] = [
        ("synthetic", generated),
        ("real", true),
    ]
    if reference is not None and baseline is not None and len(reference):
        shown.append(("reference", baseline[0]))
    plots = tuple(_plot(column, shown) for column in range(len(FEATURES)))
    return Section(
        "morphology",
        "Morphology of nuclei",
        ABOUT,
        tuple(findings),
        facts,
        plots,
    )


def _of_kind(pair: Pair, place: int) -> Pair:
    return pair[0].where(pair[0].class_ids == place), pair[1].where(pair[1].class_ids == place)


def _outlined(synthetic: Sample, real: Sample) -> Finding:
    """Share of the nuclei asked about that are dark at their centroid and of a nucleus' size."""
    rows = []
    many = []
    for sample in (synthetic, real):
        asked, unseen, cut, absurd = (
            sample.stack("morphology/left_out").T if len(sample) else np.zeros((4, 0))
        )
        rows.append(
            (np.stack([asked - unseen - cut - absurd, asked - cut], axis=1), sample.patients)
        )
        many.append(int((asked - cut).sum()))
    note = "of those that the border of their tile does not cut"
    return share_finding(
        "outlined",
        "real",
        rows[0],
        rows[1],
        n=(many[0], many[1]),
        least=LEAST_NUCLEI,
        note=note,
    )


def _distances(
    name: str,
    sides: Pair,
    base: Pair | None,
    note: str,
) -> list[Finding]:
    """W1 of each feature and their mean."""
    out = []
    each = [_distance(column, sides, base) for column in range(len(FEATURES))]
    baselines = [said.baseline for said in each if said.baseline is not None]
    first = each[0]
    mean = Comparison(
        np.mean([said.value for said in each], axis=0),
        np.mean(baselines, axis=0) if baselines else None,
        first.n,
        first.groups,
        first.baseline_n,
        first.baseline_groups,
    )
    titles = [f"W1_{name}", *(f"W1_{name}_{feature}" for feature in FEATURES)]
    for title, said in zip(titles, [mean, *each], strict=True):
        unit = "real sd"
        out.append(
            Finding(
                title,
                said.estimate(unit=unit),
                "low",
                said.real(unit=unit),
                said.ratio(),
                note=note,
            )
        )
    return out


def _distance(column: int, sides: Pair, base: Pair | None) -> Comparison:
    """Vallender 1974: W1 is the area between two distribution functions. In real standard
    deviations.
    """
    tables = (*sides, *(base or ()))
    fine = grid_of(np.concatenate([table.values[:, column] for table in tables]))
    # both ends and every so many: a third of the work, and a distance within 1 %
    grid = fine[np.unique(np.linspace(0, len(fine) - 1, PLACES).round().astype(np.intp))]
    spread = max(float(sides[1].values[:, column].std()), 1e-9)
    summed = [
        Side.spread(
            values,
            table.patients,
            grid,
            [np.ones(len(each)) for each in values],
        )
        for table, values in ((table, table.by_tile(column)) for table in tables)
    ]
    area = wasserstein(grid)
    return compare(
        lambda left, right: area(left, right) / spread,
        (summed[0], summed[1]),
        (summed[2], summed[3]) if base else None,
    )


def _told_apart(
    name: str,
    sides: Pair,
    base: Pair | None,
    note: str,
) -> Finding:
    """AUC of a classifier; no ratio is given, since half of it is chance."""
    value = auc_of_telling(*sides)
    baseline = None if base is None else auc_of_telling(*base)
    said = "0.5: cannot be told from real ones; " + note
    return Finding(f"AUC_{name}", value, "real", baseline, note=said)


def _fidelity(
    name: str,
    sides: Pair,
    base: Pair | None,
    note: str,
) -> list[Finding]:
    """Shares inside the real range and below the real fine power, of the floor by the range of its
    second.
    """
    fine = FEATURES.index("fine_power")
    inside = []
    smooth = []
    for synthetic, true in (sides, base) if base else (sides,):
        low, high = np.percentile(true.values, INSIDE, axis=0)
        inside.append(
            synthetic.share(((synthetic.values >= low) & (synthetic.values <= high)).mean(axis=1))
        )
        smooth.append(
            synthetic.share(
                synthetic.values[:, fine] < np.percentile(true.values[:, fine], SMOOTHED)
            )
        )
    n = (len(sides[0]), len(base[0]) if base else 0)
    about = f"below the {SMOOTHED:g}th percentile of real fine power; {note}"
    return [
        share_finding(
            f"inside_{name}",
            "real",
            inside[0],
            inside[1] if base else None,
            n=n,
            least=LEAST_NUCLEI,
            note=f"mean over features of the share within the middle 95 % of real ones; {note}",
        ),
        share_finding(
            f"smoothed_{name}",
            "real",
            smooth[0],
            smooth[1] if base else None,
            n=n,
            least=LEAST_NUCLEI,
            note=about,
        ),
    ]


def _facts(sides: Pair) -> dict[str, Any]:
    """Medians, and how many nuclei there are."""
    out: dict[str, Any] = {}
    for role, table in zip(("synthetic", "real"), sides, strict=True):
        middle = (
            np.median(table.values, axis=0).round(4).tolist()
            if len(table)
            else [None] * len(FEATURES)
        )
        out[role] = {"nuclei": len(table), "medians": dict(zip(FEATURES, middle, strict=True))}
    return out


def _plot(
    column: int, shown: Sequence[tuple[Literal["synthetic", "real", "reference"], Table]]
) -> Plot:
    feature = FEATURES[column]
    series = []
    for role, table in shown:
        values = table.values[:, column]
        series.append(Series(role, role, values[:: max(-(-len(values) // SHOWN), 1)].tolist()))
    axis = f"{feature} ({UNITS[feature]})" if feature in UNITS else feature
    return Plot(
        f"Nuclei: {feature}",
        axis,
        "",
        tuple(series),
        "density",
    )
