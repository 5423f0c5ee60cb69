"""`histosynth synthesize`: nuclei files in, tiles out."""

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

NucleiPath = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="PATH",
        help="CSV (x,y,class), GeoJSON or JSON of nuclei, or a folder of them.",
    ),
]
Draw = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Draw N layouts of nuclei like those of the training tissue, in place of --nuclei.",
    ),
]
Regions = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="PATH",
        help="GeoJSON of regions without tissue (lumen, background, glass, fat, empty), or a mask "
        "picture that is black where tissue is; or a folder of them by stem.",
    ),
]
Orientation = Annotated[
    Path | None,
    typer.Option(
        parser=parse_path,
        metavar="PATH",
        help="GeoJSON of lines along fibres, drawn in QuPath or from prepare orientation; or a "
        "folder of them by stem. Where there is none it is drawn as in tissue.",
    ),
]
Out = Annotated[
    Path,
    typer.Option(help="Folder for <stem>_<k>.png, or for a tile set."),
]
SizeText = Annotated[
    str,
    typer.Option(
        metavar="W|WxH|auto",
        help="Tile size in pixels. auto: that of the reference tile, else of the picture next to "
        "the nuclei, else as far as the nuclei reach.",
    ),
]
CropText = Annotated[
    str | None,
    typer.Option(
        metavar="centre|grid|X,Y",
        help="Cut tiles out of larger layouts: from the centre, all next to each other, or from "
        "(X, Y) px on. Nuclei outside are left out.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        metavar="FORMATS",
        help="Write the nuclei of each picture as csv, geojson, coco or yolo; several with commas "
        "(--draw writes csv).",
    ),
]
ResultFormatName = Annotated[
    str,
    typer.Option("--format", help="png, or tileset: Parquet with nuclei and recipes."),
]
Patient = Annotated[
    str,
    typer.Option(
        help="Of a tile set: pattern on the names of nuclei files; its first group is the patient "
        "(default: the TCGA barcode, else each file is a patient).",
    ),
]
AppearanceName = Annotated[
    str | None,
    typer.Option(
        help="Reference tile, folder of them by stem (--draw: in turn), a palette name (see "
        "doctor), or palette for all of these in turn."
    ),
]
Variants = Annotated[
    int,
    typer.Option("-n", help="Variants of each.", min=1, max=10_000),
]


def synthesize(
    out: Out,
    nuclei: NucleiPath = None,
    draw: Draw = None,
    regions: Regions = None,
    orientation: Orientation = None,
    classes: ClassMap = None,
    size: SizeText = "256",
    crop: CropText = None,
    mpp: CoordinateMpp = None,
    appearance: AppearanceName = None,
    label: Label = None,
    n: Variants = 1,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    solver: SolverName = None,
    grain: Grain = True,
    bundle: BundlePath = None,
    batch: Batch = 8,
    labels: Labels = None,
    result_format: ResultFormatName = "png",
    patient: Patient = "",
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate whole tiles from nuclei.

    Example: histosynth synthesize --nuclei cells.csv --size 512 --appearance ref.png -n 4 --out
        tiles
    """
    if nuclei is None and draw is None:
        raise typer.BadParameter("give the nuclei, or --draw N", param_hint="--nuclei")
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
    )
    output = Output(as_json, quiet)
    from ..annotation.labels.files import parse_label_formats
    from ..pipeline.synthesize_files import ResultOptions, result_format_of, synthesize_files
    from ..sampling.tile_sizes import TileSize

    results = ResultOptions(
        result_format_of(result_format),
        None if labels is None else parse_label_formats(labels),
        patient,
    )
    with output.bars("drawing layouts", "sampling") as (on_drawn, on_progress):
        outcome = synthesize_files(
            nuclei,
            out,
            size=TileSize.of(size, crop),
            draw=draw,
            regions=regions,
            orientation=orientation,
            appearance=appearance,
            variants=n,
            options=options,
            results=results,
            bundle=bundle,
            on_progress=on_progress,
            on_drawn=on_drawn,
        )
    output.report(outcome)
