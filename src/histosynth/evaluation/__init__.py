"""`evaluate`: two sets of tiles in, every judge's numbers out. One page, from top to bottom.

REAL ─┐                    ┌─ realism, quality, stain ─┐
SYNTH ┼─► items ─► measure ┼─ structure, morphology,   ┼─► sections ─► report.json, report.html
TRAIN ┘   (one look a tile,│  layout, mending          │
          on any engine)   └─ search for copies ───────┘
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..core.progress import ProgressCallback
from ..core.store import ensure_folder
from ..engine import Engine
from ..metrics.finding import Section
from ..prepare.folder import locked
from .assemble import make_report
from .inputs.collections import InputOptions
from .inputs.config import EvaluationConfig, OpenedInputs, open_question
from .jobs.copy_search import search, with_matches
from .jobs.measuring import Plan, fit_rings, measure
from .jobs.planning import gathered, measure_jobs, run_all, search_jobs
from .report import Report, write_report
from .sections import MeasuredSides, conclude_all

Membership = Callable[[OpenedInputs, ProgressCallback | None], Section]
"""Measures the losses of a bundle, which this wing cannot open, and has them judged."""


@dataclass(frozen=True)
class EvaluationProgress:
    """Told of files opened, tiles measured, copies looked for, judges heard, tiles whose loss was
    asked.
    """

    opened: ProgressCallback | None = None
    measured: ProgressCallback | None = None
    searched: ProgressCallback | None = None
    judged: ProgressCallback | None = None
    asked: ProgressCallback | None = None


def evaluate(
    config: EvaluationConfig,
    out: Path,
    *,
    engine: Engine,
    watch: EvaluationProgress | None = None,
    membership: Membership | None = None,
) -> Report:
    """Judge synthetic tiles; writes `out/report.json` and `out/report.html`.

    `membership` adds the section of a bundle's losses.

    What was measured is kept in `out/.measured`, so that running again measures only what is
    missing.

    Raises:
        SplitLeak: a patient of `real` stands in `reference`.
        SizeMismatch, BadOption: tiles of different sizes or scales.
        HistosynError: whatever an input is refused for.
    """
    began = time.monotonic()
    watch = watch or EvaluationProgress()
    opened = open_question(config, watch.opened)
    if "structure" in opened.what and opened.reference is not None:
        opened = replace(opened, plan=fit_rings(opened.reference.items, opened.plan))
    ensure_folder(out)
    with locked(out):
        folder = ensure_folder(out / ".measured")
        jobs = measure_jobs(opened, config, folder)
        run_all(
            engine,
            measure,
            [job for side in jobs.values() for job in side],
            watch.measured,
        )
        samples, refused = gathered(jobs, opened)
        if "copying" in opened.what:
            searches = search_jobs(jobs, opened, folder)
            run_all(
                engine,
                search,
                [job for side in searches.values() for job in side],
                watch.searched,
            )
            samples |= {side: with_matches(samples[side], each) for side, each in searches.items()}
        measured = MeasuredSides(
            samples,
            opened.real,
            opened.synthetic,
            opened.reference,
            opened.library,
            opened.plan,
        )
        sections = conclude_all(
            measured,
            opened.what,
            seed=config.seed,
            on_progress=watch.judged,
        )
        if membership is not None:
            sections.append(membership(opened, watch.asked))
        report = make_report(
            opened,
            config,
            sections,
            refused,
            seconds=time.monotonic() - began,
        )
        write_report(report, out)
    return report


def dry_run(config: EvaluationConfig) -> dict[str, Any]:
    """Open and check everything, and measure nothing: what would be judged by whom."""
    opened = open_question(config)
    sides = {
        "real": opened.real,
        "synthetic": opened.synthetic,
        "reference": opened.reference,
    }
    facts: dict[str, Any] = {
        f"{name} tiles": f"{len(side.items)} of {len(side.patients)} patients"
        for name, side in sides.items()
        if side is not None
    }
    return facts | {
        "judges": ", ".join(opened.what),
        "classes": ", ".join(opened.plan.classes) or "none told",
    }


__all__ = ["InputOptions", "Plan", "EvaluationConfig", "EvaluationProgress", "dry_run", "evaluate"]
