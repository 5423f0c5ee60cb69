"""`histosynth prepare …`: glass to rows, in one run or step by step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import preparing
from .output import Json, Output, Quiet

app = typer.Typer(
    help="Turn slides into judged, patient-safe tile sets.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Engine = Annotated[
    str, typer.Option(help="Where to work: local, pool (processes) or ray (a cluster).")
]
Workers = Annotated[
    int | None, typer.Option(help="Workers at a time (default: one a core).", min=1)
]
Address = Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")]
Images = Annotated[Path, typer.Argument(help="Picture, or a folder of them.")]
Out = Annotated[Path, typer.Option(help="Folder for the results.")]
ImageMpp = Annotated[float, typer.Option("--mpp", help="Micrometres per pixel of the pictures.")]
Annotator = Annotated[
    Path, typer.Argument(help="GeoJSON or CSV of one annotator, or a folder of them.")
]
Train = Annotated[float, typer.Option(help="Share of patients.")]


@app.command()
def run(
    recipe: Annotated[
        Path, typer.Argument(help='Recipe (TOML); one line is enough: slides = ["*.svs"].')
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tile set; run again to go on.")],
    mpp: Annotated[
        float | None, typer.Option(help="Scale of slides that state none, or a wrong one.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")
    ] = False,
    engine: Engine = "pool",
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Slides to tiles: find tissue, judge, find nuclei, make stains alike, split by patient.

    Example: histosynth prepare run recipe.toml --out tiles
    """
    preparing.run(
        recipe,
        out,
        mpp=mpp,
        dry=dry_run,
        place=(engine, workers, address),
        output=Output(as_json, quiet),
    )


