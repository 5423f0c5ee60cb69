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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderDC, UNet2DConditionModel
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..core.errors import AdapterMismatch, BadWeights, UnknownLabel
from ..core.store import replacing, sha256_of, write_json
from .adapters import (
    FILE,
    AdapterInfo,
    adapter_names,
    adapter_parameters,
    base_sha256,
    load_adapter,
    merged,
    plain_key,
    read_adapter,
    wearing,
)
from .autoencoder import FACTOR
from .denoiser import Denoiser
from .device import convert, itemwise_norms
from .info import BundleInfo, read_info, verified, write_info
from .structure import StructureEncoder
from .trial import BROKEN, in_short, try_out

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""Diffusers' name for a network's weights."""
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
    adapters: dict[str, AdapterInfo] = field(default_factory=dict)
    """What the adapters that were given say of themselves."""
    base_sha256: str = ""
    """Of the base as it was loaded; adapters are bound to it."""
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
            encoder = load_part(folder / "structure", StructureEncoder)
            wanted, found = (_interface(part) for part in (self.structure, encoder))
            if wanted != found:
                name = read_adapter(folder / FILE)[0].name
                raise AdapterMismatch(
                    name, [], [], f"its structure encoder gives {found} and the base takes {wanted}"
                )
        base = self.base_sha256 or base_sha256(self.unet)
        info = load_adapter(self.unet, folder / FILE, kinds=self.info.kinds, base=base)
        self.adapters[info.name] = info
        self.structures.pop(info.name, None)
        if encoder is not None:
            convert(encoder, device=self.device, dtype=self.structure.dtype)
            self.structures[info.name] = encoder
        for parameter in adapter_parameters(self.unet, info.name):
            parameter.data = parameter.data.to(self.device, self.unet.dtype)
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
        mean, std = torch.tensor(self.info.latent_mean), torch.tensor(self.info.latent_std)
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

    def save(
        self,
        folder: Path,
        *,
        dtype: torch.dtype = torch.float16,
        weights: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Write base, structure encoder and autoencoder; the networks themselves are not touched.

        `bundle.json` comes last, so a cut-off folder is no bundle. Adapters have folders of their own.

        Args:
            folder: where to.
            dtype: of the weights on disk.
            weights: by part and name, values to write in place of the networks' own.
        """
        hashes: dict[str, str] = {}
        for name in PARTS:
            file = save_part(
                getattr(self, name), folder / name, dtype=dtype, weights=(weights or {}).get(name)
            )
            hashes |= {
                f"{name}/{each}": sha256_of(folder / name / each) for each in (file.name, "config.json")
            }
        there = {k: v for k, v in self.info.hashes.items() if k not in hashes and (folder / k).is_file()}
        write_info(folder, replace(self.info, hashes={**hashes, **there}))


def save_part(
    part: Any,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    weights: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write one network in diffusers' layout, without its adapters; returns the weights file.

    Args:
        part: the network; it is not touched.
        folder: where to.
        dtype: of the weights on disk.
        weights: by name, values to write in place of the network's own, say an average in float32.
    """
    own = {plain_key(key): value for key, value in part.state_dict().items() if ".lora_" not in key}
    state = {
        key: value.detach().to("cpu", dtype).contiguous() for key, value in {**own, **(weights or {})}.items()
    }
    part.save_config(folder)
    config = folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)  # the folder it was loaded from is nobody's business
    write_json(config, values)
    path = folder / WEIGHTS
    with replacing(path) as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    return path


def part_weights(part: Any) -> dict[str, Tensor]:
    """A copy in float16 of a network's own weights, by name: what stays when it is converted."""
    state = part.state_dict().items()
    return {plain_key(key): value.detach().cpu().half() for key, value in state if ".lora_" not in key}


def _interface(encoder: StructureEncoder) -> str:
    """What an encoder takes and gives, as JSON."""
    keys = ("kinds", "cell", "fine", "outputs", "strides")
    return json.dumps({key: encoder.config[key] for key in keys})


def load_bundle(folder: Path | str, *, verify: bool = True) -> Bundle:
    """Load a bundle in float32 on the CPU, without adapters.

    Args:
        folder: the bundle.
        verify: compare weights and settings of the networks with the sha256 in `bundle.json`.

    Raises:
        BundleMismatch: a file is missing, or another one than the card says, or parts do not fit each other.
        BadWeights: a weights file cannot be read.
    """
    folder = Path(folder)
    info = read_info(folder)
    info = verified(folder, info) if verify else info
    parts = {name: load_part(folder / name, kind) for name, kind in PARTS.items()}
    bundle = Bundle(info, folder=folder, base_sha256=base_sha256(parts["unet"]), **parts)
    try_out(bundle, folder)
    return bundle


def load_part(folder: Path, kind: Any) -> Any:
    """One network from diffusers' layout, in float32 on the CPU, frozen. Never asks a network for it.

    Raises:
        BadWeights: it is absent, cannot be read, or lacks a weight or has one too many.
    """
    if not folder.is_dir():  # diffusers would take the path for the name of a model on the hub
        raise BadWeights(folder, "there is no such folder")
    try:
        part, report = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except (SafetensorError, *BROKEN) as error:
        raise BadWeights(folder, in_short(error)) from error
    for what in ("missing", "unexpected", "mismatched"):
        if wrong := report[f"{what}_keys"]:
            raise BadWeights(folder, f"{len(wrong)} weights are {what}, first {next(iter(wrong))}")
    return part.float().eval().requires_grad_(False)
