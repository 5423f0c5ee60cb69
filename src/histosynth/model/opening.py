"""Opening a bundle ready to sample."""

from __future__ import annotations

import os
from pathlib import Path

from ..core.shipped import COMPACT
from .bundle import Bundle
from .device import itemwise_norms, pick_device, pick_dtype
from .info import adapter_folders
from .loading import load_bundle


def open_bundle(
    path: Path | str | None = None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    base: str | None = None,
) -> Bundle:
    """Load a bundle with its adapters, ready to sample.

    Args:
        path: the bundle's folder; None: the compact one inside the package.
        device: e.g. "cpu", "cuda"; None: a GPU if there is one.
        dtype: "bf16" or "fp32"; None: bf16 where this machine is faster in it.
        base: where the base is, for a bundle that does not hold it; None: HISTOSYNTH_BASE if set,
            else where it was.

    Raises:
        BundleMismatch, BadWeights, AdapterMismatch: the folder is not whole.
    """
    folder = Path(path) if path is not None else COMPACT
    bundle = load_bundle(folder, base=base or os.environ.get("HISTOSYNTH_BASE"))
    for adapter in adapter_folders(folder):
        bundle.load_adapter(adapter)
    for network in (bundle.unet, bundle.structure, *bundle.structures.values()):
        itemwise_norms(network)
    target = pick_device(device)
    return bundle.to(device=target, dtype=pick_dtype(target, dtype))
