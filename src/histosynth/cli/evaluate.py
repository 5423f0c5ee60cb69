"""`histosynth evaluate`: two sets of tiles in, numbers with intervals and a report out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..core.errors import BadOption
from ..core.refusals import grouped_refusals
from ..engine import EngineOptions
from .options import (
    Address,
    ClassMap,
    DryRun,
    EngineName,
    Json,
    MeasuringDevice,
    Quiet,
    Workers,
    split_names,
)
from .output import PARTLY_REFUSED, Output

if TYPE_CHECKING:
    from ..core.estimate import Estimate
    from ..evaluation.report.model import Report
    from ..metrics.finding import Finding

Real = Annotated[
    Path,
    typer.Argument(help="Held-out real tiles: a tile set or a folder of pictures."),
]
SyntheticTiles = Annotated[
    Path,
    typer.Argument(
        metavar="SYNTHETIC",
        help="Synthetic tiles, likewise; a_0.png belongs to the nuclei of a.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(help="Folder for report.json and report.html; run again to continue."),
]
Reference = Annotated[
    Path | None,
    typer.Option(help="The training set: for baselines, and to search for copies."),
]
Conditions = Annotated[
    Path | None,
    typer.Option(
        help="Nuclei by file name (CSV, GeoJSON, JSON): requested in synthetic tiles, marked in "
        "real."
    ),
]
Masks = Annotated[
    Path | None,
    typer.Option(
        help="Masks by file name: the synthetic tiles are real ones, filled inside the masks."
    ),
]
TileMpp = Annotated[
    float | None,
    typer.Option("--mpp", help="Micrometres per pixel of pictures that do not state it."),
]
Crop = Annotated[
    int | None,
    typer.Option(help="Cut tiles to squares of so many pixels."),
]
Patient = Annotated[
    str,
    typer.Option(
        help="Pattern on file names, its first group the patient (default: TCGA barcodes)."
    ),
]
Table = Annotated[
    Path | None,
    typer.Option(help="CSV slide,patient,label by file name."),
]
Embedder = Annotated[
    str,
    typer.Option(help="histo, inception, dinov2[:folder], hub:<timm id>, squeezenet."),
]
Weights = Annotated[
    Path | None,
    typer.Option(help="File or folder of the embedder's weights."),
]
Bf16 = Annotated[
    bool,
    typer.Option("--bf16", help="As --dtype bf16: faster, almost the same numbers."),
]
EmbedderDtype = Annotated[
    str | None,
    typer.Option("--dtype", help="Number type of the embedder: fp32 (default), bf16."),
]
Perceptual = Annotated[
    str,
    typer.Option(help="Distance inside masks: histo, lpips, lpips-vgg."),
]
Detectors = Annotated[
    str,
    typer.Option(help="Detectors of nuclei, separated by commas."),
]
Metrics = Annotated[
    str,
    typer.Option(help="Only these, separated by commas (default: all that the inputs allow)."),
]
Nima = Annotated[
    Path | None,
    typer.Option(help="Weights of NIMA (extra histosynth[nima])."),
]
LossBundle = Annotated[
    Path | None,
    typer.Option(
        "--bundle",
        help="Test by its loss whether this bundle was trained on the tiles (needs --reference).",
    ),
]
EvaluationSeed = Annotated[
    int,
    typer.Option("--seed", help="Of intervals and baselines.", min=0),
]


def evaluate(
    real: Real,
    synthetic: SyntheticTiles,
    out: Out = None,
    reference: Reference = None,
    conditions: Conditions = None,
    masks: Masks = None,
    classes: ClassMap = None,
    mpp: TileMpp = None,
    crop: Crop = None,
    patient: Patient = "",
    table: Table = None,
    embedder: Embedder = "histo",
    weights: Weights = None,
    bf16: Bf16 = False,
    device: MeasuringDevice = None,
    dtype: EmbedderDtype = None,
    perceptual: Perceptual = "histo",
    detectors: Detectors = "centroids,blobs",
    metrics: Metrics = "",
    nima: Nima = None,
    bundle: LossBundle = None,
    seed: EvaluationSeed = 0,
    dry_run: DryRun = False,
    engine: EngineName = "pool",
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare synthetic tiles with real ones: realism, structure, nuclei, masks, copies, stain.

    Example: histosynth evaluate real synthetic --reference train --conditions nuclei --mpp 0.5
        --out report
    """
    from ..evaluation import EvaluationConfig, EvaluationProgress, InputOptions, MeasureSettings
    from ..pipeline.evaluate import (
        EVALUATION_STAGES,
        embedder_place,
        plan_evaluation,
        run_evaluation,
    )

    place = embedder_place(device, dtype, bf16=bf16)
    output = Output(as_json, quiet)
    config = EvaluationConfig(
        real,
        synthetic,
        reference=reference,
        conditions=conditions,
        masks=masks,
        classes=classes,
        bundle=bundle,
        metrics=split_names(metrics),
        inputs=InputOptions(
            mpp=mpp,
            patient=patient,
            table=table,
            crop=crop,
        ),
        measurement=MeasureSettings(
            encoder=embedder,
            weights=weights,
            bf16=place.bf16,
            device=place.device,
            perceptual=perceptual,
            nima=nima,
            detectors=split_names(detectors),
        ),
        seed=seed,
    )
    if dry_run:
        facts = plan_evaluation(config)
        lines = [f"{name}: {value}" for name, value in facts.items()]
        output.done(facts, lines, part="plan")
        return
    if out is None:
        raise BadOption("--out", "not given", "a folder for the report")
    with output.bars(*EVALUATION_STAGES) as bars:
        report = run_evaluation(
            config,
            out,
            engine=EngineOptions(engine, workers, address),
            progress=EvaluationProgress(*bars),
        )
    facts = report.as_dict()
    facts |= {"out": str(out), "report_schema": facts["schema"]}
    output.done(facts, _report_lines(report, out))
    if report.refused:
        output.refused(grouped_refusals(report.refused, "tiles"))
        raise SystemExit(PARTLY_REFUSED)


def _report_lines(report: Report, out: Path) -> list[str]:
    """Each section's verdict and its most important findings, and warnings."""
    from ..pipeline.headline import headline_of

    lines = []
    for section in report.sections:
        if section.verdict:
            lines.append(f"{section.title}: {section.verdict}")
        lines += [_finding_line(finding) for finding in headline_of(section)]
    lines += [f"! {warning}" for warning in report.warnings]
    lines.append(f"Report: {out / 'report.html'}   (opens offline; numbers in report.json)")
    return lines


def _finding_line(finding: Finding) -> str:
    if not finding.value.is_defined:
        return f"{finding.name:34} {finding.value.reason}"
    line = (
        f"{finding.name:34} {_estimate_text(finding.value):34} real {_estimate_text(finding.real)}"
    )
    if finding.ratio is not None:
        line += f"   / real {_estimate_text(finding.ratio)}"
    return line


def _estimate_text(estimate: Estimate | None) -> str:
    if estimate is None:
        return "-"
    return estimate.as_text() if estimate.is_defined else "undefined"
