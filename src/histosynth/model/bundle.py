"""A bundle: one folder with everything that generates tissue, in diffusers' layout.

bundle.json      what it is: scale, classes, standardisation, defaults, hashes, licences
grain-*          patches of what the autoencoder loses, where that was measured
README.md        the model card
autoencoder/     diffusers AutoencoderDC
unet/            diffusers UNet2DConditionModel: the base
structure/       StructureEncoder
adapters/NAME/   pytorch_lora_weights.safetensors, as diffusers writes it; with a structure/ of its
                 own where the base was trained without one
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import AdapterMismatch, UnknownLabel
from ..core.line_of_facts import line_of_facts
from ..core.store import sha256_of
from ..tissue.grain_table import Grain
from ..tissue.nucleus_sizes import ClassSizes
from ..tissue.orientation_statistics import OrientationStatistics
from .adapters import (
    ADAPTER_FILE,
    AdapterInfo,
    Network,
    adapter_names,
    adapter_parameters,
    adapter_sha256,
    adapter_weights,
    base_sha256,
    load_adapter,
    merged,
    read_adapter,
    save_adapter,
    using_adapter,
)
from .autoencoder import FACTOR, Autoencoder, encode
from .denoiser import Denoiser
from .device import convert_network, itemwise_norms, place_of
from .families.compact import CompactBase
from .families.family import Base, Family
from .grain_files import write_grain
from .info import BundleInfo, write_info
from .parts import load_part, save_part
from .structure import StructureEncoder, StructureFeatures, StructureMaps

_INTERFACE = ("classes", "cell", "fine", "outputs", "strides")
"""Settings of a structure encoder that decide what it takes and returns."""


@dataclass(eq=False)
class Bundle:
    """A loaded bundle: the networks and what their values mean.

    Attributes:
        info: `bundle.json`.
        autoencoder: pixels to latents and back.
        unet: the base's network, a U-Net or a transformer, with its adapters.
        structure: the base's structure encoder.
        folder: the bundle's; None: it was not loaded from one.
        structures: structure encoders of single adapters, used while theirs is active.
        adapters: the metadata of each adapter that was loaded.
        adapter_sha256: of the weights of each, `adapters.adapter_sha256`.
        base_sha256: of the base as it was loaded; adapters are bound to it.
        base: what the network needs besides its weights.
        grain: what the autoencoder loses; None: it was not measured.
        sizes: of nuclei by class, drawn for those that have none; see `AdapterInfo`.
        orientation: of fibres, drawn for tiles that state none; see `AdapterInfo`.
    """

    info: BundleInfo
    autoencoder: Autoencoder
    unet: Network
    structure: StructureEncoder
    folder: Path | None = None
    structures: dict[str, StructureEncoder] = field(default_factory=dict)
    adapters: dict[str, AdapterInfo] = field(default_factory=dict)
    adapter_sha256: dict[str, str] = field(default_factory=dict)
    base_sha256: str = ""
    base: Base = field(default_factory=CompactBase)
    grain: Grain | None = None
    sizes: tuple[ClassSizes, ...] = ()
    orientation: OrientationStatistics | None = None
    _merged: dict[str, Bundle] = field(
        default_factory=dict,
        init=False,
        repr=False,
    )

    def __repr__(self) -> str:
        info = self.info
        facts = [f"{info.name!r}", f"{info.mpp:g} um/px", f"classes {', '.join(info.classes)}"]
        facts.append(f"adapters {', '.join(self.adapters) or 'none'}")
        dtype = str(self.unet.dtype).removeprefix("torch.")
        facts.append(f"{dtype} on {self.device}")
        return line_of_facts("Bundle", facts)

    @property
    def family(self) -> Family:
        """Of the base."""
        return self.base.family

    @property
    def denoiser(self) -> Denoiser:
        """The base behind the common interface."""
        return self.base.make_denoiser(self.unet)

    @property
    def device(self) -> torch.device:
        """Of the networks."""
        device, _ = place_of(self.unet)
        return device

    @property
    def grid_px(self) -> int:
        """The sides of the networks' canvas are multiples of this, in pixels."""
        return self.family.grid_px(self.unet)

    def features(self, maps: StructureMaps) -> StructureFeatures:
        """The structure features of a batch, the same at each step.

        An inpainting base takes, after the noisy latents, the mask and the latents of the known
        tissue, as in its own training.
        """
        features: StructureFeatures = self.structure(maps)
        if not self.base.inpainting:
            return features
        with torch.no_grad():
            known = self.standardise(encode(self.autoencoder, maps.known)).to(features.fine)
        mask = F.max_pool2d(maps.mask, FACTOR).to(features.fine)
        return replace(features, fine=torch.cat([mask, known], dim=1))

    @contextmanager
    def using_adapter(self, adapter: str | None) -> Iterator[None]:
        """Inside the block one adapter is active, with its structure encoder if it has its own."""
        own = self.structure
        layers: tuple[str, ...] = ()
        if adapter is not None:
            self.structure = self.structures.get(self._lowest(adapter), own)
            layers = self._layers(adapter)
        try:
            with using_adapter(self.unet, *layers):
                yield
        finally:
            self.structure = own

    def with_merged_adapter(self, adapter: str | None) -> Bundle:
        """The bundle to sample with: one adapter is merged into a copy of the base.

        Without an adapter, or with one that was not loaded, it is this bundle and its base alone.
        """
        if adapter is None or adapter not in adapter_names(self.unet):
            return self
        self._refuse_other_teacher(adapter)
        if adapter not in self._merged:
            merged_unet = itemwise_norms(merged(self.unet, *self._layers(adapter)))
            encoder_name = self._lowest(adapter)
            info = self.adapters.get(encoder_name)
            merged_bundle = replace(
                self,
                unet=merged_unet,
                structure=self.structures.get(encoder_name, self.structure),
                structures={},
                sizes=() if info is None else info.sizes,
                orientation=None if info is None else info.orientation,
            )
            # only the last one is kept: a large base twice in memory is enough
            self._merged = {adapter: merged_bundle}
        return self._merged[adapter]

    def _refuse_other_teacher(self, adapter: str) -> None:
        """Refuse an adapter of few steps beside another teacher than it has learnt from.

        Raises:
            AdapterMismatch: naming the teacher.
        """
        info = self.adapters.get(adapter)
        if info is None or info.few_steps is None:
            return
        teacher = info.few_steps.teacher
        if self.adapter_sha256.get(teacher) != info.few_steps.teacher_sha256:
            raise AdapterMismatch(
                adapter,
                [],
                [],
                f"it has learnt few steps from another adapter {teacher!r} than this bundle's",
                f"Use {teacher!r} itself, or train few steps of it.",
            )

    def _layers(self, adapter: str) -> tuple[str, ...]:
        """Adapters that lie on the base where this one is active: it alone, or on its teacher."""
        lowest = self._lowest(adapter)
        return (adapter,) if lowest == adapter else (lowest, adapter)

    def _lowest(self, adapter: str) -> str:
        """The adapter whose structure encoder and sizes an adapter uses: most use their own."""
        info = self.adapters.get(adapter)
        if info is None or info.few_steps is None:
            return adapter
        return info.few_steps.teacher

    def few_steps_of(self, adapter: str) -> AdapterInfo | None:
        """The adapter that does in few steps what another does; None: there is none.

        One that has learnt it from other weights than those that are loaded is none.
        """
        for info in self.adapters.values():
            learnt = info.few_steps
            if learnt is None or learnt.teacher != adapter:
                continue
            if self.adapter_sha256.get(adapter) == learnt.teacher_sha256:
                return info
        return None

    def load_adapter(self, folder: Path) -> AdapterInfo:
        """Load the adapter in a folder, whole or not at all; it is not activated.

        Raises:
            BadWeights: a file cannot be read.
            AdapterMismatch: it fits another base, other classes, or its structure encoder does not
                fit this base.
        """
        encoder = self._load_structure(folder)
        info = load_adapter(
            self.unet,
            folder / ADAPTER_FILE,
            classes=self.info.classes,
            base=self.base_sha256 or base_sha256(self.unet),
            prefix=self.family.adapter_prefix,
        )
        self.adapters[info.name] = info
        self.structures.pop(info.name, None)
        if encoder is not None:
            convert_network(encoder, device=self.device, dtype=self.structure.dtype)
            self.structures[info.name] = encoder
        weights = adapter_weights(self.unet, info.name)
        self.adapter_sha256[info.name] = adapter_sha256(weights, encoder)
        device, dtype = place_of(self.unet)  # reading them goes through the whole network
        for parameter in adapter_parameters(self.unet, info.name):
            parameter.data = parameter.data.to(device, dtype)
        self._merged = {}
        return info

    def _load_structure(self, folder: Path) -> StructureEncoder | None:
        """The structure encoder in an adapter's folder; None: the adapter has none of its own.

        Raises:
            AdapterMismatch: it does not fit this base.
        """
        if not (folder / "structure").is_dir():
            return None
        encoder: StructureEncoder = load_part(folder / "structure", StructureEncoder)
        expected = _interface(self.structure)
        found = _interface(encoder)
        if found != expected:
            info, _ = read_adapter(folder / ADAPTER_FILE)
            reason = f"its structure encoder gives {found} and the base takes {expected}"
            raise AdapterMismatch(info.name, [], [], reason)
        return encoder

    def save_adapter(
        self,
        info: AdapterInfo,
        folder: Path,
        *,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Path:
        """Write one adapter of the base; returns its file. See `adapters.save_adapter`."""
        return save_adapter(
            self.unet,
            info,
            folder,
            weights=weights,
            prefix=self.family.adapter_prefix,
        )

    def standardise(self, latents: Tensor) -> Tensor:
        """Raw latents (B, C, h, w) => zero mean, unit variance per channel, float32."""
        mean, std = self._moments(latents)
        return (latents.float() - mean) / std

    def raw_latents(self, latents: Tensor) -> Tensor:
        """Standardised latents => raw latents: the inverse of `standardise`."""
        mean, std = self._moments(latents)
        return latents * std + mean

    def _moments(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents, each (1, C, 1, 1)."""
        shape = (1, -1, 1, 1)
        mean = torch.tensor(self.info.latent_mean)
        std = torch.tensor(self.info.latent_std)
        return mean.reshape(shape).to(like.device), std.reshape(shape).to(like.device)

    def follows_shapes(self, adapter: str | None) -> bool:
        """Whether pictures by an adapter, or by the base alone, follow sizes of nuclei."""
        encoder = self.structure
        if adapter is not None:
            encoder = self.structures.get(self._lowest(adapter), encoder)
        return bool(encoder.config.shapes)

    def follows_orientation(self, adapter: str | None) -> bool:
        """Whether nuclei of pictures by an adapter lie along fibres."""
        info = None if adapter is None else self.adapters.get(self._lowest(adapter))
        return info is not None and info.orientation is not None

    def label_index(self, label: str | None) -> int | None:
        """Index of a label; None: no label.

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
            convert_network(part, device=device, dtype=dtype)
        self._merged = {}
        return self

    def order_for_training(self) -> None:
        """Lay the networks that learn out in the memory order that trains fastest on this device.

        Text-conditioned bases train more slowly in channels-last order on a CPU, and take more
        memory.
        """
        if self.device.type != "cpu" or self.family.trains_channels_last:
            return
        for part in (self.unet, self.structure):
            nn.Module.to(part, memory_format=torch.contiguous_format)  # type: ignore[call-overload]

    def save(
        self,
        folder: Path,
        *,
        dtype: torch.dtype = torch.float16,
        weights: Mapping[str, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Write the parts that the bundle holds, without adapters; the networks are not changed.

        `bundle.json` is written last, so that an interrupted folder is no bundle.

        Args:
            folder: to write to.
            dtype: of the weights on disk.
            weights: by part and name, values to write in place of the networks' own.
        """
        weights = weights or {}
        files: list[Path] = []
        for name in self.family.held_parts:
            part_folder = folder / name
            file = save_part(
                getattr(self, name),
                part_folder,
                dtype=dtype,
                weights=weights.get(name),
            )
            files += [file, part_folder / "config.json"]
        files += self.base.save(folder)
        table = None
        if self.grain is not None:
            table = self.grain.table
            files.append(write_grain(folder, self.grain))
        hashes = {file.relative_to(folder).as_posix(): sha256_of(file) for file in files}
        for name, sha256 in self.info.hashes.items():
            if name not in hashes and (folder / name).is_file():
                hashes[name] = sha256
        info = replace(
            self.info,
            grain=table,
            hashes=hashes,
        )
        write_info(folder, info)


def _interface(encoder: StructureEncoder) -> str:
    """What an encoder takes and returns, as JSON."""
    return json.dumps({key: encoder.config[key] for key in _INTERFACE})
