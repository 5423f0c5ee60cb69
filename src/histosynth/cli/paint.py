"""`histosynth paint`: a whole slide from its nuclei, or from a layout that is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.geometry import parse_box, parse_size
from ..core.number_format import counted
from ..engine import EngineOptions
from ..sampling.options import SamplingOptions
from .options import (
    Address,
    BundlePath,
    ClassMap,
    Device,
    Dtype,
    EngineName,
    Grain,
    Guidance,
    Json,
    Label,
    Quiet,
    Seed,
    SolverName,
    Steps,
    Workers,
    parse_path,
)
from .output import Amount, Output

_PX_PER_MPX = 1e6


def paint(
    out: Annotated[
        Path,
        typer.Option(
            parser=parse_path,
            help="NAME.ome.tiff, or NAME.dicom for a folder of DICOM files, one a level. Its parts "
            "lie in NAME.ome.tiff.parts until it is finished.",
        ),
    ],
    nuclei: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="PATH",
            help="Parquet from `layout sample`, or GeoJSON, CSV, ... of nuclei (default: a layout "
            "is drawn and written beside the slide).",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="W|WxH",
            help="Of the slide in pixels (default: that of the Parquet layout).",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(
            help="Micrometres per pixel of the slide and of --nuclei (default: that of the Parquet "
            "layout; 0.5 where a layout is drawn).",
        ),
    ] = None,
    like: Annotated[
        Literal["slide", "model"],
        typer.Option(
            help="Of a layout that is drawn: slide (tissue on glass, regions, glands), or model "
            "(its densities everywhere).",
        ),
    ] = "slide",
    regions: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="PATH",
            help="GeoJSON of regions without tissue for --nuclei (default: those beside a Parquet "
            "layout).",
        ),
    ] = None,
    classes: ClassMap = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H",
            help="Write only this part of the slide, px: the same pixels, at the cost of its area.",
        ),
    ] = None,
    appearance: Annotated[
        str | None,
        typer.Option(help="Reference tile, or a palette name (see doctor)."),
    ] = None,
    label: Label = None,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Guidance = None,
    solver: SolverName = None,
    grain: Grain = True,
    codec: Annotated[
        str,
        typer.Option(
            help="jpeg, or without loss deflate or zstd (OME-TIFF; not every reader has zstd) or "
            "jpeg2000 (DICOM).",
        ),
    ] = "jpeg",
    quality: Annotated[
        int,
        typer.Option(help="Of JPEG.", min=1, max=100),
    ] = 90,
    tiles: Annotated[
        Path | None,
        typer.Option(
            parser=parse_path,
            metavar="FOLDER",
            help="Write tiles of the slide here too, with their nuclei: a tile set.",
        ),
    ] = None,
    tile_size: Annotated[
        int | None,
        typer.Option(help="Side of a tile in pixels (default: 256)."),
    ] = None,
    tile_tissue: Annotated[
        float | None,
        typer.Option(
            help="Least share of a tile where the layout has tissue; others are left out "
            "(default: 0.5).",
        ),
    ] = None,
    tile_split: Annotated[
        str | None,
        typer.Option(help="Of all tiles: train, validation or test (default: none)."),
    ] = None,
    bundle: BundlePath = None,
    engine: EngineName = "pool",
    workers: Workers = None,
    address: Address = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Paint a whole slide, in memory that does not grow with it.

    The pixels are the same on any engine, with any number of workers and after any stop: run the
    same command again to go on.

    Example: histosynth paint --size 8192x8192 --seed 1 --out slide.ome.tiff
    """
    from ..pipeline.paint import PaintOptions
    from ..pipeline.paint_files import LayoutSource, paint_files, tile_cutting

    source = LayoutSource(
        nuclei,
        None if size is None else parse_size(size),
        mpp,
        regions,
        classes,
        like,
    )
    options = PaintOptions(
        SamplingOptions(
            label=label,
            seed=seed,
            steps=steps,
            guidance=guidance,
            solver=solver,
            grain=grain,
            device=device,
            dtype=dtype,
        ),
        None if region is None else parse_box("--region", region),
        codec,
        quality,
        EngineOptions(engine, workers, address),
        tile_cutting(
            tiles,
            tile_size,
            tile_tissue,
            tile_split,
        ),
    )
    output = Output(as_json, quiet)
    amount = Amount("Mpx")

    def on_size(width: int, height: int) -> None:
        amount.total = width * height / _PX_PER_MPX

    with output.bars(
        "painting",
        "writing",
        "tiles",
        "layout",
        amounts={"painting": amount},
    ) as (on_painted, on_written, on_cut, on_drawn):
        files = paint_files(
            source,
            out,
            appearance=appearance,
            options=options,
            bundle=bundle,
            on_size=on_size,
            on_drawn=on_drawn,
            on_painted=on_painted,
            on_written=on_written,
            on_cut=on_cut,
            on_warning=output.note,
        )
    painted = files.painted
    facts = painted.as_dict() | {
        "layout": None,
        "nuclei": None,
        "warnings": list(files.warnings),
    }
    width, height = painted.size
    area = width * height / _PX_PER_MPX
    state = "was there already"
    if not painted.was_there:
        speed = area / painted.seconds
        state = f"painted in {painted.seconds:,.0f} s, {speed:.2g} Mpx/s"
    lines = [
        f"{painted.path}: {width:,} x {height:,} px ({area:,.1f} Mpx) at {painted.mpp:g} um/px, "
        f"{state}"
    ]
    if files.layout is not None:
        facts |= {"layout": str(files.layout.out), "nuclei": files.layout.nuclei}
        total = sum(files.layout.nuclei.values())
        lines.append(f"{files.layout.out}: {counted(total, 'nucleus', 'nuclei')}, as painted")
        if files.layout.geojson is not None:
            lines.append(f"{files.layout.geojson}: the same for QuPath")
    if painted.tiles is not None:
        cut = painted.tiles
        total = sum(cut.nuclei.values())
        nuclei_text = counted(total, "nucleus", "nuclei")
        lines.append(
            f"{cut.folder}: {counted(cut.tiles, 'tile')} with {nuclei_text}; {cut.left_out:,} left "
            "out for too little tissue"
        )
    output.done(facts, lines)
