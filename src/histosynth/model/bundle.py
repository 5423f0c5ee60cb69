"""A bundle: one folder with everything that paints, in diffusers' layout.

bundle.json      what it is: scale, classes, standardisation, defaults, hashes, licences
README.md        the model card
autoencoder/     diffusers AutoencoderDC
unet/            diffusers UNet2DConditionModel: the base
structure/       StructureEncoder
adapters/NAME/   pytorch_lora_weights.safetensors, as diffusers writes it; with a structure/ of its own
                 where the base was trained without one
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, UNet2DConditionModel
from safetensors import SafetensorError
from torch import Tensor

from ..core.errors import AdapterMismatch, BadWeights, UnknownLabel
from ..core.store import sha256_of, write_json
from .adapters import FILE, AdapterInfo, adapter_names, load_adapter, merged, read_adapter, wearing
from .autoencoder import FACTOR
from .denoiser import Denoiser
from .device import convert, itemwise_norms
from .info import BundleInfo, read_info, verify_hashes, write_info
from .structure import StructureEncoder

PARTS: dict[str, Any] = {
    "autoencoder": AutoencoderDC,
    "unet": UNet2DConditionModel,
    "structure": StructureEncoder,
}


@dataclass(eq=False)
class Bundle:
    """A loaded bundle: networks and what they mean."""

    info: BundleInfo
    autoencoder: AutoencoderDC
    unet: UNet2DConditionModel
    structure: StructureEncoder
    folder: Path | None = None
    structures: dict[str, StructureEncoder] = field(default_factory=dict)
    """Structure encoders that belong to one adapter and are used while it is worn."""
    _dressed: dict[str, Bundle] = field(default_factory=dict, init=False, repr=False)

    @property
    def denoiser(self) -> Denoiser:
        """The base behind the seam."""
        return Denoiser(self.unet, kind=self.info.prediction)

    @contextmanager
    def wearing(self, adapter: str | None) -> Iterator[None]:
        """Inside the block the base wears one adapter, with its structure encoder if it has its own."""
        own = self.structure
        self.structure = own if adapter is None else self.structures.get(adapter, own)
        try:
            with wearing(self.unet, adapter):
                yield
        finally:
            self.structure = own

    def dressed(self, adapter: str | None) -> Bundle:
        """What to paint with: these networks with one adapter merged into a copy of the base.

        An adapter that this bundle was not given (or None) gives the bundle itself, bare.
        """
        if adapter is None or adapter not in adapter_names(self.unet):
            return self
        if adapter not in self._dressed:
            structure = self.structures.get(adapter, self.structure)
            copy = itemwise_norms(merged(self.unet, adapter))
            # one at a time: a large base twice in memory is enough
            self._dressed = {adapter: replace(self, unet=copy, structure=structure, structures={})}
        return self._dressed[adapter]

    def give_adapter(self, folder: Path) -> AdapterInfo:
        """Give the base the adapter in a folder, whole or not at all; it is not yet worn.

        Raises:
            BadWeights: a file cannot be read.
            AdapterMismatch: it fits another base, other classes, or its structure encoder does not
                fit this base.
        """
        encoder = None
        if (folder / "structure").is_dir():
            encoder = _load_part(folder / "structure", StructureEncoder)
            wanted, found = (_interface(part) for part in (self.structure, encoder))
            if wanted != found:
                name = read_adapter(folder / FILE)[0].name
                raise AdapterMismatch(
                    name, [], [], f"its structure encoder gives {found} and the base takes {wanted}"
                )
        info = load_adapter(self.unet, folder / FILE, kinds=self.info.kinds)
        if encoder is not None:
            self.structures[info.name] = encoder
        self._dressed.pop(info.name, None)
        return info

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return torch.device(self.unet.device)

    @property
    def grid_px(self) -> int:
        """The networks' canvas is a multiple of this: each U-Net scale halves the latent grid."""
        scales: int = len(self.unet.config["block_out_channels"])
        return FACTOR << (scales - 1)

    def standardise(self, latents: Tensor) -> Tensor:
        """Raw latents (B, C, h, w) => zero mean, unit variance per channel, float32."""
        mean, std = self._moments(latents)
        return (latents.float() - mean) / std

    def raw_latents(self, latents: Tensor) -> Tensor:
        """The way back."""
        mean, std = self._moments(latents)
        return latents * std + mean

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        shape = (1, -1, 1, 1)
        mean, std = (
            torch.tensor(self.info.latent_mean),
            torch.tensor(self.info.latent_std),
        )
        return mean.reshape(shape).to(like.device), std.reshape(shape).to(like.device)

    def label_index(self, label: str | None) -> int | None:
        """Channel of a label.

        Raises:
            UnknownLabel: the bundle has no such label.
        """
        if label is None or label == "":
            return None
        if label not in self.info.labels:
            raise UnknownLabel(label, self.info.labels)
        return self.info.labels.index(label)

    def to(
        self,
        *,
        dtype: torch.dtype | None = None,
        device: str | torch.device | None = None,
    ) -> Bundle:
        """Move and convert all networks, in place; convolutions in channels-last order."""
        for part in (self.autoencoder, self.unet, self.structure, *self.structures.values()):
            convert(part, device=device, dtype=dtype)
        self._dressed = {}
        return self

    def save(self, folder: Path, *, dtype: torch.dtype = torch.float16) -> None:
        """Write the folder, weights in `dtype`; `bundle.json` comes last, so a cut-off one is no bundle."""
        hashes = {}
        for name in PARTS:
            for file in save_part(getattr(self, name), folder / name, dtype=dtype):
                hashes[f"{name}/{file.name}"] = sha256_of(file)
        adapters = {k: v for k, v in self.info.hashes.items() if k.startswith("adapters/")}
        self.info = replace(self.info, hashes={**hashes, **adapters})
        write_info(folder, self.info)


def save_part(part: Any, folder: Path, *, dtype: torch.dtype = torch.float16) -> list[Path]:
    """Write one network in diffusers' layout, weights in `dtype`; returns its weights files."""
    before = part.dtype
    convert(part, dtype=dtype)
    part.save_pretrained(folder)
    convert(part, dtype=before)
    config = folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)  # the folder it was loaded from is nobody's business
    write_json(config, values)
    files = sorted(folder.glob("*.safetensors"))
    for file in files:
        file.chmod(0o644)  # safetensors writes for its owner only
    return files


def _interface(encoder: StructureEncoder) -> str:
    """What an encoder takes and gives, as JSON."""
    keys = ("kinds", "cell", "fine", "outputs", "strides")
    return json.dumps({key: encoder.config[key] for key in keys})


def load_bundle(folder: Path | str, *, verify: bool = True) -> Bundle:
    """Load a bundle in float32 on the CPU, without adapters.

    Args:
        folder: the bundle.
        verify: compare each weights file with the sha256 in `bundle.json`.

    Raises:
        BundleMismatch: a file is missing, or another one than the card says.
        BadWeights: a weights file cannot be read.
    """
    folder = Path(folder)
    info = read_info(folder)
    if verify:
        verify_hashes(folder, info)
    parts = {name: _load_part(folder / name, kind) for name, kind in PARTS.items()}
    return Bundle(info, folder=folder, **parts)


def _load_part(folder: Path, kind: Any) -> Any:
    try:
        part = kind.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise BadWeights(folder, str(error).splitlines()[0]) from error
    return part.float().eval().requires_grad_(False)
