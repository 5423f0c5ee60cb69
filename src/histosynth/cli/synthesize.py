"""`histosynth synthesize`: nuclei files in, tiles out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.geometry import parse_size
from ..sampling.options import SamplingOptions
from .options import (
    Batch,
    BundlePath,
    ClassMap,
    CoordinateMpp,
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

NucleiPath = Annotated[
    Path,
    typer.Option(
        parser=parse_path,
        metavar="PATH",
        help="CSV (x,y,class), GeoJSON or JSON of nuclei, or a folder of them.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(help="Folder for <stem>_<k>.png."),
]
TileSize = Annotated[
    str,
    typer.Option(help="Tile size in pixels, W or WxH."),
]
AppearanceName = Annotated[
    str | None,
    typer.Option(help="Reference tile, folder of them by stem, or a palette name (see doctor)."),
]
Variants = Annotated[
    int,
    typer.Option("-n", help="Variants of each.", min=1, max=10_000),
]


def synthesize(
    nuclei: NucleiPath,
    out: Out,
    classes: ClassMap = None,
    size: TileSize = "256",
    mpp: CoordinateMpp = None,
    appearance: AppearanceName = None,
    label: Label = None,
    n: Variants = 1,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    solver: SolverName = None,
    bundle: BundlePath = None,
    batch: Batch = 8,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate whole tiles from nuclei.

    Example: histosynth synthesize --nuclei cells.csv --size 512 --appearance ref.png -n 4 --out
        tiles
    """
    parsed_size = parse_size(size)
    options = SamplingOptions(
        mpp=mpp,
        classes=classes,
        label=label,
        seed=seed,
        steps=steps,
        guidance=guidance,
        solver=solver,
        batch=batch,
    )
    output = Output(as_json, quiet)
    from ..pipeline.synthesize_files import synthesize_files

    with output.progress("sampling") as on_progress:
        outcome = synthesize_files(
            nuclei,
            out,
            size=parsed_size,
            appearance=appearance,
            variants=n,
            options=options,
            bundle=bundle,
            on_progress=on_progress,
        )
    output.report(outcome)
