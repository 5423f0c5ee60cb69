"""Findings on mended holes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...core.estimate import Estimate, undefined
from ..finding import Better, Finding, Plot, Section, Series
from ..intervals import mean_over, ratio_over
from ..sample import Sample
from .measure import REGIONS

NAMED = 10
"""Most tiles that are named in a sentence."""


def conclude_inpainting(
    completed: Sample,
    baseline: Sample | None = None,
    *,
    baseline_name: str = "",
    perceptual: str = "perceptual",
    about: Mapping[str, str] | None = None,
) -> Section:
    """How well holes were mended, and whether any known pixel was touched.

    Args:
        completed: tiles with the values of `measure_inpainting`.
        baseline: the same holes filled in a way to compare with, e.g. with real tissue of another
            patient; it stands beside each number. None: there is none.
        baseline_name: what that is, for the notes.
        perceptual: name of the perceptual distance.
        about: what must be said beside it (see `Perceptual.about`).

    Returns:
        `psnr_*`, `ssim_*`, `<perceptual>_*` inside and at the seam; `edge_step` and `fibres` beside
        the original tissue's own; `outside_largest` and `outside_changed`, which must be 0. The
        verdict says whether they are, and names the tiles where not.
    """
    compare = baseline if baseline is not None and len(baseline) else None
    findings = [
        _region(completed, compare, each, baseline_name)
        for each in _measures(completed, perceptual)
    ]
    sentence, touched = _untouched(completed)
    findings += [*_edges(completed), *_outside(completed)]
    text = (
        "Inside is the hole, the seam a band on both sides of its edge. An original is one of "
        "many tissues "
        "that fit, so PSNR and SSIM tell repair from blur only beside the floor. SSIM: Wang "
        "et al. 2004."
    )
    facts = {"perceptual": dict(about or {}), "changed_tiles": touched}
    return Section(
        "mending",
        "Mending of holes",
        text,
        tuple(findings),
        facts,
        _plots(completed),
        (),
        sentence,
    )


@dataclass(frozen=True)
class _Measure:
    """A number of `measure_inpainting` and how its finding is to read."""

    name: str
    key: str
    column: int
    better: Better
    unit: str


def _measures(completed: Sample, perceptual: str) -> list[_Measure]:
    classes: list[tuple[str, str, Better, str]] = [
        ("psnr", "psnr", "high", "dB"),
        ("ssim", "ssim", "high", ""),
    ]
    if completed.has("inpainting/perceptual"):
        classes.append((perceptual, "perceptual", "low", ""))
    return [
        _Measure(
            f"{name}_{region}",
            f"inpainting/{key}",
            column,
            better,
            unit,
        )
        for name, key, better, unit in classes
        for column, region in enumerate(REGIONS)
    ]


def _region(
    completed: Sample,
    baseline: Sample | None,
    measure: _Measure,
    baseline_name: str,
) -> Finding:
    value, note = _mean_of(completed, measure)
    real = None
    if baseline is not None and baseline.has(measure.key):
        real, _ = _mean_of(baseline, measure)
        compare = f"beside it: {baseline_name}" if baseline_name else ""
        note = "; ".join(part for part in (note, compare) if part)
    return Finding(
        measure.name,
        value,
        measure.better,
        real,
        note=note,
    )


def _mean_of(sample: Sample, measure: _Measure) -> tuple[Estimate, str]:
    """The mean; tiles without any difference, whose PSNR is infinite, are left out and counted."""
    unit = measure.unit
    if not len(sample):
        return undefined("there is no mended tile; it takes 1", unit=unit), ""
    values = sample.stack(measure.key)[:, measure.column]
    same = np.isinf(values)
    if same.any() and not np.isfinite(values).any():
        reason = f"nothing differs in any of {same.sum()} tiles, so that PSNR is infinite"
        return undefined(reason, n=int(same.sum()), unit=unit), ""
    note = (
        f"{same.sum()} tiles without any difference (infinite PSNR) left out" if same.any() else ""
    )
    return mean_over(values, sample.patients, unit=unit), note


def _edges(completed: Sample) -> list[Finding]:
    """Colour steps and fibres over the edge, beside what they are in the original."""
    if not len(completed):
        why = undefined("there is no mended tile; it takes 1")
        return [Finding("edge_step", why, "real"), Finding("fibres", why, "real")]
    steps = completed.stack("inpainting/edge_step")
    fibres = completed.stack("inpainting/fibres")
    whose = completed.patients
    unit = "grey levels"
    return [
        Finding(
            "edge_step",
            mean_over(steps[:, 0], whose, unit=unit),
            "real",
            mean_over(steps[:, 1], whose, unit=unit),
            ratio_over(steps[:, 0], steps[:, 1], whose),
            note="change of colour across the hole's edge, beside the original's at the same place",
        ),
        Finding(
            "fibres",
            ratio_over(fibres[:, 0, 0], fibres[:, 0, 1], whose),
            "real",
            ratio_over(fibres[:, 1, 0], fibres[:, 1, 1], whose),
            note="how far fibres keep their direction over the edge, -1 to 1, beside the "
            "original's",
        ),
    ]


def _outside(completed: Sample) -> list[Finding]:
    unit = "grey levels"
    if not len(completed):
        why = undefined("there is no mended tile; it takes 1", unit=unit)
        return [Finding("outside_largest", why, "zero"), Finding("outside_changed", why, "zero")]
    values = completed.stack("inpainting/outside")
    whole = "the largest of all known pixels of these tiles, which is no sample"
    largest = float(values[:, 0].max())
    count = int(values[:, 2].sum())
    groups = len(set(completed.patients))
    maximum = Estimate(
        largest,
        math.nan,
        math.nan,
        count,
        "none",
        whole,
        unit,
        groups,
    )
    share = ratio_over(values[:, 1], values[:, 2], completed.patients)
    return [
        Finding(
            "outside_largest",
            maximum,
            "zero",
            note="largest change of a known pixel",
        ),
        Finding(
            "outside_changed",
            share,
            "zero",
            note="share of known pixels that changed",
        ),
    ]


def _untouched(completed: Sample) -> tuple[str, list[str]]:
    if not len(completed):
        return "", []
    bad = [
        tile.name
        for tile, row in zip(completed.tiles, completed.stack("inpainting/outside"), strict=True)
        if row[1]
    ]
    if not bad:
        return f"No known pixel of {len(completed)} tiles was changed.", []
    names = ", ".join(bad[:NAMED]) + (f" and {len(bad) - NAMED} more" if len(bad) > NAMED else "")
    return f"Known pixels were changed in {len(bad)} of {len(completed)} tiles: {names}.", bad


def _plots(completed: Sample) -> tuple[Plot, ...]:
    if not len(completed):
        return ()
    steps = completed.stack("inpainting/edge_step")
    steps = steps[np.isfinite(steps).all(axis=1)]
    if not len(steps):
        return ()
    series = (
        Series("real", "original", steps[:, 1].tolist()),
        Series("synthetic", "mended", steps[:, 0].tolist()),
    )
    return (
        Plot(
            "Change of colour across the edge",
            "grey levels",
            "",
            series,
            "density",
        ),
    )
