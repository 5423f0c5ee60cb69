"""A bundle as one component of a pipeline of diffusers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from diffusers import ModelMixin
from torch import nn

from ..core.errors import BadOption
from .bundle import Bundle
from .opening import open_bundle

_CHANGES_LOADING = ("device_map", "max_memory", "quantization_config", "variant")
"""Arguments of diffusers that would load weights in another way than bundles are loaded."""


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
        **options: Any,
    ) -> BundleComponent:
        """Open the bundle in a folder, on the CPU.

        Args:
            folder: the bundle's.
            dtype: to compute in; None: float32, as in diffusers.
            options: of diffusers; those that would load weights in another way are refused.

        Raises:
            BadOption: such an option.
            BundleMismatch, BadWeights, AdapterMismatch: the folder is not whole.
        """
        for name in _CHANGES_LOADING:
            if options.get(name):
                raise BadOption(name, options[name], "left out: a bundle is loaded in one way")
        bundle = open_bundle(folder, device="cpu", dtype="fp32")
        if dtype is not None:
            bundle.to(dtype=dtype)
        return cls(bundle)

    @classmethod
    def load_config(cls, *args: Any, **kwargs: Any) -> Any:
        """What diffusers calls to distribute a pipeline over devices.

        Raises:
            BadOption: always.
        """
        raise BadOption("device_map", "given", 'left out: move the pipeline by pipe.to("cuda")')

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
