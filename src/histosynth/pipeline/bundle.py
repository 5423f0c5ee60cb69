"""Bundles looked into and given away: what one is, its adapters under other names, the way to a
hub.
"""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from ..core.errors import BadOption, BundleMismatch, UnavailableError, first_line
from ..model.adapters import ADAPTER_FILE, read_adapter
from ..model.card_files import sizes
from ..model.info import adapter_folders, read_info, verified
from ..model.kohya import module_names, write_diffusers, write_kohya
from ..model.packing import bytes_of, contents, keep, told_of

_INNER = {"hashes", "latent_mean", "latent_std", "palette", "style_mean", "style_std"}
"""What of `bundle.json` is for the networks."""


def inspect(folder: Path) -> dict[str, Any]:
    """What a bundle is and holds, in plain values; `wrong` says why its hashes do not hold, if they
    do not.

    Raises:
        BundleMismatch: it is no bundle.
        BadWeights: a weights file cannot be read.
    """
    info = read_info(folder)
    wrong = ""
    try:
        verified(folder, info)
    except BundleMismatch as error:
        wrong = str(error)
    adapters = []
    for place in adapter_folders(folder):
        told, tensors = read_adapter(place / ADAPTER_FILE)
        own = {
            "parameters": sum(tensor.numel() for tensor in tensors.values()),
            "bytes": bytes_of(place),
        }
        adapters.append({"folder": place.name, **asdict(told), **own})
    return {
        **{key: value for key, value in asdict(info).items() if key not in _INNER},
        "appearances": [entry.name for entry in info.palette],
        "parts": {
            name: {"parameters": count, "bytes": bytes_of(folder / name)}
            for name, count in sizes(folder).items()
            if not name.startswith("adapter ")
        },
        "adapters": adapters,
        "bytes": bytes_of(folder),
        "hashes": len(info.hashes),
        "verified": not wrong,
        "wrong": wrong,
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
        to: whose names.
        out: a new file that ends in .safetensors.
        base: for kohya files of others, whose modules they name: a bundle or a folder in diffusers'
            layout;
            None: Stable Diffusion 1 or 2.

    Raises:
        NotWritable: `out` is there already.
        BadWeights, AdapterMismatch: see `model.kohya`.
    """
    if out.suffix != ".safetensors":
        raise BadOption("--out", out, "a file ending in .safetensors")
    if base is not None and to == "kohya":
        raise BadOption("--base", base, "left out: adapters of histosynth name their modules")
    keep(out)
    file = source / ADAPTER_FILE if source.is_dir() else source
    if to == "kohya":
        info = write_kohya(file, out)
        name = info.name
        rank = info.rank
        alpha = info.alpha
    else:
        network = base / "unet" if base is not None and (base / "unet").is_dir() else base
        told, rank, alpha = write_diffusers(file, out, modules=module_names(network))
        name = told.name if told else file.stem
    return {
        "out": str(out),
        "to": to,
        "name": name,
        "rank": rank,
        "alpha": alpha,
        "bytes": bytes_of(out),
    }


def push(
    folder: Path,
    repo: str,
    *,
    private: bool = False,
    dry: bool = False,
) -> dict[str, Any]:
    """Send a bundle to huggingface.co in one commit: all of it or nothing; `dry` only says what
    would go.

    Raises:
        UnavailableError: there is no token, or the hub refuses or cannot be reached.
        HistosynError: see `contents`.
    """
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
        raise BadOption("--repo", repo, "owner/name")
    files = contents(folder)
    told = told_of(
        files,
        repo=repo,
        private=private,
        pushed=not dry,
    )
    if dry:
        return told
    from huggingface_hub import CommitOperationAdd, HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError

    if not get_token():
        raise UnavailableError(
            "There is no token for huggingface.co on this machine.",
            "Run `hf auth login`, or set HF_TOKEN.",
        )
    # its client's errors are no OSError
    refusals: tuple[type[BaseException], ...] = (
        OSError,
        RuntimeError,
        ValueError,
        *HfHubHTTPError.__bases__,
    )
    api = HfApi()
    try:
        api.create_repo(repo, private=private or None, exist_ok=True)
        if private and not api.repo_info(repo).private:  # it was there before; nothing was sent yet
            raise BadOption("--private", repo, "a repository that is private, or a new one")
        added = [CommitOperationAdd(name, source) for name, source in files.items()]
        commit = api.create_commit(
            repo, added, commit_message=f"histosynth bundle {read_info(folder).name}"
        )
    except refusals as error:
        said = first_line(error)
        raise UnavailableError(
            f"{repo} cannot be written on the hub: {said}.",
            "Check its name, your rights and the net.",
        ) from error
    return {**told, "url": str(commit.commit_url)}
