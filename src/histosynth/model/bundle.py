"""A bundle: one folder with everything that paints, in diffusers' layout.

bundle.json      what it is: scale, classes, standardisation, defaults, hashes, licences
README.md        the model card
autoencoder/     diffusers AutoencoderDC
unet/            diffusers UNet2DConditionModel: the base
structure/       StructureEncoder
adapters/NAME/   pytorch_lora_weights.safetensors, as diffusers writes it; with a structure/ of its
own
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
import torch.nn.functional as F
from diffusers import AutoencoderDC, UNet2DConditionModel
from torch import Tensor

from ..core.errors import AdapterMismatch, BundleMismatch, UnknownLabel
from ..core.store import sha256_of
from .adapters import (
    FILE,
    AdapterInfo,
    adapter_names,
    adapter_parameters,
    base_sha256,
    load_adapter,
    merged,
    read_adapter,
    using_adapter,
)
from .autoencoder import FACTOR, Autoencoder, encode
from .denoiser import CompactDenoiser, Denoiser
from .device import convert, itemwise_norms
from .families.family import Base
from .families.opening import Source, open_base
from .families.pixart import PixArt
from .families.text import load_text
from .info import TEXT, BundleInfo, read_info, verified, write_info
from .maps import style_length
from .parts import load_part, save_part
from .structure import StructureEncoder, StructureFeatures, StructureMaps
from .trial_run import check_runs

PARTS: dict[str, Any] = {
    "autoencoder": AutoencoderDC,
    "unet": UNet2DConditionModel,
    "structure": StructureEncoder,
}


@dataclass(eq=False)
class Bundle:
    """A loaded bundle: networks and what they mean."""

    info: BundleInfo
    autoencoder: Autoencoder
    unet: UNet2DConditionModel | PixArt
    structure: StructureEncoder
    folder: Path | None = None
    structures: dict[str, StructureEncoder] = field(default_factory=dict)
    """Structure encoders that belong to one adapter and are used while it is worn."""
    adapters: dict[str, AdapterInfo] = field(default_factory=dict)
    """What the adapters that were given say of themselves."""
    base_sha256: str = ""
    """Of the base as it was loaded; adapters are bound to it."""
    base: Base | None = None
    """What is known of a base of another make; None: a compact one."""
    _dressed: dict[str, Bundle] = field(
        default_factory=dict,
        init=False,
        repr=False,
    )

    @property
    def denoiser(self) -> Denoiser:
        """The base behind the seam."""
        if self.base is not None:
            return self.base.seam(self.unet)
        return CompactDenoiser(self.unet, prediction_type=self.info.prediction)

    def features(self, maps: StructureMaps) -> StructureFeatures:
        """What the network is shown of some conditions, the same at each step.

        An inpainting base is given the hole, and the latents of what is known around it, as its own
        training
        did: after the noisy latents, in this order.
        """
        features: StructureFeatures = self.structure(maps)
        if self.base is None or not self.base.inpainting:
            return features
        with torch.no_grad():
            known = self.standardise(encode(self.autoencoder, maps.known)).to(features.fine)
        mask = F.max_pool2d(maps.mask, FACTOR).to(features.fine)
        return replace(features, fine=torch.cat([mask, known], dim=1))

    @contextmanager
    def using_adapter(self, adapter: str | None) -> Iterator[None]:
        """Inside the block the base wears one adapter, with its structure encoder if it has its
        own.
        """
        own = self.structure
        self.structure = own if adapter is None else self.structures.get(adapter, own)
        try:
            with using_adapter(self.unet, adapter):
                yield
        finally:
            self.structure = own

    def with_merged_adapter(self, adapter: str | None) -> Bundle:
        """What to paint with: these networks with one adapter merged into a copy of the base.

        An adapter that this bundle was not given (or None) gives the bundle itself, bare.
        """
        if adapter is None or adapter not in adapter_names(self.unet):
            return self
        if adapter not in self._dressed:
            structure = self.structures.get(adapter, self.structure)
            copy = itemwise_norms(merged(self.unet, adapter))
            # one at a time: a large base twice in memory is enough
            self._dressed = {
                adapter: replace(
                    self,
                    unet=copy,
                    structure=structure,
                    structures={},
                )
            }
        return self._dressed[adapter]

    def load_adapter(self, folder: Path) -> AdapterInfo:
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
        info = load_adapter(
            self.unet,
            folder / FILE,
            classes=self.info.classes,
            base=base,
        )
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
        if isinstance(self.unet, PixArt):
            return FACTOR * int(self.unet.config["patch_size"])
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
        mean = torch.tensor(self.info.latent_mean)
        std = torch.tensor(self.info.latent_std)
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

        `bundle.json` comes last, so a cut-off folder is no bundle. Adapters have folders of their
        own.

        Args:
            folder: where to.
            dtype: of the weights on disk.
            weights: by part and name, values to write in place of the networks' own.
        """
        hashes: dict[str, str] = {}
        for name in PARTS if self.base is None else ("structure",):
            file = save_part(
                getattr(self, name),
                folder / name,
                dtype=dtype,
                weights=(weights or {}).get(name),
            )
            hashes |= {
                f"{name}/{each}": sha256_of(folder / name / each)
                for each in (file.name, "config.json")
            }
        if self.base is not None:
            hashes[TEXT] = sha256_of(self.base.text.save(folder))
        there = {
            k: v for k, v in self.info.hashes.items() if k not in hashes and (folder / k).is_file()
        }
        write_info(folder, replace(self.info, hashes={**hashes, **there}))


