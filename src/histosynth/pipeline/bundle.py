"""Verbs on bundles: inspect one, convert its adapters, export it, and push it to a hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from ..core.errors import BadOption, BundleMismatch, UnavailableError, first_line
from ..core.folder_lock import share_folder
from ..core.shipped import COMPACT
from ..model.adapters import ADAPTER_FILE, read_adapter
from ..model.card_files import network_sizes
from ..model.info import BundleInfo, adapter_folders, read_info, verified
from ..model.kohya import is_own_file, write_diffusers, write_kohya
from ..model.layer_shapes import LayerShapes, layer_shapes, stable_diffusion_shapes
from ..model.packing import (
    Contents,
    bundle_contents,
    packing_summary,
    refuse_existing,
    total_bytes,
)
from ..model.strengths import Strengths

_NOT_SHOWN = {"grain", "hashes", "latent_mean", "latent_std", "palette", "style_mean", "style_std"}
"""Keys of `bundle.json` that are for the networks only."""


def inspect(folder: Path) -> dict[str, Any]:
    """What a bundle is and holds, in plain values.

    `wrong` states why its hashes do not hold; it is empty if they do.

    Raises:
        BundleMismatch: it is no bundle.
        BadWeights: a weights file cannot be read.
    """
    info = read_info(folder)
    wrong = _verification_problem(folder, info)
    shown = {key: value for key, value in asdict(info).items() if key not in _NOT_SHOWN}
    return {
        **shown,
        "has_grain": info.grain is not None,
        "appearances": [entry.name for entry in info.palette],
        "parts": _inspect_parts(folder),
        "adapters": [_inspect_adapter(each) for each in adapter_folders(folder)],
        "bytes": total_bytes(folder),
        "hashes": len(info.hashes),
        "verified": not wrong,
        "wrong": wrong,
    }


def _verification_problem(folder: Path, info: BundleInfo) -> str:
    try:
        verified(folder, info)
    except BundleMismatch as error:
        return str(error)
    return ""


def _inspect_parts(folder: Path) -> dict[str, dict[str, int]]:
    parts = {}
    for name, count in network_sizes(folder).items():
        if not name.startswith("adapter "):
            parts[name] = {"parameters": count, "bytes": total_bytes(folder / name)}
    return parts


def _inspect_adapter(folder: Path) -> dict[str, Any]:
    info, tensors = read_adapter(folder / ADAPTER_FILE)
    return {
        "folder": folder.name,
        **asdict(info),
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "bytes": total_bytes(folder),
    }


def convert(
    source: Path,
    to: Literal["kohya", "diffusers"],
    out: Path,
    *,
    base: Path | None = None,
) -> dict[str, Any]:
    """Write an adapter under the names of kohya's sd-scripts, or under diffusers' again.

    Args:
        source: the adapter's file, or its folder.
        to: the naming scheme.
        out: a new file that ends in .safetensors.
        base: for kohya files of other programs, whose modules they name: a bundle or a folder in
            diffusers' layout; None: Stable Diffusion 1 or 2, whichever it fits.

    Raises:
        NotWritable: `out` exists already.
        BadWeights, AdapterMismatch: see `model.kohya`.
    """
    if out.suffix != ".safetensors":
        raise BadOption("--out", out, "a file ending in .safetensors")
    if base is not None and to == "kohya":
        raise BadOption(
            "--base",
            base,
            "left out: adapters of histosynth name their modules",
        )
    with share_folder(out.parent, [out.name]):
        return _convert(source, to, out, base=base)


def _convert(
    source: Path,
    to: Literal["kohya", "diffusers"],
    out: Path,
    *,
    base: Path | None,
) -> dict[str, Any]:
    """Convert an adapter to a file that is held; see `convert`."""
    refuse_existing(out)
    file = source / ADAPTER_FILE if source.is_dir() else source
    if to == "kohya":
        info = write_kohya(file, out)
        name = info.name
        strengths = Strengths(info.rank, info.alpha, {}, {})
    else:
        own_info, strengths = write_diffusers(file, out, networks=_networks(file, base))
        name = own_info.name if own_info else file.stem
    return {
        "out": str(out),
        "to": to,
        "name": name,
        "rank": strengths.rank,
        "alpha": strengths.alpha,
        "rank_pattern": strengths.ranks,
        "alpha_pattern": strengths.alphas,
        "bytes": total_bytes(out),
    }


def _networks(file: Path, base: Path | None) -> Sequence[LayerShapes]:
    """Layers of the base, or of the bases that a file of another program may be for."""
    if base is not None:
        folder = base / "unet" if (base / "unet").is_dir() else base
        return [layer_shapes(folder)]
    if is_own_file(file):
        return ()  # it names its modules, and its base may be of any family
    return stable_diffusion_shapes()


def export(
    folder: Path | None,
    to: Literal["diffusers"],
    out: Path,
) -> dict[str, Any]:
    """Write a bundle as a new folder that another program opens, whole or not at all.

    Args:
        folder: the bundle; None: the compact one.
        to: the program.
        out: a new or empty folder.

    Raises:
        HistosynthError: see `export_diffusers`.
    """
    from ..model.diffusers_export import export_diffusers, opens_with

    info = export_diffusers(folder or COMPACT, out)
    files = [path for path in out.rglob("*") if path.is_file()]
    return {
        "out": str(out),
        "to": to,
        "name": info.name,
        "family": info.family,
        "files": len(files),
        "bytes": total_bytes(out),
        "opens_with": opens_with(info, out),
    }


def push(
    folder: Path,
    repo: str,
    *,
    private: bool = False,
    dry: bool = False,
) -> dict[str, Any]:
    """Send a bundle to huggingface.co in one commit: all of it or nothing.

    Args:
        folder: the bundle.
        repo: `owner/name`.
        private: the repository must be private, or is created as private.
        dry: only report what would be sent.

    Raises:
        UnavailableError: there is no token, or the hub refuses or cannot be reached.
        HistosynthError: see `bundle_contents`.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadOption("--repo", repo, "owner/name")
    contents = bundle_contents(folder)
    summary = packing_summary(
        contents,
        repo=repo,
        private=private,
        pushed=not dry,
    )
    if dry:
        return summary
    message = f"histosynth bundle {read_info(folder).name}"
    url = _commit(contents, repo, message, private=private)
    return {**summary, "url": url}


def _commit(
    contents: Contents,
    repo: str,
    message: str,
    *,
    private: bool,
) -> str:
    """Create or check the repository and commit the files; returns the commit's address."""
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if not get_token():
        raise UnavailableError(
            "There is no token for huggingface.co on this machine.",
            "Run `hf auth login`, or set HF_TOKEN.",
        )
    # the errors of its client are no OSError
    refusals: tuple[type[BaseException], ...] = (
        OSError,
        RuntimeError,
        ValueError,
        *HfHubHTTPError.__bases__,
    )
    api = HfApi()
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        # it may have existed before; nothing was sent yet
        if private and not api.repo_info(repo).private:
            raise BadOption(
                "--private",
                repo,
                "a repository that is private, or a new one",
            )
        operations = [CommitOperationAdd(name, source) for name, source in contents.items()]
        commit = api.create_commit(repo, operations, commit_message=message)
    except refusals as error:
        raise UnavailableError(
            f"{repo} cannot be written on the hub: {first_line(error)}.",
            "Check its name, your rights and the network connection.",
        ) from error
    return str(commit.commit_url)
