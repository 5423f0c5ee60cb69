"""`histosynth evaluate`: two sets of tiles in, numbers with intervals and a report out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import judging
from .output import Json, Output, Quiet
from .prepare import Address, Workers

Real = Annotated[
    Path, typer.Argument(help="Held-out real tiles: a tile set or a folder of pictures.")
]
Synth = Annotated[
    Path, typer.Argument(help="Synthetic tiles, likewise; a_0.png belongs to the nuclei of a.")
]


def evaluate(
    real: Real,
    synth: Synth,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json and report.html; run again to go on."),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The training set: floors, and where copies are looked for.")
    ] = None,
    conditions: Annotated[
        Path | None,
        typer.Option(
            help="Nuclei by file name (CSV, GeoJSON): asked for, and marked in real tiles."
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Masks by file name: the synthetic tiles are real ones, mended there."),
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help='Class map, TOML lines such as "Tumor" = "epithelial".')
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(help="Micrometres per pixel of pictures that do not state it.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(help="Cut tiles to squares of so many pixels.")
    ] = None,
    patient: Annotated[
        str,
        typer.Option(
            help="Pattern on file names, its first group the patient (default: TCGA barcodes)."
        ),
    ] = "",
    table: Annotated[
        Path | None, typer.Option(help="CSV slide,patient,label by file name.")
    ] = None,
    embedder: Annotated[
        str, typer.Option(help="histo, inception, dinov2[:folder], hub:<timm id>, squeezenet.")
    ] = "histo",
    weights: Annotated[
        Path | None, typer.Option(help="The embedder's weights, where they lie here.")
    ] = None,
    bf16: Annotated[
        bool,
        typer.Option("--bf16", help="Run the embedder in bfloat16: faster, numbers hardly moved."),
    ] = False,
    perceptual: Annotated[
        str, typer.Option(help="Distance inside holes: histo, lpips, lpips-vgg.")
    ] = "histo",
    detectors: Annotated[
        str, typer.Option(help="Detectors of nuclei, by comma.")
    ] = "centroids,blobs",
    metrics: Annotated[
        str, typer.Option(help="Only these, by comma (default: all that the inputs allow).")
    ] = "",
    nima: Annotated[
        Path | None, typer.Option(help="Weights of NIMA (extra histosynth[nima]).")
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Ask this bundle's loss who it was trained on (needs --reference)."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of intervals and floors.", min=0)] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Open and check, measure nothing.")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="Where to work: local, pool (processes) or ray.")
    ] = "pool",
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge synthetic tiles beside real ones: realism, structure, nuclei, holes, copies, stain.

    Example: histosynth evaluate real made --reference train --conditions nuclei --mpp 0.5 --out
        judged
    """
    paths = {
        "reference": reference,
        "conditions": conditions,
        "masks": masks,
        "classes": classes,
        "bundle": bundle,
    }
    taken = {
        "mpp": mpp,
        "patient": patient,
        "table": table,
        "crop": crop,
    }
    looks = {
        "encoder": embedder,
        "weights": weights,
        "bf16": bf16,
        "perceptual": perceptual,
        "nima": nima,
        "detectors": judging.listed(detectors),
    }
    judging.evaluate(
        real,
        synth,
        out,
        paths=paths,
        taken=taken,
        looks=looks,
        metrics=judging.listed(metrics),
        seed=seed,
        dry=dry_run,
        place=(engine, workers, address),
        output=Output(as_json, quiet),
    )
