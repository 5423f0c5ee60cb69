"""`evaluate`: two sets of tiles in, the numbers of every metric out. One page, top to bottom.

real      ─┐                     ┌─ realism, quality, stain ─┐
synthetic ─┼─► items ─► measure ─┼─ structure, morphology,   ┼─► sections ─► report.json
reference ─┘   (each tile once,  │  layout, inpainting       │                report.html
                on any engine)   └─ search for copies ───────┘
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.folder_lock import own_folder
from ..core.links import refuse_links_in
from ..core.progress import ProgressCallback
from ..core.store import ensure_folder
from ..engine import Engine
from ..metrics.finding import Section
from ..metrics.membership import membership_verdict
from .assembly import make_report
from .config import EvaluationConfig, EvaluationProgress, InputOptions, MeasureSettings
from .galleries import MeasuredSides
from .inputs.opening import OpenedInputs, open_inputs
from .jobs.copy_search import search, with_matches
from .jobs.measure import measure, with_ring_classifier
from .jobs.plan import gathered, measure_jobs, run_all, search_jobs
from .report import Report, refuse_foreign_reports, write_report
from .sections import conclude_all

MeasureLosses = Callable[[OpenedInputs, ProgressCallback | None], Section]
"""Measures the losses of a bundle, which this package may not open, and concludes from them."""


def evaluate(
    config: EvaluationConfig,
    out: Path,
    *,
    engine: Engine,
    progress: EvaluationProgress | None = None,
    membership: MeasureLosses | None = None,
) -> Report:
    """Measure synthetic tiles and compare them with real ones.

    Writes `out/report.json` and `out/report.html`. Measurements are kept in `out/.measured`, so
    that a second run measures only what is missing.

    Args:
        config: what is compared, and how.
        out: folder of the report.
        engine: where tiles are measured.
        progress: callbacks of the stages.
        membership: adds the section of a bundle's losses.

    Raises:
        SplitLeak: a patient of `real` is in `reference`.
        SizeMismatch, BadOption: tiles of different sizes or scales.
        HistosynthError: whatever an input is refused for.
    """
    began = time.monotonic()
    progress = progress or EvaluationProgress()
    refuse_foreign_reports(out)
    opened = _with_ring_classifier(open_inputs(config, progress.opened))
    with own_folder(out) as work:
        folder = ensure_folder(out / ".measured")
        refuse_links_in(folder)
        jobs = measure_jobs(opened, config, folder)
        run_all(
            engine,
            measure,
            _flat(jobs),
            work.counting(progress.measured, "files of measurements are written to"),
        )
        samples, refused = gathered(jobs, opened)
        if "copying" in opened.metrics:
            searches = search_jobs(jobs, opened, folder)
            run_all(
                engine,
                search,
                _flat(searches),
                progress.searched,
            )
            for side, each in searches.items():
                samples[side] = with_matches(samples[side], each)
        measured = MeasuredSides(
            samples,
            opened.real,
            opened.synthetic,
            opened.library,
        )
        sections = conclude_all(
            measured,
            opened.metrics,
            opened.measurement,
            seed=config.seed,
            on_progress=progress.concluded,
        )
        if membership is not None:
            losses = membership(opened, progress.losses)
            sections.append(replace(losses, verdict=membership_verdict(losses)))
        seconds = time.monotonic() - began
        report = make_report(
            opened,
            config,
            sections,
            refused,
            seconds=seconds,
        )
        write_report(report, out)
    return report


def dry_run(config: EvaluationConfig) -> dict[str, Any]:
    """Open and check everything, and measure nothing: which tiles, metrics and classes."""
    opened = open_inputs(config)
    sides = {
        "real": opened.real,
        "synthetic": opened.synthetic,
        "reference": opened.reference,
    }
    facts: dict[str, Any] = {}
    for name, side in sides.items():
        if side is not None:
            facts[f"{name} tiles"] = f"{len(side.items)} of {len(side.patients)} patients"
    facts["metrics"] = ", ".join(opened.metrics)
    facts["classes"] = ", ".join(opened.measurement.classes) or "none specified"
    return facts


def _with_ring_classifier(opened: OpenedInputs) -> OpenedInputs:
    """Nuclei are also classified without a network, where training tiles are annotated."""
    if "structure" not in opened.metrics or opened.reference is None:
        return opened
    fitted = with_ring_classifier(opened.reference.items, opened.measurement)
    return replace(opened, measurement=fitted)


def _flat(jobs: dict[str, list[Any]]) -> list[Any]:
    return [job for side in jobs.values() for job in side]


__all__ = [
    "EvaluationConfig",
    "EvaluationProgress",
    "InputOptions",
    "MeasureSettings",
    "dry_run",
    "evaluate",
]
