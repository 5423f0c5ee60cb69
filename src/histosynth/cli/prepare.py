"""`histosynth prepare …`: slides to tile sets, in one run or step by step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..core.number_format import counted
from ..core.refusals import grouped_refusals
from ..engine import EngineOptions
from . import prepare_inspect, prepare_maps, prepare_quality
from .options import (
    Address,
    ClassMap,
    EngineName,
    ImageMpp,
    Images,
    Json,
    MeasuringDevice,
    MeasuringDtype,
    Out,
    Quiet,
    Workers,
)
from .output import PARTLY_REFUSED, Output

if TYPE_CHECKING:
    from ..core.estimate import Estimate
    from ..preparation.run import Prepared

app = typer.Typer(
    help="Turn slides into tile sets: quality checked, patients kept apart.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

TileSetFolder = Annotated[
    Path,
    typer.Option("--out", help="Folder of the tile set; run again to continue."),
]
SlideMpp = Annotated[
    float | None,
    typer.Option("--mpp", help="Scale of slides that state none, or a wrong one."),
]
Share = Annotated[
    float,
    typer.Option(help="Share of patients."),
]
Annotator = Annotated[
    Path,
    typer.Argument(help="GeoJSON, JSON or CSV of one annotator, or a folder of them."),
]


@app.command()
def run(
    recipe: Annotated[
        Path,
        typer.Argument(help='Recipe (TOML); one line is enough: slides = ["*.svs"].'),
    ],
    out: TileSetFolder,
    mpp: SlideMpp = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be done, do nothing."),
    ] = False,
    engine: EngineName = "pool",
    workers: Workers = None,
    address: Address = None,
    device: MeasuringDevice = None,
    dtype: MeasuringDtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Slides to tiles: find tissue, check quality, find nuclei, equalise stains, split by patient.

    Example: histosynth prepare run recipe.toml --out tiles
    """
    from ..pipeline.prepare import plan_preparation, run_preparation
    from ..preparation.run import PrepareProgress

    output = Output(as_json, quiet)
    if dry_run:
        facts = plan_preparation(recipe, mpp=mpp, device=device, dtype=dtype)
        lines = [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items()]
        output.done(facts, lines, part="plan")
        return
    with output.bars("surveying slides", "writing tiles") as bars:
        prepared = run_preparation(
            recipe,
            out,
            mpp=mpp,
            engine=EngineOptions(engine, workers, address),
            device=device,
            dtype=dtype,
            progress=PrepareProgress(*bars),
        )
    _report_tile_set(prepared, out, output)


