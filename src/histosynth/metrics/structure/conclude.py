"""What detectors say of synthetic tiles, beside what they say of real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ...core.arrays import Float64Array
from ..finding import Finding, Plot, Section, Series
from ..proportions import Score, quotient, share_finding
from ..sample import Sample
from .measure import REACH_UM, STRICT_UM

LEAST_NUCLEI = 20
"""A share of fewer says nothing."""
ERROR_BINS = 240
SHOWN = 2000
"""Values of a density plot, at most."""
Sides = tuple[Sample, Sample | None]
Table = tuple[Float64Array, list[str]]
Both = tuple[Table, Table | None]
FOUND = 1
ASKED = 2
ABOUT = (
    "Nuclei found again where they were asked for, one to one within 6 um (and 3 um), by "
    "detectors that the "
    "painter does not know. A detector misses nuclei of real tissue too: read the ratio to "
    "its score there."
)


def conclude_structure(
    synthetic: Sample,
    real: Sample | None,
    classes: Sequence[str],
    detectors: Sequence[str],
) -> Section:
    """F1, precision, recall, classes, counts and places of nuclei, each beside the same on real
    tiles.

    Intervals are over patients; those who stand on both sides are drawn together.

    Args:
        synthetic: with the values of `measure_structure`.
        real: the same detectors on real tiles against the nuclei marked there; None: no floor is
            given.
        classes: the classes asked for, in the order of the values.
        detectors: names as in the values; those that were not measured are left out.
    """
    findings: list[Finding] = []
    plots: list[Plot] = []
    chance: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for name in detectors:
        key = f"structure/{name}/counts"
        if not synthetic.has(key):
            continue
        sides = (synthetic, real if real is not None and real.has(key) else None)
        by_chance = {each.name: each for each in _found(name, sides, classes, "chance")}
        chance[name] = {each.name: each.as_dict() for each in by_chance.values()}
        findings += [
            _with_chance(each, by_chance) for each in _found(name, sides, classes, "counts")
        ]
        findings += [_count_error(name, sides), _localisation(name, sides)]
        plots += _plots(name, sides)
    for name in (*detectors, "rings"):
        key = f"structure/{name}/confusion"
        if not synthetic.has(key):
            continue
        sides = (synthetic, real if real is not None and real.has(key) else None)
        findings.append(_accuracy(name, sides, len(classes)))
        tables[name] = _table(name, sides, classes)
    facts = {
        "reach_um": REACH_UM,
        "strict_um": STRICT_UM,
        "chance": chance,
        "confusion": tables,
    }
    return Section(
        "structure",
        "Structure",
        ABOUT,
        tuple(findings),
        facts,
        tuple(plots),
    )


def _found(
    name: str,
    sides: Sides,
    classes: Sequence[str],
    which: str,
) -> list[Finding]:
    """Precision, recall and F1 of the detector's own points, or of those placed anywhere
    (`chance`).
    """
    key = f"structure/{name}/{which}"
    asked = [(measure, f"{measure}_{name}", 0, 0) for measure in ("F1", "precision", "recall")]
    asked += [("F1", f"F1_{name}_{STRICT_UM:g}um", 1, 0)]
    asked += [
        ("F1", f"F1_{name}_{class_name}", 0, 1 + place) for place, class_name in enumerate(classes)
    ]
    out = []
    for measure, title, reach, place in asked:

        def row(
            counts: Float64Array, measure: str = measure, at: tuple[int, int] = (reach, place)
        ) -> list[float]:
            matched, found, wanted = counts[at]
            above, below = {
                "F1": (2 * matched, found + wanted),  # harmonic mean of the other two
                "precision": (matched, found),
                "recall": (matched, wanted),
            }[measure]
            return [above, below, wanted]

        rows = _rows(sides, key, row)
        if np.isnan(rows[0][0]).all():
            continue  # a class that the detector does not tell
        out.append(_finding(title, "high", rows, count=2))
    return out


def _with_chance(finding: Finding, by_chance: Mapping[str, Finding]) -> Finding:
    level = by_chance[finding.name].value
    if not level.is_defined:
        return finding
    return replace(
        finding, note=f"as many points placed anywhere, classes shuffled: {level.value:.2f}"
    )


def _count_error(name: str, sides: Sides) -> Finding:
    """Sum over tiles of |found - asked| / asked."""

    def row(counts: Float64Array) -> tuple[float, float]:
        return abs(counts[0, 0, FOUND] - counts[0, 0, ASKED]), counts[0, 0, ASKED]

    rows = _rows(sides, f"structure/{name}/counts", row)
    note = "sum over tiles of |found - asked|, as a share of those asked for"
    return _finding(
        f"count_error_{name}",
        "low",
        rows,
        count=1,
        note=note,
    )


def _localisation(name: str, sides: Sides) -> Finding:
    """Median distance of matched pairs; told from a histogram, of which draws of patients are
    sums.
    """

    def row(errors: Float64Array) -> Float64Array:
        counts = np.histogram(errors, ERROR_BINS, (0, REACH_UM))[0].astype(np.float64)
        return np.append(counts, counts.sum())

    rows = _rows(sides, f"structure/{name}/errors_um", row)
    return _finding(
        f"localisation_{name}",
        "low",
        rows,
        count=-1,
        unit="um",
        score=lambda s: median_um(s[:, :-1]),
    )


def median_um(counts: Float64Array) -> Float64Array:
    """(D, B) counts of B equal bins from 0 to `REACH_UM` => (D,) medians, um, in a straight line
    in a bin.
    """
    below = counts.cumsum(axis=1)
    half = below[:, -1:] / 2
    place = (below < half).sum(axis=1)[:, None].clip(max=counts.shape[1] - 1)
    inside = np.take_along_axis(counts, place, 1)
    before = np.take_along_axis(below, place, 1) - inside
    return np.asarray(((place + (half - before) / inside) * REACH_UM / counts.shape[1])[:, 0])


def _accuracy(name: str, sides: Sides, many: int) -> Finding:
    """Of the matched pairs of told classes: the share with the class asked for."""

    def row(table: Float64Array) -> tuple[float, float]:
        return float(np.trace(table[:many, :many])), float(table[:many, :many].sum())

    rows = _rows(sides, f"structure/{name}/confusion", row)
    note = (
        "by rings of colour around each place asked for, fitted on real tiles; no detector is "
        "involved"
        if name == "rings"
        else "among the nuclei found again"
    )
    return _finding(
        f"class_accuracy_{name}",
        "high",
        rows,
        count=1,
        note=note,
    )


def _table(name: str, sides: Sides, classes: Sequence[str]) -> dict[str, Any]:
    """Confusion of both sides as lists."""
    last = name != "rings"
    synthetic, true = (
        None
        if side is None
        else side.stack(f"structure/{name}/confusion").sum(axis=0).astype(int).tolist()
        for side in sides
    )
    return {
        "requested": [*classes, *(["extra"] if last else [])],
        "found": [*classes, *(["missed"] if last else [])],
        "synthetic": synthetic,
        "real": true,
    }


def _rows(
    sides: Sides, key: str, row: Callable[[Float64Array], Sequence[float] | Float64Array]
) -> Both:
    """`row` of the values of each tile of both sides."""
    synthetic, true = (
        None
        if side is None
        else (
            np.array([row(np.asarray(each, np.float64)) for each in side.each(key)]),
            side.patients,
        )
        for side in sides
    )
    return synthetic or (np.zeros((0, 2)), []), true


def _finding(
    name: str,
    better: Literal["high", "low"],
    rows: Both,
    *,
    count: int,
    unit: str = "",
    note: str = "",
    score: Score = quotient,
) -> Finding:
    """`count`: the column whose sum says how many nuclei were counted."""
    synthetic, true = rows
    many = (
        int(np.nansum(synthetic[0][:, count])),
        int(np.nansum(true[0][:, count])) if true else 0,
    )
    return share_finding(
        name,
        better,
        synthetic,
        true,
        n=many,
        least=LEAST_NUCLEI,
        score=score,
        unit=unit,
        note=note,
    )


def _plots(name: str, sides: Sides) -> list[Plot]:
    """Asked and found of each tile, and how far off the found ones are."""
    clouds: list[Series] = []
    errors: list[Series] = []
    roles: tuple[Literal["synthetic", "real"], ...] = ("synthetic", "real")
    for sample, role in zip(sides, roles, strict=True):
        if sample is None:
            continue
        counts = sample.stack(f"structure/{name}/counts")[:, 0, 0]
        far = np.concatenate(
            [np.asarray(each, float) for each in sample.each(f"structure/{name}/errors_um")]
        )
        far = far[:: max(len(far) // SHOWN, 1)]
        clouds.append(
            Series(
                role,
                role,
                counts[:, ASKED].tolist(),
                counts[:, FOUND].tolist(),
            )
        )
        errors.append(Series(role, role, far.tolist()))
    return [
        Plot(
            f"Nuclei of each tile, {name}",
            "asked for",
            "found",
            tuple(clouds),
            "scatter",
        ),
        Plot(
            f"Places of nuclei, {name}",
            "off by (um)",
            "",
            tuple(errors),
            "density",
        ),
    ]
