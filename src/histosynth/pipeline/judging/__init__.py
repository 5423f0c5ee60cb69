"""`evaluate`: two sets of tiles in, every judge's numbers out. One page, from top to bottom.

REAL ─┐                    ┌─ realism, quality, stain ─┐
SYNTH ┼─► items ─► measure ┼─ structure, morphology,   ┼─► sections ─► report.json, report.html
TRAIN ┘   (one look a tile,│  layout, mending          │
          on any engine)   └─ search for copies ───────┘
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ...core.store import ensure_folder
from ...engine import Engine
from ...evaluate.report import Report, write_report
from ..folder import alone
from .collections import Ask
from .copies import search, with_matches
from .measuring import Plan, fit_rings, measure
from .pieces import gathered, measure_jobs, run_all, search_jobs
from .question import Question, open_question
from .reporting import make_report, membership
from .sections import Looked, judge_all

Tick = Callable[[int, int], None]


@dataclass(frozen=True)
class Watch:
    """Told of files opened, tiles measured, copies looked for, judges heard, tiles whose loss was
    asked.
    """

    opened: Tick | None = None
    measured: Tick | None = None
    searched: Tick | None = None
    judged: Tick | None = None
    asked: Tick | None = None


def evaluate(
    question: Question,
    out: Path,
    *,
    engine: Engine,
    watch: Watch | None = None,
) -> Report:
    """Judge synthetic tiles; writes `out/report.json` and `out/report.html`.

    What was measured is kept in `out/.measured`, so that running again measures only what is
    missing.

    Raises:
        SplitLeak: a patient of `real` stands in `reference`.
        SizeMismatch, BadOption: tiles of different sizes or scales.
        HistosynError: whatever an input is refused for.
    """
    began = time.monotonic()
    watch = watch or Watch()
    opened = open_question(question, watch.opened)
    if "structure" in opened.what and opened.reference is not None:
        opened = replace(opened, plan=fit_rings(opened.reference.items, opened.plan))
    ensure_folder(out)
    with alone(out):
        folder = ensure_folder(out / ".measured")
        jobs = measure_jobs(opened, question, folder)
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
        looked = Looked(
            samples,
            opened.real,
            opened.made,
            opened.reference,
            opened.library,
            opened.plan,
        )
        sections = judge_all(
            looked,
            opened.what,
            seed=question.seed,
            tick=watch.judged,
        )
        if question.bundle is not None:
            sections.append(membership(question, opened, watch.asked))
        report = make_report(
            opened,
            question,
            sections,
            refused,
            seconds=time.monotonic() - began,
        )
        write_report(report, out)
    return report


def judge(
    real: Path | str,
    synthetic: Path | str,
    out: Path | str,
    *,
    reference: Path | str | None = None,
    conditions: Path | str | None = None,
    holes: Path | str | None = None,
    mpp: float | None = None,
    crop: int | None = None,
    embedder: str = "histo",
    weights: Path | str | None = None,
    bf16: bool = False,
    judges: Sequence[str] = (),
    seed: int = 0,
    workers: int | None = 1,
) -> Report:
    """Judge synthetic tiles beside real ones, as `histosynth evaluate` does.

    Args:
        real: held-out real tiles: a tile set, or a folder of pictures.
        synthetic: synthetic tiles, likewise.
        out: folder for `report.json` and `report.html`; run again to go on.
        reference: the training set; patients of `real` may not stand in it.
        conditions: nuclei files by stem, asked for in synthetic tiles and marked in real ones.
        holes: masks by stem, where the synthetic tiles are real ones, mended.
        mpp: micrometres per pixel of pictures that do not state it.
        crop: cut all tiles to squares of so many pixels.
        embedder: see `encoders.opening.open_encoder`.
        weights: the embedder's, where they lie here.
        bf16: run the embedder in bfloat16.
        judges: only these; empty: all that the inputs allow.
        seed: of intervals and floors.
        workers: processes; 1: this one.

    Returns:
        The report; each number with its interval, beside what real tissue scores.

    Raises:
        SplitLeak, SizeMismatch, MissingScale, BadOption: the sides cannot be compared.
    """
    from ...engine import open_engine

    def path(given: Path | str | None) -> Path | None:
        return None if given is None else Path(given)

    question = Question(
        Path(real),
        Path(synthetic),
        path(reference),
        path(conditions),
        path(holes),
        judges=tuple(judges),
        ask=Ask(mpp=mpp, crop=crop),
        plan=Plan(
            encoder=embedder,
            weights=path(weights),
            bf16=bf16,
        ),
        seed=seed,
    )
    engine = open_engine("local") if workers == 1 else open_engine("pool", workers=workers)
    return evaluate(question, Path(out), engine=engine)


def dry_run(question: Question) -> dict[str, Any]:
    """Open and check everything, and measure nothing: what would be judged by whom."""
    opened = open_question(question)
    sides = {
        "real": opened.real,
        "synthetic": opened.made,
        "reference": opened.reference,
    }
    facts: dict[str, Any] = {
        f"{name} tiles": f"{len(side.items)} of {len(side.patients)} patients"
        for name, side in sides.items()
        if side is not None
    }
    return facts | {
        "judges": ", ".join(opened.what),
        "classes": ", ".join(opened.plan.kinds) or "none told",
    }


__all__ = ["Ask", "Plan", "Question", "Watch", "dry_run", "evaluate", "judge"]
