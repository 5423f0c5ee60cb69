"""`histosynth bundle …`: look into bundles, pack and unpack them, rename their adapters, give them
away.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .output import Json, Output, Quiet

app = typer.Typer(
    help="Look into bundles, pack them, rename their adapters, give them away.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Argument(help="Bundle folder.")]


@app.command()
def inspect(folder: Folder, as_json: Json = False, quiet: Quiet = False) -> None:
    """Say what a bundle is, what it was trained on, what it holds, and whether its hashes hold.

    Example: histosynth bundle inspect my-bundle
    """
    from ..pipeline import bundle as bundling

    output = Output(as_json, quiet)
    facts = bundling.inspect(folder)
    output.done(facts, _lines(facts))
    if facts["wrong"]:
        output.refused([facts["wrong"]])
        raise SystemExit(1)


@app.command()
def pack(
    folder: Folder,
    out: Annotated[Path, typer.Option(help="New file ending in .zip, or new folder.")],
    measured: Annotated[
        Path | None,
        typer.Option(help="Markdown of what was measured, for the card (default: as it says)."),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a bundle, write its card anew and pack it: the same bundle, the same bytes.

    Example: histosynth bundle pack my-bundle --measured measured.md --out my-bundle.zip
    """
    from ..model import packing

    done = packing.pack(folder, out, measured=measured)
    Output(as_json, quiet).done(
        done, [f"{out}: {len(done['files'])} files, {_mega(done['bytes'])}"]
    )


@app.command()
def unpack(
    archive: Annotated[Path, typer.Argument(help="File that bundle pack wrote.")],
    out: Annotated[Path, typer.Option(help="New folder.")],
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Unpack a bundle into a new folder and verify it; nothing of a bad one stays.

    Example: histosynth bundle unpack my-bundle.zip --out my-bundle
    """
    from ..model import packing

    done = packing.unpack(archive, out)
    Output(as_json, quiet).done(
        done, [f"{out}: bundle {done['name']}, {done['files']} files, verified"]
    )


@app.command()
def convert(
    adapter: Annotated[Path, typer.Argument(help="Adapter file, or its folder.")],
    to: Annotated[
        Literal["kohya", "diffusers"],
        typer.Option(help="Whose names: kohya's for ComfyUI and A1111."),
    ],
    out: Annotated[Path, typer.Option(help="New file ending in .safetensors.")],
    base: Annotated[
        Path | None,
        typer.Option(
            help="For kohya files of others: bundle or U-Net they fit (default: Stable Diffusion)."
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write an adapter under other programs' names, or back; its tensors stay as they are.

    Example: histosynth bundle convert my-bundle/adapters/global --to kohya --out global.safetensors
    """
    from ..pipeline import bundle as bundling

    done = bundling.convert(adapter, to, out, base=base)
    line = (
        f"{out}: {done['name']}, rank {done['rank']}, alpha {done['alpha']:g}, "
        f"{_mega(done['bytes'])}"
    )
    Output(as_json, quiet).done(done, [line])


@app.command()
def push(
    folder: Folder,
    repo: Annotated[
        str, typer.Option(help="owner/name on huggingface.co; made if it is not there.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Only into a private repository.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent, send nothing.")
    ] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verify a bundle and send it to huggingface.co in one commit, with your own login there.

    Example: histosynth bundle push my-bundle --repo me/my-bundle --private --dry-run
    """
    from ..pipeline import bundle as bundling

    done = bundling.push(folder, repo, private=private, dry=dry_run)
    files = [f"{_mega(size):>10}  {name}" for name, size in done["files"].items()]
    said = f"{_mega(done['bytes'])} would go to {repo}" if dry_run else f"{done['url']}"
    Output(as_json, quiet).done(done, [*files, said])


def _mega(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _lines(facts: dict[str, Any]) -> list[str]:
    """What `inspect` found, a line each; data and adapters one line an item."""
    nested = ("adapters", "parts", "data", "wrong", "bytes", "hashes", "verified")
    shown = {
        key: value
        for key, value in facts.items()
        if key not in nested and value not in (None, (), [])
    }
    rows = [(key.replace("_", " "), _plain(value)) for key, value in shown.items()]
    rows += [("data", line) for line in facts["data"] or ("not stated",)]
    for name, part in facts["parts"].items():
        rows.append((name, f"{part['parameters'] / 1e6:.2f} M parameters, {_mega(part['bytes'])}"))
    for each in facts["adapters"]:
        told = f"rank {each['rank']}, alpha {each['alpha']:g}, on {', '.join(each['targets'])}"
        size = f"{each['parameters'] / 1e6:.2f} M parameters, {_mega(each['bytes'])}"
        rows.append((f"adapter {each['name']}", f"{told}; {size}; base {each['base_sha256']}"))
    held = "do not hold" if facts["wrong"] else "hold"
    rows.append(("hashes", f"{facts['hashes']}, {held}"))
    rows.append(("size", _mega(facts["bytes"])))
    return [f"{key:18} {value}" for key, value in rows]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(each)}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
