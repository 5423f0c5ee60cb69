"""`histosynth prepare quality …`: check tiles, or train an artefact classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import Device, ImageMpp, Images, Json, Out, Quiet
from .output import Output

app = typer.Typer(
    help="Check the quality of tiles, or train an artefact classifier of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def check(
    images: Images,
    out: Out,
    mpp: ImageMpp,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check pictures for blur, pen, folds, air and saturation.

    Example: histosynth prepare quality check tiles --mpp 0.5 --out checked
    """
    from ..pipeline.prepare_steps import check_files

    output = Output(as_json, quiet)
    with output.progress("checking") as on_progress:
        outcome, failed = check_files(images, out, mpp=mpp, on_progress=on_progress)
    lines = [f"{name}: {count}" for name, count in sorted(failed.items())]
    lines.append(f"Preview: {out / 'look' / 'contact.png'}; table: {out / 'quality.csv'}")
    output.report(outcome, {"gates": failed}, lines)


@app.command("train")
def train_quality(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder of good/ and artefact/ (or other names for faults)."),
    ],
    patient: Annotated[
        str,
        typer.Option(help="Pattern on a file's name, its first group the patient."),
    ],
    mpp: ImageMpp,
    out: Annotated[
        Path,
        typer.Option(help="Run folder; run again to continue."),
    ],
    start: Annotated[
        str,
        typer.Option(help="Folder of ResNet-18 weights (default: from scratch)."),
    ] = "",
    steps: Annotated[
        int,
        typer.Option(help="Training steps.", min=1),
    ] = 2000,
    device: Device = None,
    dtype: Annotated[
        str | None,
        typer.Option(help="Number type: fp32 (default), bf16, fp16."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a ResNet-18 on your own good and spoilt tiles; it is measured on held-out patients.

    Example: histosynth prepare quality train labelled --patient "^(.{12})" --mpp 0.5 --out
        runs/quality
    """
    from ..pipeline.train_quality import train_quality

    output = Output(as_json, quiet)
    with output.progress("training") as on_progress:
        result = train_quality(
            folder,
            out,
            patient=patient,
            mpp=mpp,
            start=start,
            steps=steps,
            on_step=lambda step, numbers: on_progress(step, steps),
            device=device,
            dtype=dtype,
        )
    auc = result["card"]["auc"]
    lines = [
        f"ROC AUC {auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f}), "
        f"{auc['n']} held-out patients",
        f'Use it:  quality_model = "{result["weights"]}"  in a recipe of prepare run',
    ]
    output.done(result, lines)
