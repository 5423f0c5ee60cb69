"""`histosynth bundle …`: inspect, pack and unpack bundles, convert their adapters, publish them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..core.number_format import counted
from .options import CoordinateMpp, Json, Quiet
from .output import Output

app = typer.Typer(
    help="Inspect and pack bundles, convert their adapters, publish them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Folder = Annotated[
    Path,
    typer.Argument(help="Bundle folder."),
]

_SHOWN_ELSEWHERE = (
    "adapters",
    "parts",
    "data",
    "wrong",
    "bytes",
    "hashes",
    "verified",
)


@app.command()
def inspect(
    folder: Folder,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show a bundle's contents, its training data, and whether its hashes are right.

    Example: histosynth bundle inspect my-bundle
    """
    from ..pipeline import bundle as bundles

    output = Output(as_json, quiet)
    facts = bundles.inspect(folder)
    output.done(facts, _fact_lines(facts))
    if facts["wrong"]:
        output.refused([facts["wrong"]])
        raise SystemExit(1)


@app.command()
def pack(
    folder: Folder,
    out: Annotated[
        Path,
        typer.Option(help="New file ending in .zip, or new folder."),
    ],
    measured: Annotated[
        Path | None,
        typer.Option(help="Markdown of measurements, for the card (default: the present text)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a bundle, write its card again and pack it: the same bundle, the same bytes.

    Example: histosynth bundle pack my-bundle --measured measured.md --out my-bundle.zip
    """
    from ..model import packing

    packed = packing.pack(folder, out, measured=measured)
    line = f"{out}: {counted(len(packed['files']), 'file')}, {_size_text(packed['bytes'])}"
    Output(as_json, quiet).done(packed, [line])


@app.command()
def unpack(
    archive: Annotated[
        Path,
        typer.Argument(help="File that bundle pack wrote."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="New folder."),
    ],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Unpack a bundle into a new folder and verify it; nothing of a damaged one stays.

    Example: histosynth bundle unpack my-bundle.zip --out my-bundle
    """
    from ..model import packing

    unpacked = packing.unpack(archive, out)
    line = f"{out}: bundle {unpacked['name']}, {counted(unpacked['files'], 'file')}, verified"
    Output(as_json, quiet).done(unpacked, [line])


@app.command()
def convert(
    adapter: Annotated[
        Path,
        typer.Argument(help="Adapter file, or its folder."),
    ],
    to: Annotated[
        Literal["kohya", "diffusers"],
        typer.Option(help="Names of which program: kohya's for ComfyUI and A1111."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="New file ending in .safetensors."),
    ],
    base: Annotated[
        Path | None,
        typer.Option(
            help="For kohya files of other programs: bundle or U-Net they fit "
            "(default: Stable Diffusion 1 or 2)."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write an adapter under other programs' names, or back; its tensors stay as they are.

    Example: histosynth bundle convert my-bundle/adapters/global --to kohya --out global.safetensors
    """
    from ..pipeline import bundle as bundles

    converted = bundles.convert(adapter, to, out, base=base)
    ranks = sorted({converted["rank"], *converted["rank_pattern"].values()})
    alphas = sorted({converted["alpha"], *converted["alpha_pattern"].values()})
    line = (
        f"{out}: {converted['name']}, rank {_listed_numbers(ranks)}, "
        f"alpha {_listed_numbers(alphas)}, {_size_text(converted['bytes'])}"
    )
    Output(as_json, quiet).done(converted, [line])


@app.command()
def export(
    out: Annotated[
        Path,
        typer.Option(help="New folder."),
    ],
    folder: Annotated[
        Path | None,
        typer.Argument(help="Bundle folder (default: the compact bundle)."),
    ] = None,
    to: Annotated[
        Literal["diffusers"],
        typer.Option(help="Program that opens the folder."),
    ] = "diffusers",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a bundle as a folder that plain diffusers opens; on Stable Diffusion, what is added.

    Example: histosynth bundle export my-bundle --to diffusers --out my-pipeline
    """
    from ..pipeline import bundle as bundles

    exported = bundles.export(folder, to, out)
    lines = [
        f"{out}: {counted(exported['files'], 'file')}, {_size_text(exported['bytes'])}",
        f"opens with {exported['opens_with']}",
    ]
    Output(as_json, quiet).done(exported, lines)


@app.command()
def grain(
    folder: Folder,
    tiles: Annotated[
        Path,
        typer.Option(help="Pictures or a tile set that the bundle was trained on."),
    ],
    mpp: CoordinateMpp = None,
    members: Annotated[
        Path | None,
        typer.Option(help="Text file with the names to take, one a line (default: all)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure the grain that a bundle's autoencoder loses, and keep it in its bundle.json.

    Example: histosynth bundle grain my-bundle --tiles tiles --mpp 0.5
    """
    from ..pipeline.bundle_grain import measure_grain

    measured = measure_grain(folder, tiles, mpp=mpp, members=members)
    noise = ", ".join(f"{value:.1f}" for value in measured["grain"]["noise"][0])
    lines = [
        f"{folder}: grain of {counted(measured['tiles'], 'tile')}; typical noise of red, green "
        f"and blue {noise} grey levels"
    ]
    Output(as_json, quiet).done(measured, lines)


@app.command()
def sizes(
    folder: Folder,
    tiles: Annotated[
        Path,
        typer.Option(help="Pictures or a tile set that the adapter was trained on."),
    ],
    points: Annotated[
        Path | None,
        typer.Option(help="Folder of the pictures' nuclei; rows of a tile set bring their own."),
    ] = None,
    mpp: CoordinateMpp = None,
    members: Annotated[
        Path | None,
        typer.Option(help="Text file with the names to take, one a line (default: all)."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--class", help="Correct this class alone; repeatable (default: all)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Correct the sizes of nuclei that a bundle draws, by what it makes of them.

    Example: histosynth bundle sizes my-bundle --tiles tiles --points points --mpp 0.5
    """
    from ..pipeline.bundle_sizes import correct_sizes

    output = Output(as_json, quiet)
    with output.progress("tiles") as on_progress:
        corrected = correct_sizes(
            folder,
            tiles,
            points=points,
            mpp=mpp,
            members=members,
            classes=only or (),
            on_progress=on_progress,
        )
    names = ", ".join(corrected["classes"])
    line = f"{folder}: sizes of {names} corrected on {counted(corrected['tiles'], 'tile')}"
    output.done(corrected, [line])


def _listed_numbers(values: Sequence[float]) -> str:
    return " and ".join(f"{value:g}" for value in values)


@app.command()
def push(
    folder: Folder,
    repo: Annotated[
        str,
        typer.Option(help="owner/name on huggingface.co; created if it is not there."),
    ],
    private: Annotated[
        bool,
        typer.Option("--private", help="Only into a private repository."),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be sent, send nothing."),
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a bundle and send it to huggingface.co in one commit, with your own login there.

    Example: histosynth bundle push my-bundle --repo me/my-bundle --private --dry-run
    """
    from ..pipeline import bundle as bundles

    sent = bundles.push(folder, repo, private=private, dry=dry_run)
    lines = [f"{_size_text(size):>10}  {name}" for name, size in sent["files"].items()]
    if dry_run:
        lines.append(f"{_size_text(sent['bytes'])} would go to {repo}")
    else:
        lines.append(sent["url"])
    Output(as_json, quiet).done(sent, lines)


def _size_text(size: int) -> str:
    """A number of bytes in MB or kB."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _fact_lines(facts: Mapping[str, Any]) -> list[str]:
    """What `inspect` found, one line each; data, parts and adapters one line an item."""
    rows = []
    for name, value in facts.items():
        is_empty = value is None or value in ((), [])
        if name not in _SHOWN_ELSEWHERE and not is_empty:
            rows.append((name.replace("_", " "), _plain_text(value)))
    for line in facts["data"] or ("not stated",):
        rows.append(("data", line))
    for name, part in facts["parts"].items():
        rows.append((name, _weights_text(part)))
    for adapter in facts["adapters"]:
        rows.append((f"adapter {adapter['name']}", _adapter_text(adapter)))
    state = "do not hold" if facts["wrong"] else "hold"
    rows.append(("hashes", f"{facts['hashes']}, {state}"))
    rows.append(("size", _size_text(facts["bytes"])))
    return [f"{name:18} {text}" for name, text in rows]


def _weights_text(part: Mapping[str, Any]) -> str:
    return f"{part['parameters'] / 1e6:.2f} M parameters, {_size_text(part['bytes'])}"


def _adapter_text(adapter: Mapping[str, Any]) -> str:
    drawn = [name for name in ("sizes", "orientation") if adapter[name]]
    follows = f"draws {' and '.join(drawn)}; " if drawn else ""
    return (
        f"rank {adapter['rank']}, alpha {adapter['alpha']:g}, on {', '.join(adapter['targets'])}; "
        f"{follows}{_weights_text(adapter)}; base {adapter['base_sha256']}"
    )


def _plain_text(value: Any) -> str:
    """A value without brackets and quotes."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_plain_text(each)}" for name, each in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(each) for each in value)
    return str(value)
