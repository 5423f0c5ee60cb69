"""`histosynth layout edit` and `layout field`: nuclei changed, and their densities as maps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.geometry import parse_size
from ..core.number_format import counted
from .options import Json, Quiet, parse_path
from .output import Output

LayoutPath = Annotated[
    Path,
    typer.Argument(
        metavar="NUCLEI",
        help="Parquet from `layout sample`, or GeoJSON, CSV, ... of a slide.",
    ),
]
SlideSize = Annotated[
    str | None,
    typer.Option(
        metavar="W|WxH",
        help="Of the slide in pixels (default: that of the Parquet layout).",
    ),
]
SlideMpp = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        help="Micrometres per pixel (default: that of the Parquet layout).",
    ),
]
ClassMapPath = Annotated[
    Path | None,
    typer.Option(
        "--classes",
        metavar="MAP.toml",
        help="Class map for files of other forms.",
    ),
]


def edit(
    nuclei: LayoutPath,
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.parquet; NAME.empty.geojson is written with it where IN has one.",
            parser=parse_path,
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--raise",
            metavar="CLASS=FACTOR",
            help="Density of a class times this, 1 to 100; may be repeated.",
        ),
    ] = None,
    infiltrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=FACTOR",
            help="Add FACTOR - 1 times the slide's mean density of a class, also where it has "
            "none.",
        ),
    ] = None,
    thin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=SHARE",
            help="Keep this share of a class, 0 to 1.",
        ),
    ] = None,
    clear: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS",
            help="Remove a class.",
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,W,H|GEOJSON",
            help="Where nuclei change: pixels, or polygons (default: everywhere).",
        ),
    ] = None,
    border: Annotated[
        float | None,
        typer.Option(
            metavar="UM",
            help="Only so near to the border of dense epithelium.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(help="The same seed changes the same nuclei.", min=0),
    ] = 0,
    size: SlideSize = None,
    mpp: SlideMpp = None,
    classes: ClassMapPath = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Add, thin or remove nuclei of a class in a region; all others stay as they are.

    Example: histosynth layout edit l.parquet --infiltrate lymphocyte=4 --border 60 --out m.parquet
    """
    from ..pipeline.layout_editing import edit_layout
    from ..pipeline.layout_edits import edits_of, region_of_option
    from ..pipeline.layout_source import open_layout_file

    output = Output(as_json, quiet)
    layout = open_layout_file(
        nuclei,
        size=None if size is None else parse_size(size),
        mpp=mpp,
        class_map=classes,
    )
    edits = edits_of(
        {
            "thin": [*(thin or ()), *(f"{name}=0" for name in clear or ())],
            "raise": more or (),
            "infiltrate": infiltrate or (),
        }
    )
    with output.progress("layout") as on_progress:
        found = edit_layout(
            layout,
            out,
            edits,
            region=region_of_option(region),
            border_um=border,
            seed=seed,
            on_progress=on_progress,
        )
    facts = {
        "out": str(found.out),
        "nuclei": found.nuclei,
        "added": found.added,
        "removed": found.removed,
        "warnings": list(found.warnings),
    }
    added = sum(found.added.values())
    removed = sum(found.removed.values())
    lines = [
        f"{found.out}: {counted(found.nuclei, 'nucleus', 'nuclei')}, {added:,} added and "
        f"{removed:,} removed",
        *found.warnings,
    ]
    output.done(facts, lines)


def field(
    nuclei: LayoutPath,
    out: Annotated[
        Path,
        typer.Option(
            help="NAME.tif, for `layout sample --field`.",
            parser=parse_path,
        ),
    ],
    cell: Annotated[
        float,
        typer.Option(help="Side of a cell of the map in um."),
    ] = 16.0,
    kernel: Annotated[
        float,
        typer.Option(help="Standard deviation of the kernel in um."),
    ] = 20.0,
    size: SlideSize = None,
    mpp: SlideMpp = None,
    classes: ClassMapPath = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate the densities of a slide's nuclei, a map a class.

    Example: histosynth layout field slide.geojson --size 40000x30000 --mpp 0.5 --out field.tif
    """
    from ..pipeline.layout_fields import estimate_field_file
    from ..pipeline.layout_source import open_layout_file

    layout = open_layout_file(
        nuclei,
        size=None if size is None else parse_size(size),
        mpp=mpp,
        class_map=classes,
    )
    found = estimate_field_file(
        layout,
        out,
        cell_um=cell,
        kernel_um=kernel,
    )
    rows, columns = found.field.per_mm2.shape[1:]
    named = ", ".join(found.field.classes)
    facts = {
        "out": str(found.out),
        "classes": list(found.field.classes),
        "cells": [columns, rows],
        "cell_um": cell,
        "kernel_um": kernel,
    }
    line = f"{found.out}: {columns:,} x {rows:,} cells of {cell:g} um, nuclei per mm2 of {named}"
    Output(as_json, quiet).done(facts, [line])
