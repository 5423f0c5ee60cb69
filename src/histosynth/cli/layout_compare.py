"""`histosynth layout compare`: a layout against real tissue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.geometry import parse_size
from .options import Json, Quiet, parse_path
from .output import Output


def compare(
    nuclei: Annotated[
        Path,
        typer.Argument(
            metavar="NUCLEI",
            help="Layout of a slide (Parquet, GeoJSON, ...), a tile set, or a folder of files.",
        ),
    ],
    reference: Annotated[
        Path,
        typer.Option(help="Real tissue: a tile set, or a folder of CSV or GeoJSON files."),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of report.html and report.json.",
            parser=parse_path,
        ),
    ],
    size: Annotated[
        str | None,
        typer.Option(
            metavar="W|WxH",
            help="Of the slide in pixels (default: that of the Parquet layout).",
        ),
    ] = None,
    mpp: Annotated[
        float | None,
        typer.Option(help="Micrometres per pixel of files that do not state it."),
    ] = None,
    tile_size: Annotated[
        str | None,
        typer.Option(
            metavar="W|WxH",
            help="Of the tiles of a folder of files in pixels.",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(help="The same seed takes the same windows.", min=0),
    ] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare a layout with real tissue: pairs, nearest nuclei, counts, classes, density.

    Example: histosynth layout compare layout.parquet --reference tiles --out report
    """
    from ..pipeline.layout_comparing import compare_layout_files

    found = compare_layout_files(
        nuclei,
        reference,
        out,
        size=None if size is None else parse_size(size),
        mpp=mpp,
        tile_size=None if tile_size is None else parse_size(tile_size),
        seed=seed,
    )
    units = "patients" if found.are_patients else "files (patients unknown)"
    lines = [
        f"{found.report}: {found.windows} windows against {found.reference_tiles} tiles of "
        f"{found.units} {units}",
    ]
    distances = {}
    for each in found.distances:
        low, high = each.interval
        lines.append(
            f"{each.name}: {each.value:.3f}, {each.times:.2f} times real to real ({low:.2f} to "
            f"{high:.2f})"
        )
        distances[each.name] = {
            "value": each.value,
            "real": each.real,
            "times": each.times,
            "interval": [low, high],
        }
    facts = {
        "report": str(found.report),
        "numbers": str(found.numbers),
        "windows": found.windows,
        "units": found.units,
        "are_patients": found.are_patients,
        "reference_tiles": found.reference_tiles,
        "distances": distances,
        "warnings": list(found.warnings),
    }
    Output(as_json, quiet).done(facts, [*lines, *found.warnings])
