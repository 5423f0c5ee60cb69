"""`histosynth complete`: images and masks in, completed images out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..sampling.options import SamplingOptions
from .options import (
    Batch,
    BundlePath,
    ClassMap,
    CoordinateMpp,
    Device,
    Dtype,
    Grain,
    Guidance,
    Json,
    Label,
    Quiet,
    Seed,
    SolverName,
    Steps,
    parse_path,
)
from .output import Output

ImagePath = Annotated[
    Path,
    typer.Option(
        parser=parse_path,
        metavar="PATH",
        help="Tile, or a folder of them.",
    ),
]
MaskPath = Annotated[
    Path,
    typer.Option(
        parser=parse_path,
        metavar="PATH",
        help="Mask, non-zero = missing; or a folder, paired by stem.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(help="File or folder for the result."),
]
NucleiPath = Annotated[
    Path | None,
    typer.Option(help="CSV, GeoJSON or JSON of the whole tile, or a folder."),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="FORMATS",
        help="Write --nuclei next to the pictures as csv, geojson, coco or yolo; several with "
        "commas.",
    ),
]
Exemplar = Annotated[
    bool,
    typer.Option(help="Start from tissue copied from around the mask, or from noise alone."),
]


def complete(
    image: ImagePath,
    mask: MaskPath,
    out: Out,
    nuclei: NucleiPath = None,
    classes: ClassMap = None,
    mpp: CoordinateMpp = None,
    label: Label = None,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    solver: SolverName = None,
    grain: Grain = True,
    exemplar: Exemplar = True,
    bundle: BundlePath = None,
    batch: Batch = 8,
    labels: Labels = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fill masked regions; every pixel outside the mask stays as it is.

    Example: histosynth complete --image torn.png --mask mask.png --out completed.png
    """
    options = SamplingOptions(
        mpp=mpp,
        classes=classes,
        label=label,
        seed=seed,
        steps=steps,
        guidance=guidance,
        solver=solver,
        grain=grain,
        batch=batch,
        device=device,
        dtype=dtype,
        exemplar=exemplar,
    )
    output = Output(as_json, quiet)
    from ..annotation.labels.files import parse_label_formats
    from ..pipeline.complete_files import complete_files

    with output.progress("completing") as on_progress:
        outcome = complete_files(
            image,
            mask,
            out,
            nuclei=nuclei,
            labels=() if labels is None else parse_label_formats(labels),
            options=options,
            bundle=bundle,
            on_progress=on_progress,
        )
    output.report(outcome)
