"""`histosynth demo`: the main verbs in pictures, without any input."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.number_format import counted
from .options import BundlePath, Device, Dtype, Json, Quiet, Seed
from .output import Output

Out = Annotated[
    Path,
    typer.Option(help="Folder for the results."),
]


def demo(
    out: Out = Path("demo"),
    seed: Seed = 0,
    bundle: BundlePath = None,
    device: Device = None,
    dtype: Dtype = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate a layout of nuclei, synthesize tiles from it, damage and complete them.

    It needs no input.
    """
    output = Output(as_json, quiet)
    from ..pipeline.demo import run_demo

    with output.progress("sampling") as on_progress:
        result = run_demo(
            out,
            bundle=bundle,
            seed=seed,
            device=device,
            dtype=dtype,
            on_progress=on_progress,
        )
    lines = [
        f"Generated {counted(result['pictures'], 'picture')} in {result['seconds']:.0f} s.",
        f"Overview       {result['contact']}",
        f"Report         {result['report']}   (opens offline)",
        "Try next       histosynth synthesize --nuclei "
        f"{result['nuclei']} --appearance YOUR_TILE.png -n 4 --out tiles",
        "               histosynth complete --image YOUR_TILE.png --mask YOUR_MASK.png "
        "--out completed.png",
        "Synthetic tissue, for research use; not for diagnosis.",
    ]
    output.done(dict(result), lines)
