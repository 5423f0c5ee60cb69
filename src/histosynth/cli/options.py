"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import BadOption


def parse_path(text: str) -> Path:
    """A path that the user named; an empty one would mean the current folder.

    Raises:
        BadOption: it is empty.
    """
    if not text.strip():
        raise BadOption("a path", "empty", "the name of a file or folder")
    return Path(text)


def split_names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    names = [name.strip() for name in text.split(",")]
    return tuple(name for name in names if name)


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON object on stdout."),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress, no text."),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Open and check everything, write nothing."),
]

Seed = Annotated[
    int,
    typer.Option(help="The same seed gives the same pictures.", min=0),
]
Steps = Annotated[
    int | None,
    typer.Option(help="Solver steps (default: the bundle's)."),
]
Guidance = Annotated[
    float | None,
    typer.Option(help="1 as trained; above 1 stricter with the nuclei."),
]
Grain = Annotated[
    bool,
    typer.Option(help="Draw the finest texture, or leave it out, e.g. to train detectors."),
]
SolverName = Annotated[
    str | None,
    typer.Option(
        "--solver",
        help="e.g. dpm, unipc, euler, heun (an unknown name lists all; default: the bundle's).",
    ),
]
Batch = Annotated[
    int,
    typer.Option(help="Pictures sampled at a time.", min=1, max=256),
]
BundlePath = Annotated[
    Path | None,
    typer.Option("--bundle", help="Bundle folder (default: the compact one)."),
]
Label = Annotated[
    str | None,
    typer.Option(help="Tissue label, one of the bundle's."),
]
ClassMap = Annotated[
    Path | None,
    typer.Option("--classes", help='Class map, TOML lines such as "Tumor" = "epithelial".'),
]
CoordinateMpp = Annotated[
    float | None,
    typer.Option(
        "--mpp",
        help="Micrometres per pixel of the coordinates (default: the bundle's).",
    ),
]

Device = Annotated[
    str | None,
    typer.Option(help="cpu, cuda, ... (default: a GPU if there is one)."),
]
Dtype = Annotated[
    str | None,
    typer.Option(help="Number type: bf16, fp32, fp16 (default: bf16 where it is faster)."),
]
MeasuringDevice = Annotated[
    str | None,
    typer.Option("--device", help="cpu, cuda, ... of the measuring networks (default: cpu)."),
]
MeasuringDtype = Annotated[
    str | None,
    typer.Option("--dtype", help="Number type of the measuring networks: fp32 (default), bf16."),
]
EngineName = Annotated[
    str,
    typer.Option("--engine", help="Where to work: local, pool (processes) or ray (a cluster)."),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Workers at a time (default: one a core).", min=1),
]
Address = Annotated[
    str | None,
    typer.Option(help="Address of a running Ray cluster."),
]

Images = Annotated[
    Path,
    typer.Argument(help="Picture, or a folder of them."),
]
Out = Annotated[
    Path,
    typer.Option(help="Folder for the results."),
]
ImageMpp = Annotated[
    float,
    typer.Option("--mpp", help="Micrometres per pixel of the pictures."),
]