@app.command()
def tiles(
    slides: Annotated[
        list[str], typer.Argument(help='Slides, or patterns such as "slides/*.svs".')
    ],
    out: Annotated[Path, typer.Option(help="Folder of the tile set; run again to go on.")],
    size: Annotated[int, typer.Option(help="Side of a tile, pixels.")] = 1024,
    tile_mpp: Annotated[
        float, typer.Option(help="Scale of the tiles, micrometres per pixel.")
    ] = 0.5,
    mpp: Annotated[
        float | None, typer.Option(help="Scale of slides that state none, or a wrong one.")
    ] = None,
    stride: Annotated[int, typer.Option(help="From tile to tile, pixels (0: side by side).")] = 0,
    edge: Annotated[str, typer.Option(help="At the slide's edge: drop, shift or pad.")] = "drop",
    tissue: Annotated[float, typer.Option(help="Least share of a tile that is tissue.")] = 0.25,
    engine: Engine = "pool",
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cut slides into tiles: no judging, no change of stain, no nuclei.

    Example: histosynth prepare tiles "slides/*.svs" --size 512 --out tiles
    """
    grid = {
        "size": size,
        "mpp": tile_mpp,
        "stride": stride,
        "edge": edge,
        "tissue": tissue,
    }
    preparing.tiles(
        slides,
        out,
        grid=grid,
        mpp=mpp,
        place=(engine, workers, address),
        output=Output(as_json, quiet),
    )


@app.command()
def stain(
    images: Images,
    out: Out,
    method: Annotated[str, typer.Option(help="macenko, vahadane or reinhard.")] = "macenko",
    target: Annotated[
        Path | None,
        typer.Option(help="Picture whose stain all get (default: the most usual of them)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give pictures one stain; those in which none can be found are refused.

    Example: histosynth prepare stain tiles --target reference.png --out alike
    """
    preparing.stain(
        images,
        out,
        method=method,
        target=target,
        output=Output(as_json, quiet),
    )


@app.command()
def nuclei(
    images: Images,
    out: Out,
    mpp: ImageMpp,
    detector: Annotated[
        str,
        typer.Option(help="centroids (embedded, three classes), blobs (no network) or instanseg."),
    ] = "centroids",
    form: Annotated[str, typer.Option("--format", help="csv or geojson (for QuPath).")] = "csv",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find nuclei in pictures: centroids with classes.

    Example: histosynth prepare nuclei tiles --mpp 0.5 --out nuclei
    """
    preparing.nuclei(
        images,
        out,
        mpp=mpp,
        detector=detector,
        form=form,
        output=Output(as_json, quiet),
    )


@app.command()
def split(
    table: Annotated[
        Path, typer.Argument(help="CSV with the columns slide, and patient and label if known.")
    ],
    out: Annotated[Path, typer.Option(help="CSV with patient and split added.")],
    train: Train = 0.7,
    validation: Train = 0.1,
    test: Train = 0.2,
    patient: Annotated[
        str,
        typer.Option(
            help="Pattern that finds the patient in a slide's name (default: TCGA's, or the name)."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Another seed, another deal.", min=0)] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Deal patients out to training, validation and test, label by label.

    Example: histosynth prepare split slides.csv --out splits.csv
    """
    preparing.split(
        table,
        out,
        shares=(train, validation, test),
        ask=(seed, patient),
        output=Output(as_json, quiet),
    )


@app.command()
def agreement(
    first: Annotator,
    second: Annotator,
    out: Out,
    mpp: Annotated[float, typer.Option(help="Micrometres per pixel of the coordinates.")],
    reach: Annotated[
        float, typer.Option(help="Two marks no farther apart are one nucleus, micrometres.")
    ] = 6.0,
    cell: Annotated[
        float, typer.Option(help="Side of the cells regions are compared on, micrometres.")
    ] = 4.0,
    classes: Annotated[
        Path | None, typer.Option(help='Class map, TOML lines such as "Tumor" = "epithelial".')
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The pictures, to draw on: one, or a folder by stem.")
    ] = None,
    table: Annotated[
        Path | None, typer.Option(help="CSV slide,patient: intervals are then over patients.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two annotators: Cohen's kappa with its interval, and a picture of where they differ.

    Example: histosynth prepare agreement anna.geojson ben.geojson --mpp 0.25 --out agreement
    """
    ask = {
        "reach_um": reach,
        "cell_um": cell,
        "classes": classes,
        "images": images,
        "table": table,
    }
    preparing.agreement(
        first,
        second,
        out,
        mpp=mpp,
        ask=ask,
        output=Output(as_json, quiet),
    )


@app.command()
def fetch(
    project: Annotated[
        str, typer.Option(help="Project of the Genomic Data Commons, e.g. TCGA-SARC.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for slides, manifest.txt and slides.csv.")],
    limit: Annotated[int | None, typer.Option(help="So many slides at most.", min=1)] = None,
    list_only: Annotated[
        bool, typer.Option("--list-only", help="Write the lists, fetch no slide.")
    ] = False,
    subtypes: Annotated[
        Path | None,
        typer.Option(help="TOML with entities of your own, beside the 20 that are known."),
    ] = None,
    endpoint: Annotated[
        str, typer.Option(help="Server that speaks the same API.")
    ] = "https://api.gdc.cancer.gov",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch open-access diagnostic slides with their labels; run again to go on.

    Example: histosynth prepare fetch --project TCGA-SARC --limit 20 --out slides
    """
    preparing.fetch(
        project,
        out,
        limit=limit,
        ask=(list_only, subtypes, endpoint),
        output=Output(as_json, quiet),
    )


quality = typer.Typer(
    help="Judge tiles, or train a judge of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(quality, name="quality")


@quality.command()
def check(
    images: Images,
    out: Out,
    mpp: ImageMpp,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Judge pictures by the gates for blur, pen, fold, air and saturation.

    Example: histosynth prepare quality check tiles --mpp 0.5 --out judged
    """
    preparing.check(
        images,
        out,
        mpp=mpp,
        output=Output(as_json, quiet),
    )


@quality.command("train")
def train_quality(
    folder: Annotated[
        Path, typer.Argument(help="Folder of good/ and artefact/ (or other names for faults).")
    ],
    patient: Annotated[
        str, typer.Option(help="Pattern on a file's name, its first group the patient.")
    ],
    mpp: ImageMpp,
    out: Annotated[Path, typer.Option(help="Run folder; run again to go on.")],
    start: Annotated[
        str, typer.Option(help="Folder of ResNet-18 weights (default: from scratch).")
    ] = "",
    steps: Annotated[int, typer.Option(help="Training steps.", min=1)] = 2000,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, ... (default: a GPU if there is one).")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a ResNet-18 on your own good and spoilt tiles; patients are held out to measure it.

    Example: histosynth prepare quality train labelled --patient "^(.{12})" --mpp 0.5 --out
        runs/quality
    """
    preparing.train_quality(
        folder,
        out,
        patient=patient,
        mpp=mpp,
        ask=(start, steps, device),
        output=Output(as_json, quiet),
    )