@app.command()
def tiles(
    slides: Annotated[
        list[str],
        typer.Argument(help='Slides, or patterns such as "slides/*.svs".'),
    ],
    out: TileSetFolder,
    size: Annotated[
        int,
        typer.Option(help="Side of a tile, pixels."),
    ] = 1024,
    tile_mpp: Annotated[
        float,
        typer.Option(help="Scale of the tiles, micrometres per pixel."),
    ] = 0.5,
    mpp: SlideMpp = None,
    stride: Annotated[
        int,
        typer.Option(help="From tile to tile, pixels (0: the size, no overlap)."),
    ] = 0,
    edge: Annotated[
        str,
        typer.Option(help="At the slide's edge: drop, shift or pad."),
    ] = "drop",
    tissue: Annotated[
        float,
        typer.Option(help="Least share of a tile that is tissue."),
    ] = 0.25,
    engine: EngineName = "pool",
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Cut slides into tiles: no quality checks, no change of stain, no nuclei.

    Example: histosynth prepare tiles "slides/*.svs" --size 512 --out tiles
    """
    from ..pipeline.prepare import TileOptions, cut_tiles
    from ..preparation.run import PrepareProgress

    output = Output(as_json, quiet)
    options = TileOptions(
        size=size,
        mpp=tile_mpp,
        stride=stride,
        edge=edge,
        tissue=tissue,
    )
    with output.bars("surveying slides", "writing tiles") as bars:
        prepared = cut_tiles(
            slides,
            out,
            tiles=options,
            mpp=mpp,
            engine=EngineOptions(engine, workers, address),
            progress=PrepareProgress(*bars),
        )
    _report_tile_set(prepared, out, output)


def _report_tile_set(prepared: Prepared, out: Path, output: Output) -> None:
    """Show a tile set; exit code 3 if some slides were refused, 1 if all were."""
    summary = prepared.summary
    result = summary | {"out": str(out), "written_files": prepared.written}
    for note in summary["notes"]:
        output.note(f"Note: {note}")
    for slide in summary["slides"]:
        for note in slide.get("notes", ()):
            output.note(f"Note: {note}")
    output.done(result, _tile_set_lines(prepared, out))
    slides = [slide for slide in summary["slides"] if "refused" in slide]
    refused = {slide["slide"]: slide["refused"] for slide in slides}
    output.refused(grouped_refusals(refused, "slides"))
    if refused:
        raise SystemExit(PARTLY_REFUSED if len(refused) < len(summary["slides"]) else 1)


def _tile_set_lines(prepared: Prepared, out: Path) -> list[str]:
    summary = prepared.summary
    slides = [slide["slide"] for slide in summary["slides"] if "refused" not in slide]
    counts = (
        f"{summary['kept']:,} of {counted(summary['tiles'], 'tile')} kept, "
        f"{len(slides)} of {counted(len(summary['slides']), 'slide')}."
    )
    lines = [counts if prepared.written else f"Nothing to do, all of it is there: {counts}"]
    for gate, count in summary["refused"].items():
        lines.append(f"  refused, {gate}: {count:,}")
    if slides:
        previews = out / "look"
        lines.append(f"Previews  {previews / 'contact.png'}, {previews / slides[0]}.png")
        lines.append(f"Tile set  {out}   sha256 {summary['sha256'][:16]}")
    return lines


@app.command()
def stain(
    images: Images,
    out: Out,
    method: Annotated[
        str,
        typer.Option(help="e.g. macenko, vahadane, reinhard (an unknown name lists all)."),
    ] = "macenko",
    target: Annotated[
        Path | None,
        typer.Option(help="Picture whose stain all get (default: the most typical of them)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Give pictures one stain; pictures in which no stain is found are refused.

    Example: histosynth prepare stain tiles --target reference.png --out equalised
    """
    from ..pipeline.prepare_steps import stain_files

    output = Output(as_json, quiet)
    with output.progress("staining") as on_progress:
        outcome = stain_files(
            images,
            out,
            method=method,
            target=target,
            on_progress=on_progress,
        )
    preview = out / "look" / "contact.png"
    line = f"{counted(len(outcome.written), 'picture')} of one stain in {out}; preview {preview}"
    output.report(outcome, lines=[line])


@app.command()
def nuclei(
    images: Images,
    out: Out,
    mpp: ImageMpp,
    detector: Annotated[
        str,
        typer.Option(
            help="centroids (embedded, three classes), centroids-fast (a quarter of the time, less "
            "exact), blobs (no network) or instanseg."
        ),
    ] = "centroids",
    form: Annotated[
        str,
        typer.Option("--format", help="csv or geojson (for QuPath)."),
    ] = "csv",
    device: MeasuringDevice = None,
    dtype: MeasuringDtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find nuclei in pictures: centroids with classes.

    Example: histosynth prepare nuclei tiles --mpp 0.5 --out nuclei
    """
    from ..pipeline.prepare_steps import detect_nuclei

    output = Output(as_json, quiet)
    with output.progress("finding nuclei") as on_progress:
        outcome, counts = detect_nuclei(
            images,
            out,
            mpp=mpp,
            detector=detector,
            form=form,
            device=device,
            dtype=dtype,
            on_progress=on_progress,
        )
    lines = [f"{name}: {count:,}" for name, count in counts.items()]
    lines.append(f"Preview: {out / 'look' / 'contact.png'}")
    output.report(outcome, {"nuclei": counts}, lines)


@app.command()
def split(
    table: Annotated[
        Path,
        typer.Argument(help="CSV with the columns slide, and patient and label if known."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="CSV with patient and split added."),
    ],
    train: Share = 0.7,
    validation: Share = 0.1,
    test: Share = 0.2,
    patient: Annotated[
        str,
        typer.Option(
            help="Pattern that finds the patient in a slide's name (default: TCGA's, or the name)."
        ),
    ] = "",
    seed: Annotated[
        int,
        typer.Option(help="Another seed, another assignment.", min=0),
    ] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Assign patients to training, validation and test, label by label.

    Example: histosynth prepare split slides.csv --out splits.csv
    """
    from ..pipeline.prepare_steps import split_patients_of_table

    result = split_patients_of_table(
        table,
        out,
        shares=(train, validation, test),
        pattern=patient,
        seed=seed,
    )
    Output(as_json, quiet).done(result, _split_lines(result, out))


def _split_lines(result: Mapping[str, Any], out: Path) -> list[str]:
    """A table of patients by label and split."""
    by_label = result["by_label"]
    names = list(next(iter(by_label.values())))
    lines = [f"{'label':24}" + "".join(f"{name:>12}" for name in names)]
    for label, counts in by_label.items():
        lines.append(f"{label:24}" + "".join(f"{counts[name]:>12}" for name in names))
    patients = counted(result["patients"], "patient")
    lines.append(f"{patients}, {counted(result['slides'], 'slide')}: {out}")
    lines += [f"Note: {note}" for note in result["notes"]]
    return lines


@app.command()
def agreement(
    first: Annotator,
    second: Annotator,
    out: Out,
    mpp: Annotated[
        float,
        typer.Option(help="Micrometres per pixel of the coordinates."),
    ],
    reach: Annotated[
        float,
        typer.Option(help="Two marks no farther apart are one nucleus, micrometres."),
    ] = 6.0,
    cell: Annotated[
        float,
        typer.Option(help="Side of the cells regions are compared on, micrometres."),
    ] = 4.0,
    classes: ClassMap = None,
    images: Annotated[
        Path | None,
        typer.Option(help="The pictures, to draw on: one, or a folder by stem."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(help="CSV slide,patient: intervals are then over patients."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare two annotators: Cohen's kappa with its interval, and a picture of where they differ.

    Example: histosynth prepare agreement anna.geojson ben.geojson --mpp 0.25 --out agreement
    """
    from ..pipeline.agreement import compare_annotators

    output = Output(as_json, quiet)
    with output.progress("drawing") as on_progress:
        found = compare_annotators(
            first,
            second,
            out,
            mpp=mpp,
            reach_um=reach,
            cell_um=cell,
            classes=classes,
            images=images,
            table=table,
            on_progress=on_progress,
        )
    for note in found.notes:
        output.note(f"Note: {note}")
    lines = []
    if found.nuclei:
        lines += [
            _kappa_line("nuclei, kappa of classes of matched pairs", found.nuclei.kappa),
            _kappa_line("nuclei, kappa with not marked as a class", found.nuclei.kappa_marked),
            _kappa_line("nuclei, F1 of detection", found.nuclei.f1),
        ]
    if found.regions:
        lines += [
            _kappa_line("regions, kappa inside either's regions", found.regions.inside),
            _kappa_line("regions, kappa over the whole picture", found.regions.whole),
        ]
        for name, dice in found.regions.dice.items():
            lines.append(_kappa_line(f"regions, Dice of {name}", dice))
    lines.append(f"Pictures: {out}, one a file; numbers in agreement.json")
    output.done(found.as_dict() | {"out": str(out)}, lines)


def _kappa_line(name: str, estimate: Estimate) -> str:
    return f"{name:44} {estimate.as_text('.3f')}   {estimate.interval}, n {estimate.n:,}"


@app.command()
def fetch(
    project: Annotated[
        str,
        typer.Option(help="Project of the Genomic Data Commons, e.g. TCGA-SARC."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Folder for slides, manifest.txt and slides.csv."),
    ],
    limit: Annotated[
        int | None,
        typer.Option(help="So many slides at most.", min=1),
    ] = None,
    list_only: Annotated[
        bool,
        typer.Option("--list-only", help="Write the lists, fetch no slide."),
    ] = False,
    subtypes: Annotated[
        Path | None,
        typer.Option(help="TOML with entities of your own, added to the 20 that are known."),
    ] = None,
    endpoint: Annotated[
        str,
        typer.Option(help="Server with the same API."),
    ] = "https://api.gdc.cancer.gov",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fetch open-access diagnostic slides with their labels; run again to continue.

    Example: histosynth prepare fetch --project TCGA-SARC --limit 20 --out slides
    """
    from ..pipeline.prepare_steps import fetch_project

    output = Output(as_json, quiet)
    with output.progress("fetching (bytes)") as on_progress:
        outcome, facts = fetch_project(
            project,
            out,
            limit=limit,
            list_only=list_only,
            extra=subtypes,
            endpoint=endpoint,
            on_progress=on_progress,
        )
    lines = [
        f"{counted(facts['slides'], 'slide')} of {counted(facts['patients'], 'patient')}, "
        f"{facts['bytes'] / 1e9:.1f} GB: {facts['fetched']} fetched, "
        f"{facts['already']} already there."
    ]
    for label, count in facts["labels"].items():
        lines.append(f"  {label or 'no label'}: {count}")
    lines.append(f"Labels    {facts['table']}   (table = of a recipe)")
    output.report(outcome, facts, lines)


app.command()(prepare_maps.regions)
app.command()(prepare_maps.orientation)
app.command()(prepare_inspect.inspect)
app.add_typer(prepare_quality.app, name="quality")
