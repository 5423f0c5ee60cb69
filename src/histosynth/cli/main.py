"""The doors of the command line. Each parses, calls one function and shows; torch is loaded by
none.

Exit codes: 0 done, 1 refused with the reason, 2 wrong usage.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..core.errors import BadOption, HistosynthError
from ..core.version import __version__
from . import bundle as bundle_door
from . import prepare, verbs
from .evaluate import evaluate
from .output import Json, Output, Quiet

OLD_OPTIONS = {"hole": "mask", "holes": "masks", "judges": "metrics", "kinds": "classes"}
"""Names of options in earlier versions: still taken, no longer shown."""


def _current_option(name: str) -> str:
    return OLD_OPTIONS.get(name, name)


app = typer.Typer(
    name="histosynth",
    context_settings={"token_normalize_func": _current_option},
    help="Make and mend H&E tissue from structure. For research use; not for diagnosis.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(prepare.app, name="prepare")
app.add_typer(bundle_door.app, name="bundle")
app.command()(evaluate)

Seed = Annotated[int, typer.Option(help="The same seed gives the same pictures.", min=0)]
Steps = Annotated[
    int | None, typer.Option(help="Solver steps (the bundle's default if not given).")
]
BundlePath = Annotated[
    Path | None, typer.Option("--bundle", help="Bundle folder (default: the compact one).")
]
Classes = Annotated[
    Path | None, typer.Option(help='Class map, TOML lines such as "Tumor" = "epithelial".')
]
Label = Annotated[str | None, typer.Option(help="Tissue label, one of the bundle's.")]
Mpp = Annotated[
    float | None,
    typer.Option(help="Micrometres per pixel of the coordinates (the bundle's if not given)."),
]
Batch = Annotated[
    int,
    typer.Option(
        help="Pictures painted at a time.",
        min=1,
        max=256,
    ),
]


def _path(text: str) -> Path:
    """A path that was really given: an empty one would mean the current folder."""
    if not text.strip():
        raise BadOption("a path", "empty", "the name of a file or folder")
    return Path(text)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"histosynth {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("demo"),
    seed: Seed = 0,
    bundle: BundlePath = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a layout, synthesize tissue from it, damage one tile and complete it. Needs no input."""
    verbs.demo(
        out,
        seed=seed,
        bundle=bundle,
        output=Output(as_json, quiet),
    )


@app.command()
def synthesize(
    nuclei: Annotated[
        Path,
        typer.Option(
            parser=_path,
            metavar="PATH",
            help="CSV (x,y,class) or QuPath GeoJSON, or a folder of them.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for <stem>_<k>.png.")],
    classes: Classes = None,
    size: Annotated[str, typer.Option(help="Tile size in pixels, W or WxH.")] = "256",
    mpp: Mpp = None,
    appearance: Annotated[
        str | None,
        typer.Option(
            help="Reference tile, folder of them by stem, or a palette name (see doctor)."
        ),
    ] = None,
    label: Label = None,
    n: Annotated[
        int,
        typer.Option(
            "-n",
            help="Variants of each.",
            min=1,
            max=10_000,
        ),
    ] = 1,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Annotated[
        float | None, typer.Option(help="1 as trained; above 1 stricter with the nuclei.")
    ] = None,
    bundle: BundlePath = None,
    batch: Batch = 8,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make whole tiles from nuclei.

    Example: histosynth synthesize --nuclei cells.csv --size 512 --appearance ref.png -n 4 --out
        tiles
    """
    options = {
        "mpp": mpp,
        "classes": classes,
        "label": label,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "batch": batch,
    }
    verbs.synthesize(
        nuclei,
        out,
        size,
        appearance,
        n,
        options=options,
        bundle=bundle,
        output=Output(as_json, quiet),
    )


@app.command()
def complete(
    image: Annotated[
        Path,
        typer.Option(
            parser=_path,
            metavar="PATH",
            help="Tile, or a folder of them.",
        ),
    ],
    mask: Annotated[
        Path,
        typer.Option(
            parser=_path,
            metavar="PATH",
            help="Mask, non-zero = missing; or a folder, paired by stem.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="File or folder for the result.")],
    nuclei: Annotated[
        Path | None, typer.Option(help="CSV or GeoJSON of the whole tile, or a folder.")
    ] = None,
    classes: Classes = None,
    mpp: Mpp = None,
    label: Label = None,
    seed: Seed = 0,
    steps: Steps = None,
    guidance: Annotated[
        float | None, typer.Option(help="1 as trained; above 1 stricter with the nuclei.")
    ] = None,
    exemplar: Annotated[
        bool,
        typer.Option(help="Start from tissue copied from around the hole, or from noise alone."),
    ] = True,
    bundle: BundlePath = None,
    batch: Batch = 8,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Complete holes; every pixel outside the hole stays as it is.

    Example: histosynth complete --image torn.png --mask hole.png --out mended.png
    """
    options = {
        "mpp": mpp,
        "classes": classes,
        "label": label,
        "seed": seed,
        "steps": steps,
        "guidance": guidance,
        "batch": batch,
        "exemplar": exemplar,
    }
    verbs.complete(
        image,
        mask,
        out,
        nuclei,
        options=options,
        bundle=bundle,
        output=Output(as_json, quiet),
    )


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Training recipe (TOML), see recipes/.")],
    out: Annotated[Path, typer.Option(help="Run folder; run again to go on.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, train nothing.")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, ... (default: a GPU if there is one).")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(
            help="CPU threads.",
            min=1,
            max=1024,
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            help="In place of the recipe's base: a diffusers folder, owner/name, or .safetensors."
        ),
    ] = None,
    root: Annotated[
        Path | None, typer.Option(help="In place of the recipe's folder of tiles.")
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train an autoencoder, a base or an adapter. Stopped runs go on when run again.

    Example: histosynth train presets/sarcodiff.toml --base SD21 --root tiles --out runs/sarcoma
        --dry-run
    """
    place = {"base": base, "root": root, "device": device}
    verbs.train(
        recipe,
        out,
        dry=dry_run,
        place=place,
        threads=threads,
        output=Output(as_json, quiet),
    )


@app.command()
def doctor(bundle: BundlePath = None, as_json: Json = False, quiet: Quiet = False) -> None:
    """Say what this machine can do, which bundle is used, and how fast it paints."""
    verbs.doctor(bundle, output=Output(as_json, quiet))


def run() -> None:
    """Entry point: refusals become one line and exit code 1."""
    try:
        app()
    except HistosynthError as error:
        Output(as_json="--json" in sys.argv).refuse(error)
        raise SystemExit(1) from error
