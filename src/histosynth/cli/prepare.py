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

Engine = Annotated[str, typer.Option(help="Where to work: local, pool (processes) or ray (a cluster).")]
Workers = Annotated[int | None, typer.Option(help="Workers at a time (default: one a core).", min=1)]
Address = Annotated[str | None, typer.Option(help="Address of a running Ray cluster.")]


@app.command()
def run(
    recipe: Annotated[Path, typer.Argument(help='Recipe (TOML); one line is enough: slides = ["*.svs"].')],
    out: Annotated[Path, typer.Option(help="Folder of the tile set; run again to go on.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, do nothing.")] = False,
    engine: Engine = "pool",
    workers: Workers = None,
    address: Address = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Slides to tiles: find tissue, judge, find nuclei, make stains alike, split by patient.

    Example: histosynth prepare run recipe.toml --out tiles
    """
    preparing.run(recipe, out, dry=dry_run, place=(engine, workers, address), output=Output(as_json, quiet))
