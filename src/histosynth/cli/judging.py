"""What the door of `histosynth evaluate` does once its arguments are parsed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import BadOption
from .output import Output

if TYPE_CHECKING:
    from ..evaluation.report import Report
    from ..metrics.finding import Finding

Place = tuple[str, int | None, str | None]
"""Engine, workers, address."""


def listed(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def evaluate(
    real: Path,
    synth: Path,
    out: Path | None,
    *,
    paths: dict[str, Path | None],
    taken: dict[str, Any],
    looks: dict[str, Any],
    metrics: tuple[str, ...],
    seed: int,
    dry: bool,
    place: Place,
    output: Output,
) -> None:
    """`histosynth evaluate`."""
    from .. import evaluation as judging
    from ..engine import open_engine
    from ..pipeline.evaluate import plan_evaluation, run_evaluation

    config = judging.EvaluationConfig(
        real,
        synth,
        **paths,
        metrics=metrics,
        inputs=judging.InputOptions(**taken),
        measurement=judging.MeasureSettings(**looks),
        seed=seed,
    )
    if dry:
        facts = plan_evaluation(config)
        output.done(facts, [f"{key}: {value}" for key, value in facts.items()])
        return
    if out is None:
        raise BadOption("--out", "not given", "a folder for the report")
    engine = open_engine(place[0], workers=place[1], address=place[2])
    with output.bars(
        "opening",
        "looking at tiles",
        "looking for copies",
        "judging",
        "asking the model",
    ) as bars:
        report = run_evaluation(
            config,
            out,
            engine=engine,
            progress=judging.EvaluationProgress(*bars),
        )
    output.done(report.as_dict() | {"out": str(out)}, _in_words(report, out))
    output.refused(f"{name}: {why}" for name, why in report.refused.items())


def _in_words(report: Report, out: Path) -> list[str]:
    lines = []
    for section in report.sections:
        begins = _headline(section.key)
        lines += [
            _line(each)
            for each in section.findings
            if not each.label and each.name.startswith(begins)
        ]
        lines += [section.verdict] if section.verdict else []
    lines += [f"! {warning}" for warning in report.warnings]
    return [*lines, f"Look at {out / 'report.html'}   (opens offline; numbers in report.json)"]


def _headline(key: str) -> tuple[str, ...]:
    """Beginnings of the names of findings that are shown on the terminal."""
    from ..metrics import MEMBERSHIP_HEADLINE, METRICS

    return METRICS[key].headline if key in METRICS else MEMBERSHIP_HEADLINE


def _line(finding: Finding) -> str:
    def said(each: Any) -> str:
        if each is None:
            return "-"
        if not each.is_defined:
            return "not told"
        return f"{each.value:.3g} ({each.low:.3g} to {each.high:.3g})"

    if not finding.value.is_defined:
        return f"{finding.name:34} {finding.value.reason}"
    ratio = f"   / real {said(finding.ratio)}" if finding.ratio is not None else ""
    return f"{finding.name:34} {said(finding.value):34} real {said(finding.real)}{ratio}"
