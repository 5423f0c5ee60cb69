"""`histosynth export …`: bundles in formats of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..core.number_format import counted
from .options import Json, Quiet
from .output import Output

app = typer.Typer(
    help="Write a bundle in formats that programs without torch run.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    """Keeps the group a group while it has one verb."""


@app.command()
def onnx(
    out: Annotated[
        Path,
        typer.Option(help="New folder."),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="Bundle folder (default: the compact bundle)."),
    ] = None,
    adapter: Annotated[
        str,
        typer.Option(help="Adapter of the bundle that paints."),
    ] = "global",
    dtype: Annotated[
        Literal["fp16", "fp32"],
        typer.Option(help="Number type that weights are stored in; sums are fp32 in both."),
    ] = "fp16",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write U-Net step, structure encoder and decoder as ONNX; examples/browser paints with them.

    Example: histosynth export onnx my-bundle --out my-onnx
    """
    from ..pipeline.export_onnx import export_onnx

    output = Output(as_json, quiet)
    with output.progress("graphs") as on_progress:
        exported = export_onnx(
            folder,
            out=out,
            adapter=adapter,
            dtype=dtype,
            on_progress=on_progress,
        )
    megabytes = exported["bytes"] / 1e6
    base = exported["adapter"] or "base alone"
    lines = [
        f"{exported['out']}: bundle {exported['name']}, {base}, "
        f"{counted(len(exported['files']), 'file')}, {megabytes:.1f} MB",
        f"solver {exported['solver']}, {counted(exported['steps'], 'step')}",
    ]
    for name, difference in exported["differences"].items():
        lines.append(f"{name:16} differs from torch by {difference:.2g} at most")
    output.done(exported, lines)