def _interface(encoder: StructureEncoder) -> str:
    """What an encoder takes and gives, as JSON."""
    keys = ("classes", "cell", "fine", "outputs", "strides")
    return json.dumps({key: encoder.config[key] for key in keys})


def load_bundle(folder: Path | str, *, verify: bool = True, base: str | None = None) -> Bundle:
    """Load a bundle in float32 on the CPU, without adapters.

    Args:
        folder: the bundle.
        verify: compare weights and settings of the networks with the sha256 in `bundle.json`.
        base: where its base lies now, for a bundle that does not hold it; None: where it lay.

    Raises:
        BundleMismatch: a file is missing, or another one than the card says, or parts do not fit
            each other.
        BadWeights: a weights file cannot be read, or the base is gone.
    """
    folder = Path(folder)
    info = read_info(folder)
    info = verified(folder, info) if verify else info
    if info.base is None:
        parts = {name: load_part(folder / name, kind) for name, kind in PARTS.items()}
        bundle = Bundle(
            info,
            folder=folder,
            base_sha256=base_sha256(parts["unet"]),
            **parts,
        )
    else:
        bundle = _on_base(folder, info, base)
    check_runs(bundle, folder)
    return bundle


def _on_base(folder: Path, info: BundleInfo, base: str | None) -> Bundle:
    """A bundle whose base lies elsewhere."""
    facts = info.base
    if facts is None:
        raise ValueError("a bundle that holds its base")
    source = Source(
        base or facts.source,
        Path.cwd() if base else folder,
        facts.config,
        info.prediction,
    )
    opened = open_base(source)
    sha256 = base_sha256(opened.network)
    if sha256 != facts.sha256 or opened.family != info.family:
        raise BundleMismatch(
            opened.place,
            f"its weights (sha256 {sha256[:12]}) are not those that {info.name} was trained on "
            f"({facts.sha256[:12]})",
        )
    told = style_length(len(info.style_mean), 0) - 1
    return Bundle(
        info,
        opened.autoencoder,
        opened.network,
        load_part(folder / "structure", StructureEncoder),
        folder=folder,
        base_sha256=sha256,
        base=Base(
            info.family,
            opened.schedule,
            load_text(folder, len(info.prompts)),
            told,
            opened.inpainting,
        ),
    )
