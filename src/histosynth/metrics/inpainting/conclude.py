"""The report section on inpainting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...core.estimate import Estimate, undefined
from ...core.number_format import counted
from ..finding import Better, Finding, Plot, Section, Series
from ..intervals import mean_over, ratio_over
from ..sample import Sample
from ..titles import with_titles
from .measure import REGIONS
from .words import inpainting_titles

_MAX_NAMED_TILES = 10
"""Tiles that are named in a sentence."""
_GREY = "grey levels"
_NO_TILE = "there is no inpainted tile; it takes 1"
_NO_KNOWN_PIXEL = "the masks cover all pixels of all tiles"
_ABOUT = (
    "Inside is the mask, the boundary a band on both sides of its edge. An original is one of many "
    "tissues that fit, so PSNR and SSIM distinguish repair from blur only when compared with a "
    "baseline. "
    "SSIM: Wang et al. 2004."
)


def conclude_inpainting(
    completed: Sample,
    baseline: Sample | None = None,
    *,
    baseline_name: str = "",
    perceptual: str = "perceptual",
    about: Mapping[str, str] | None = None,
) -> Section:
    """How well masks were filled, and whether any known pixel was changed.

    Args:
        completed: tiles with the values of `measure_inpainting`.
        baseline: the same masks filled in a way to compare with, e.g. with real tissue of another
            patient; None: there is none.
        baseline_name: what that is, for the notes.
        perceptual: name of the perceptual distance.
        about: facts to be reported with it (see `Perceptual.about`).

    Returns:
        `psnr_*`, `ssim_*`, `<perceptual>_*` inside and at the boundary; `boundary_step` and
        `fibres`, with those of the original tissue; `outside_largest` and `outside_changed`, which
        must be 0. The verdict states whether they are, and names the tiles where not.
    """
    if baseline is not None and not len(baseline):
        baseline = None
    findings = []
    for measure in _measures(completed, perceptual):
        findings.append(
            _region_finding(
                completed,
                baseline,
                measure,
                baseline_name,
            )
        )
    findings += _boundary_findings(completed)
    findings += _outside_findings(completed)
    changed = _changed_tiles(completed)
    return Section(
        "inpainting",
        "Inpainting of masks",
        _ABOUT,
        with_titles(findings, inpainting_titles(perceptual)),
        {"perceptual": dict(about or {}), "changed_tiles": changed},
        _plots(completed),
        verdict=_verdict(completed, changed),
    )


@dataclass(frozen=True)
class _Measure:
    """A number of `measure_inpainting` and how its finding is to be read."""

    name: str
    key: str
    column: int
    better: Better
    unit: str


def _measures(completed: Sample, perceptual: str) -> list[_Measure]:
    columns = list(enumerate(REGIONS))
    out = []
    for column, region in columns:
        out.append(
            _Measure(
                f"psnr_{region}",
                "inpainting/psnr",
                column,
                "high",
                "dB",
            )
        )
    for column, region in columns:
        out.append(
            _Measure(
                f"ssim_{region}",
                "inpainting/ssim",
                column,
                "high",
                "",
            )
        )
    if completed.has("inpainting/perceptual"):
        for column, region in columns:
            name = f"{perceptual}_{region}"
            out.append(
                _Measure(
                    name,
                    "inpainting/perceptual",
                    column,
                    "low",
                    "",
                )
            )
    return out


def _region_finding(
    completed: Sample,
    baseline: Sample | None,
    measure: _Measure,
    baseline_name: str,
) -> Finding:
    value, note = _mean_of(completed, measure)
    notes = [note]
    real = None
    if baseline is not None and baseline.has(measure.key):
        real, _ = _mean_of(baseline, measure)
        if baseline_name:
            notes.append(f"compared with: {baseline_name}")
    return Finding(
        measure.name,
        value,
        measure.better,
        real,
        note="; ".join(part for part in notes if part),
    )


def _mean_of(sample: Sample, measure: _Measure) -> tuple[Estimate, str]:
    """The mean, and a note; tiles without any difference, whose PSNR is infinite, are left out."""
    unit = measure.unit
    if not len(sample):
        return undefined(_NO_TILE, unit=unit), ""
    values = sample.stack(measure.key)[:, measure.column]
    identical = int(np.isinf(values).sum())
    note = ""
    if identical:
        tiles = counted(identical, "tile")
        if not np.isfinite(values).any():
            reason = f"nothing differs in {tiles}, so that PSNR is infinite"
            return undefined(reason, n=identical, unit=unit), ""
        note = f"{tiles} without any difference (infinite PSNR) left out"
    return mean_over(values, sample.patients, unit=unit), note


def _boundary_findings(completed: Sample) -> list[Finding]:
    """Colour steps and fibres across the boundary, with those of the original."""
    if not len(completed):
        why = undefined(_NO_TILE)
        return [Finding("boundary_step", why, "real"), Finding("fibres", why, "real")]
    steps = completed.stack("inpainting/boundary_step")
    fibres = completed.stack("inpainting/fibres")
    patients = completed.patients
    return [
        Finding(
            "boundary_step",
            mean_over(steps[:, 0], patients, unit=_GREY),
            "real",
            mean_over(steps[:, 1], patients, unit=_GREY),
            ratio_over(steps[:, 0], steps[:, 1], patients),
            note="change of colour across the mask's boundary, compared with the original's at the "
            "same place",
        ),
        Finding(
            "fibres",
            ratio_over(
                fibres[:, 0, 0],
                fibres[:, 0, 1],
                patients,
            ),
            "real",
            ratio_over(
                fibres[:, 1, 0],
                fibres[:, 1, 1],
                patients,
            ),
            note="how far fibres keep their direction across the boundary, -1 to 1, compared with "
            "the original's",
        ),
    ]


def _outside_findings(completed: Sample) -> list[Finding]:
    """Changes of known pixels, which must be 0."""
    if not len(completed):
        why = undefined(_NO_TILE, unit=_GREY)
        return [Finding("outside_largest", why, "zero"), Finding("outside_changed", why, "zero")]
    values = completed.stack("inpainting/outside")
    if not values[:, 2].any():
        why = undefined(_NO_KNOWN_PIXEL, unit=_GREY)
        return [Finding("outside_largest", why, "zero"), Finding("outside_changed", why, "zero")]
    largest = Estimate(
        float(values[:, 0].max()),
        math.nan,
        math.nan,
        int(values[:, 2].sum()),
        "none",
        "the largest of all known pixels of these tiles, not a sample of them",
        _GREY,
        len(set(completed.patients)),
    )
    share = ratio_over(
        values[:, 1],
        values[:, 2],
        completed.patients,
    )
    return [
        Finding(
            "outside_largest",
            largest,
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


def _changed_tiles(completed: Sample) -> list[str]:
    """Names of the tiles in which a known pixel was changed."""
    if not len(completed):
        return []
    changed_pixels = completed.stack("inpainting/outside")[:, 1]
    pairs = zip(completed.tiles, changed_pixels, strict=True)
    return [tile.name for tile, pixels in pairs if pixels]


def _verdict(completed: Sample, changed: list[str]) -> str:
    tiles = len(completed)
    if not tiles:
        return ""
    if not completed.stack("inpainting/outside")[:, 2].any():
        return f"No verdict on known pixels: {_NO_KNOWN_PIXEL}."
    if not changed:
        return f"No known pixel of {counted(tiles, 'tile')} was changed."
    names = ", ".join(changed[:_MAX_NAMED_TILES])
    if len(changed) > _MAX_NAMED_TILES:
        names += f" and {len(changed) - _MAX_NAMED_TILES} more"
    return f"Known pixels were changed in {len(changed)} of {counted(tiles, 'tile')}: {names}."


def _plots(completed: Sample) -> tuple[Plot, ...]:
    if not len(completed):
        return ()
    steps = completed.stack("inpainting/boundary_step")
    steps = steps[np.isfinite(steps).all(axis=1)]
    if not len(steps):
        return ()
    series = (
        Series("real", "original", steps[:, 1].tolist()),
        Series(
            "synthetic",
            "inpainted",
            steps[:, 0].tolist(),
        ),
    )
    plot = Plot(
        "Change of colour across the boundary",
        _GREY,
        "",
        series,
        "density",
    )
    return (plot,)
