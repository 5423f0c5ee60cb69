"""`histosynth layout …`: nuclei of whole slides, without a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.geometry import parse_size
from ..core.number_format import counted
from . import layout_change, layout_compare
from .options import Json, Quiet, parse_path
from .output import Output

app = typer.Typer(
    help="Layouts of slides: fit a model, draw one of any size, change it, compare it.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.command()(layout_change.edit)
app.command()(layout_change.field)
app.command()(layout_compare.compare)


@app.command()
def sample(
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.parquet; NAME.png and NAME.empty.geojson are written with it.",
            parser=parse_path,
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            help="Of the slide in pixels: W or WxH (default: what a --field in TIFF covers).",
        ),
    ] = None,
    mpp: Annotated[
        float,
        typer.Option(help="Micrometres per pixel."),
    ] = 0.5,
    seed: Annotated[
        int,
        typer.Option(help="The same seed gives the same layout.", min=0),
    ] = 0,
    like: Annotated[
        Literal["slide", "model"],
        typer.Option(
            help="slide: tissue on glass with regions and glands; model: its densities everywhere."
        ),
    ] = "slide",
    model: Annotated[
        Path | None,
        typer.Option(help="Model of layouts, see `layout fit` (default: breast)."),
    ] = None,
    field: Annotated[
        Path | None,
        typer.Option(help="Density maps (.tif of `layout field`, or .npz) in place of drawn ones."),
    ] = None,
    field_classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Classes of the pages of a TIFF field that does not state them.",
        ),
    ] = None,
    field_cell: Annotated[
        float | None,
        typer.Option(
            metavar="UM",
            help="Side of the cells of a TIFF field that does not state it, in um.",
        ),
    ] = None,
    geojson: Annotated[
        bool,
        typer.Option("--geojson", help="Also write NAME.geojson for QuPath."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw the nuclei of a slide of any size.

    Example: histosynth layout sample --size 8192x8192 --out layout.parquet
    """
    from ..pipeline.layout_fields import field_of
    from ..pipeline.slide_layouts import draw_slide_layout, sample_layout
    from ..tissue.layouts.model import SHIPPED_LAYOUTS

    output = Output(as_json, quiet)
    layout = draw_slide_layout(
        None if size is None else parse_size(size),
        mpp=mpp,
        seed=seed,
        like=like,
        model=model or SHIPPED_LAYOUTS,
        field=field_of(
            field,
            field_classes,
            field_cell,
        ),
    )
    with output.progress("layout") as on_progress:
        files = sample_layout(
            layout,
            out,
            geojson=geojson,
            on_progress=on_progress,
        )
    total = sum(files.nuclei.values())
    width, height = layout.size
    facts = {
        "out": str(files.out),
        "thumbnail": str(files.thumbnail),
        "empty": None if files.empty is None else str(files.empty),
        "geojson": None if files.geojson is None else str(files.geojson),
        "size": [width, height],
        "mpp": mpp,
        "seed": seed,
        "like": like,
        "nuclei": files.nuclei,
        "digest": layout.digest,
        "warnings": list(files.warnings),
    }
    classes = ", ".join(f"{count:,} {name}" for name, count in files.nuclei.items())
    lines = [
        f"{files.out}: {counted(total, 'nucleus', 'nuclei')} on {width:,} x {height:,} px at "
        f"{mpp:g} um/px ({classes})",
        f"{files.thumbnail}: what it looks like",
    ]
    if files.empty:
        lines.append(f"{files.empty}: glass and lumina")
    if files.geojson:
        lines.append(f"{files.geojson}: for QuPath")
    lines.extend(files.warnings)
    output.done(facts, lines)


@app.command()
def fit(
    tiles: Annotated[
        Path,
        typer.Argument(
            metavar="TILES", help="Tile set with nuclei and a split, or a folder of CSV or GeoJSON."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(help="JSON file of the model.", parser=parse_path),
    ],
    seed: Annotated[
        int,
        typer.Option(help="The same seed gives the same model.", min=0),
    ] = 0,
    tile_size: Annotated[
        str | None,
        typer.Option(metavar="W|WxH", help="Of the tiles of a folder of files in pixels."),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Micrometres per pixel of a folder of files."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fit a model of layouts to the training patients of a tile set.

    Example: histosynth layout fit tiles --out model.json
    """
    from ..pipeline.layout_fitting import fit_layout_file

    fitted = fit_layout_file(
        tiles,
        out,
        seed=seed,
        tile_size=None if tile_size is None else parse_size(tile_size),
        mpp=mpp,
    )
    facts = {
        "out": str(fitted.out),
        "tiles": fitted.tiles,
        "patients": fitted.patients,
        "nuclei": fitted.nuclei,
        "classes": list(fitted.model.classes),
        "reach_um": fitted.model.reach_um,
        "digest": fitted.model.sha256,
    }
    line = (
        f"{fitted.out}: layouts of {counted(fitted.tiles, 'tile')} of "
        f"{counted(fitted.patients, 'patient')}, {fitted.nuclei:,} nuclei of "
        f"{counted(len(fitted.model.classes), 'class', 'classes')}"
    )
    Output(as_json, quiet).done(facts, [line])
