"""A bundle as one component of a pipeline of diffusers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from ..core.errors import BadOption
from ..tensors.device import pick_device
from .bundle import Bundle
from .opening import open_bundle

_CHANGES_LOADING = ("max_memory", "quantization_config", "variant")
"""Arguments of diffusers that would load weights in another way than bundles are loaded."""
_ONE_DEVICE = 'one device, e.g. "cuda": the networks of a bundle stay together'


class BundleComponent(ModelMixin):  # type: ignore[misc]
    """A bundle that diffusers moves, converts and loads as it does any network.

    It is loaded as `open_bundle` loads: from safetensors alone, with every limit and every sha256
    checked.

    Args:
        bundle: with its adapters loaded.
    """

    def __init__(self, bundle: Bundle) -> None:
        super().__init__()
        self.bundle = bundle
        self.autoencoder = bundle.autoencoder
        self.unet = bundle.unet
        self.structure = bundle.structure
        self.structures = nn.ModuleList(bundle.structures.values())

    def __repr__(self) -> str:
        return f"BundleComponent({self.bundle!r})"

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        torch_dtype: torch.dtype | None = None,
        **options: Any,
    ) -> BundleComponent:
        """See `open_folder`: this is how diffusers calls it."""
        folder = Path(pretrained_model_name_or_path)
        return cls.open_folder(folder, dtype=torch_dtype, **options)

    @classmethod
    def open_folder(
        cls,
        folder: Path,
        *,
        dtype: torch.dtype | None = None,
        device_map: str | torch.device | None = None,
        **options: Any,
    ) -> BundleComponent:
        """Open the bundle in a folder.

        Args:
            folder: the bundle's.
            dtype: to compute in; None: float32, as in diffusers.
            device_map: the one device to move it to; None: it stays on the CPU.
            options: of diffusers; those that would load weights in another way are refused.

        Raises:
            BadOption: such an option, or several devices.
            BundleMismatch, BadWeights, AdapterMismatch: the folder is not whole.
        """
        for name in _CHANGES_LOADING:
            if options.get(name):
                raise BadOption(name, options[name], "left out: a bundle is loaded in one way")
        device = _one_device(device_map)
        bundle = open_bundle(folder, device="cpu", dtype="fp32")
        bundle.to(device=device, dtype=dtype)
        return cls(bundle)

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """What diffusers calls to distribute a pipeline over devices.

        Raises:
            BadOption: always.
        """
        raise BadOption("device_map", "several devices", _ONE_DEVICE)

    @property
    def device(self) -> torch.device:
        """Of the networks."""
        return self.bundle.device

    @property
    def dtype(self) -> torch.dtype:
        """The number type that the networks compute in."""
        found: torch.dtype = self.bundle.unet.dtype
        return found

    def to(self, *args: Any, **kwargs: Any) -> BundleComponent:
        """Move and convert the networks in place; the arguments are those of torch."""
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        self.bundle.to(device=device, dtype=dtype)
        return self


def _one_device(device_map: object) -> torch.device | None:
    """The device that a `device_map` of diffusers names; None: it names none.

    Raises:
        BadOption: it is no device that torch can use here.
    """
    if device_map is None:
        return None
    if not isinstance(device_map, str | torch.device):
        raise BadOption("device_map", device_map, _ONE_DEVICE)
    return pick_device(device_map)
