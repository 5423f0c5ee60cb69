"""The bundle that a verb of Python uses: the compact one, opened once, or the caller's own."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import BadOption

if TYPE_CHECKING:
    import torch

    from ..model.bundle import Bundle


@cache
def default_bundle() -> Bundle:
    """The bundle inside the package, opened once per process."""
    from ..model.opening import open_bundle

    return open_bundle()


@cache
def _default_bundle_on(device: torch.device, dtype: torch.dtype) -> Bundle:
    """The same on another device, or in another number type."""
    from ..model.opening import open_bundle

    return open_bundle(device=device, dtype=dtype)


def bundle_for(
    bundle: Bundle | Path | str | None,
    device: str | torch.device | None,
    dtype: str | torch.dtype | None,
) -> Bundle:
    """The bundle to sample with.

    Args:
        bundle: opened already, or its folder; None: the compact one.
        device: see `open_bundle`.
        dtype: see `open_bundle`.

    Raises:
        BadOption: a bundle that is open already is on another device or of another number type:
            moving it would change it for all who hold it.
    """
    from ..model.opening import open_bundle
    from ..tensors.device import pick_device, pick_dtype

    if isinstance(bundle, str | Path):
        return open_bundle(bundle, device=device, dtype=dtype)
    if device is None and dtype is None:
        return bundle or default_bundle()
    target = pick_device(device)
    number_type = pick_dtype(target, dtype)
    if bundle is None:
        return _default_bundle_on(target, number_type)
    if device is not None and not _is_same_device(target, bundle.device):
        allowed = f"{bundle.device}, where the bundle is; open_bundle(device=...) opens another"
        raise BadOption("device", target, allowed)
    if dtype is not None and number_type != bundle.unet.dtype:
        found = _name(bundle.unet.dtype)
        allowed = f"{found}, as the bundle is; open_bundle(dtype=...) opens another"
        raise BadOption("dtype", _name(number_type), allowed)
    return bundle


def _is_same_device(wanted: torch.device, found: torch.device) -> bool:
    """Whether `cuda` or `cuda:1` names a device."""
    if wanted.type != found.type:
        return False
    return wanted.index in (None, found.index)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
