"""Opening a bundle ready to sample."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch

from ..core.errors import AdapterMismatch, BadWeights
from ..core.shipped import COMPACT
from ..core.store import sha256_of
from ..tensors.device import pick_device, pick_dtype
from .adapters import ADAPTER_FILE
from .bundle import Bundle
from .device import itemwise_norms
from .info import adapter_folders
from .loading import load_bundle


def open_bundle(
    path: Path | str | None = None,
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    base: str | None = None,
) -> Bundle:
    """Load a bundle with its adapters, ready to sample.

    Args:
        path: the bundle's folder; None: the compact one inside the package. Or the folder of an
            adapter that was trained on the compact one's base, as `train` writes it: it stands in
            place of the adapter of its name.
        device: e.g. "cpu", "cuda", or torch's own; None: a GPU if there is one.
        dtype: "bf16", "fp32", "fp16", or torch's own; None: bf16 where this machine is faster in
            it.
        base: where the base is, for a bundle that does not hold it; None: HISTOSYNTH_BASE if set,
            else where it was.

    Raises:
        BadOption: the device or the number type cannot be used.
        BundleMismatch, BadWeights, AdapterMismatch: the folder is not whole.
    """
    folder = Path(path) if path is not None else COMPACT
    is_adapter = _is_adapter(folder)
    whole = COMPACT if is_adapter else folder
    base_folder = base or os.environ.get("HISTOSYNTH_BASE")
    bundle = load_bundle(whole, base=base_folder)
    for adapter in adapter_folders(whole):
        bundle.load_adapter(adapter)
    if is_adapter:
        _replace_adapter(bundle, folder)
    itemwise_norms(bundle.unet)
    itemwise_norms(bundle.structure)
    for network in bundle.structures.values():
        itemwise_norms(network)
    target = pick_device(device)
    number_type = pick_dtype(target, dtype)
    return bundle.to(device=target, dtype=number_type)


def _is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter alone, and no bundle."""
    has_card = os.path.lexists(folder / "bundle.json")
    # not Path.is_file: it raises where a path is too long
    return not has_card and os.path.isfile(folder / ADAPTER_FILE)


def _replace_adapter(bundle: Bundle, folder: Path) -> None:
    """Load an adapter into a bundle, and name it among the hashes by which pictures state it.

    Raises:
        AdapterMismatch: it does not fit, or would never be used: it has learnt few steps from an
            adapter that the bundle has not.
    """
    adapter = bundle.load_adapter(folder)
    learnt = adapter.few_steps
    if learnt is not None and bundle.few_steps_of(learnt.teacher) is None:
        reason = f"it has learnt few steps from another adapter {learnt.teacher} than the bundle's"
        raise AdapterMismatch(adapter.name, [], [], reason)
    path = f"adapters/{adapter.name}/{ADAPTER_FILE}"
    hashes = {**bundle.info.hashes, path: sha256_of(folder / ADAPTER_FILE)}
    bundle.info = replace(bundle.info, hashes=hashes)


def open_same_bundle(
    folder: Path,
    sha256: str,
    *,
    device: str,
    dtype: str,
) -> Bundle:
    """Open a bundle in another process of a run.

    Raises:
        BadWeights: it is no longer the one that the run began with.
    """
    bundle = open_bundle(
        folder,
        device=device,
        dtype=dtype,
    )
    if bundle.info.sha256 != sha256:
        raise BadWeights(folder, "it is no longer the bundle that this run began with")
    return bundle
