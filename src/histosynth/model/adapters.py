"""Adapters: LoRA layers on the base, bound to it by hash, loaded whole or not at all.

On disk an adapter is diffusers' `pytorch_lora_weights.safetensors` with our facts in its metadata.
"""

from __future__ import annotations

import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import ModelMixin
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from ..core import recipe as recipes
from ..core.errors import AdapterMismatch, BadRecipe, BadWeights, first_line
from ..tensors.faults import BROKEN
from ..tensors.files import read_all_tensors, write_tensors
from ..tissue.nucleus_sizes import ClassSizes
from ..tissue.orientation_statistics import OrientationStatistics

Network: TypeAlias = ModelMixin
"""A base's network of diffusers, with the methods of its `PeftAdapterMixin`."""
ADAPTER_FILE = "pytorch_lora_weights.safetensors"
UNET_PREFIX = "unet."
"""Of tensors in the file of a U-Net's adapter; see `Family.adapter_prefix`."""
_OWN_METADATA = "histosynth"
_MAX_EXCESS = 1 << 26
"""Numbers that metadata may ask for beyond those held; the missing tensors are then named."""
_DIFFUSERS_METADATA = "lora_adapter_metadata"
"""Where diffusers reads rank and alpha; without it diffusers takes them as equal."""


FEW_STEPS_SUFFIX = "-few-steps"
"""Of the name of an adapter that does in few steps what the one of the name before it does."""


@dataclass(frozen=True)
class FewSteps:
    """What an adapter has learnt to do in few steps (`training`: few_steps_distillation.py).

    Attributes:
        steps: Euler's steps that it takes.
        teacher: name of the adapter whose pictures it makes: it lies on that one's weights, and
            uses its structure encoder and its sizes.
        teacher_sha256: of that adapter's weights, `adapter_sha256`: another's pictures it cannot
            make.
    """

    steps: int
    teacher: str
    teacher_sha256: str

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError("steps must be at least 1")


@dataclass(frozen=True)
class AdapterInfo:
    """The metadata of an adapter.

    Attributes:
        name: of the adapter.
        rank: of its matrices.
        alpha: its change is multiplied by alpha / rank.
        targets: ends of the names of its layers.
        base_sha256: of the base it was trained on.
        classes: nucleus classes it was trained with.
        mpp: scale it was trained at, micrometres per pixel.
        guidance: guidance that it has learnt (`training.guidance_distillation`): strength away from
            no nuclei, and from nuclei without classes. Sampling with it needs no guidance.
        guidance_of: where the first differs by class, that around nuclei of each; empty: it does
            not.
        licence: of its weights.
        data: data it was trained on, with licences.
        sizes: of an adapter that follows sizes of nuclei: those of its training tiles by class,
            which are drawn for nuclei that have none; empty: none is drawn.
        mask_share: share of its training batches in which part of the tissue was known; None: not
            stated.
        orientation: of the same adapter: how fibres run on its training tiles, and how closely
            nuclei lie along them; None: nuclei that have no size lie in any direction.
        few_steps: of an adapter that does in few steps what another does; None: it takes as many as
            are wanted.
    """

    name: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    base_sha256: str
    classes: tuple[str, ...]
    mpp: float
    guidance: tuple[float, float] | None = None
    guidance_of: tuple[float, ...] = ()
    licence: str = "Apache-2.0"
    data: tuple[str, ...] = ()
    sizes: tuple[ClassSizes, ...] = ()
    mask_share: float | None = None
    orientation: OrientationStatistics | None = None
    few_steps: FewSteps | None = None

    def __post_init__(self) -> None:
        # the library names modules by it
        if not self.name or "." in self.name or not self.name.isprintable():
            raise ValueError("name must be text of one line, without dots")
        if self.rank < 1 or not math.isfinite(self.alpha):
            raise ValueError("rank must be at least 1, and alpha finite")
        self._check_of_classes("sizes", len(self.sizes))
        self._check_of_classes("guidance_of", len(self.guidance_of))
        if self.orientation is not None:
            self._check_of_classes("orientation", len(self.orientation.strengths) - 1)
        if not all(math.isfinite(strength) for strength in self.guidance_of):
            raise ValueError("guidance_of must be finite")
        if not 0 <= (self.mask_share or 0) <= 1:
            raise ValueError("mask_share must be from 0 to 1")

    def _check_of_classes(
        self,
        name: str,
        length: int,
    ) -> None:
        count = len(self.classes)
        if length not in (0, count):
            raise ValueError(f"{name} must be of each of the {count} classes, or none")


def add_adapter(
    unet: Network,
    name: str,
    *,
    rank: int,
    alpha: float,
    targets: Sequence[str],
    dropout: float = 0.0,
) -> None:
    """Add a new adapter, which changes nothing until it is trained. The base is frozen.

    Args:
        unet: the base.
        name: of the adapter.
        rank: of its matrices.
        alpha: its change is multiplied by alpha / rank.
        targets: ends of the names of the layers that get one.
        dropout: probability that an input of it is dropped in training.
    """
    unet.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(targets),
        lora_dropout=dropout,
        init_lora_weights=True,
    )
    with warnings.catch_warnings():  # several adapters on one base are intended
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        unet.add_adapter(config, adapter_name=name)
    set_active_adapter(unet, name)


def set_active_adapter(unet: Network, *names: str | None) -> None:
    """Activate one adapter, or several that lie on each other, or (None) deactivate all. A base
    without any is not changed.
    """
    if not adapter_names(unet):
        return
    active = [name for name in names if name is not None]
    if active:
        unet.enable_adapters()
        unet.set_adapter(active)
    else:
        unet.disable_adapters()


@contextmanager
def using_adapter(unet: Network, *names: str | None) -> Iterator[None]:
    """Inside the block one adapter, several, or none is active; after it, none is."""
    set_active_adapter(unet, *names)
    try:
        yield
    finally:
        set_active_adapter(unet, None)


def adapter_names(unet: Network) -> tuple[str, ...]:
    """Names of the adapters that were added to a base."""
    return tuple(getattr(unet, "peft_config", None) or ())


def adapter_parameters(unet: Network, name: str) -> list[nn.Parameter]:
    """The parameters of one adapter."""
    return [
        parameter
        for key, parameter in unet.named_parameters()
        if is_lora_key(key) and f".{name}." in key
    ]


def adapter_weights(unet: Network, name: str) -> dict[str, Tensor]:
    """Copies of the weights of one adapter, by their names in its file without prefix."""
    state = get_peft_model_state_dict(unet, adapter_name=name)
    return {key: value.clone() for key, value in state.items()}


def set_adapter_weights(unet: Network, name: str, weights: Mapping[str, Tensor]) -> None:
    """Give an adapter of the base the weights of another of the same rank and layers."""
    set_peft_model_state_dict(unet, dict(weights), adapter_name=name)


def adapter_sha256(
    weights: Mapping[str, Tensor],
    encoder: nn.Module | None,
) -> str:
    """sha256 of an adapter's weights, by name in the base, with its own structure encoder.

    Weights are rounded to float16, so that it is the same in memory and after saving.
    """
    content = hashlib.sha256()
    for key in sorted(weights):
        content.update(key.encode())
        values = weights[key].detach().cpu().half().numpy()
        content.update(values.tobytes())
    if encoder is not None:
        content.update(base_sha256(encoder).encode())
    return content.hexdigest()


def remove_adapters(unet: Network) -> None:
    """Take all adapters off the base, and what the library wrapped around its layers."""
    unet.unload_lora()  # `delete_adapters` would leave the wrappers


def is_lora_key(key: str) -> bool:
    """Whether a weight belongs to an adapter, by its name in the network."""
    return ".lora_" in key


def plain_key(key: str) -> str:
    """A weight's name as if the network had no adapter."""
    return key.replace(".base_layer.", ".")


@torch.no_grad()
def merged(unet: Network, *names: str) -> Network:
    """A copy of the base with adapters added to its weights: the same results, but faster.

    The base itself is not changed.
    """
    weights = _merged_weights(unet, names)
    with torch.device("meta"):
        copy = type(unet).from_config(unet.config)
    copy.load_state_dict(weights, assign=True)
    _copy_missing_buffers(unet, copy)
    return copy.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def _merged_weights(
    unet: Network,
    names: Sequence[str],
) -> dict[str, Tensor]:
    state = unet.state_dict()
    weights = {plain_key(key): value for key, value in state.items() if not is_lora_key(key)}
    for key, module in unet.named_modules():
        if not isinstance(module, LoraLayer):
            continue
        changes = [module.get_delta_weight(name) for name in names if name in module.lora_A]
        if changes:
            weight = weights[f"{key}.weight"]
            total = weight.float()
            for change in changes:
                total = total + change.float()
            weights[f"{key}.weight"] = total.to(weight)
    return weights


def _copy_missing_buffers(source: Network, target: Network) -> None:
    """Copy buffers that no state dict holds, e.g. the position embeddings of patches."""
    for key, buffer in source.named_buffers():
        if target.get_buffer(key).is_meta:
            module_name, _, leaf = key.rpartition(".")
            module = target.get_submodule(module_name)
            module.register_buffer(leaf, buffer.clone(), persistent=False)


def base_sha256(network: nn.Module) -> str:
    """sha256 over a network's own weights, rounded to float16, without adapters.

    The rounding makes it the same for a base in float32 and the same base after saving. It differs
    for one that was converted to bfloat16: take it before that (`Bundle.base_sha256`).
    """
    state = network.state_dict()
    digest = hashlib.sha256()
    for key in sorted(state, key=plain_key):
        if is_lora_key(key):
            continue
        values = state[key].detach().cpu().half().numpy()
        digest.update(plain_key(key).encode())
        digest.update(values.tobytes())  # in C order
    return digest.hexdigest()


def save_adapter(
    unet: Network,
    info: AdapterInfo,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    weights: Mapping[str, Tensor] | None = None,
    prefix: str = UNET_PREFIX,
) -> Path:
    """Write one adapter; returns its file.

    Args:
        unet: the base with the adapter.
        info: its metadata.
        folder: to write to.
        dtype: of the weights on disk.
        weights: by name in the base, values to write in place of the adapter's own.
        prefix: of the tensors in the file; see `Family.adapter_prefix`.
    """
    state = {key: value for key, value in unet.state_dict().items() if is_lora_key(key)}
    state.update(weights or {})
    adapter_state = get_peft_model_state_dict(unet, state, adapter_name=info.name)
    tensors = {
        prefix + key: value.detach().to("cpu", dtype).contiguous()
        for key, value in adapter_state.items()
    }
    return write_adapter(folder / ADAPTER_FILE, info, tensors, prefix=prefix)


def write_adapter(
    path: Path,
    info: AdapterInfo,
    tensors: Mapping[str, Tensor],
    *,
    prefix: str = UNET_PREFIX,
) -> Path:
    """Write an adapter's tensors with its metadata, ours and those of diffusers; returns `path`.

    Args:
        path: of the file.
        info: its metadata.
        tensors: on the CPU, by the names that they have in the file.
        prefix: of these names; see `Family.adapter_prefix`.
    """
    diffusers_facts = {
        f"{prefix}r": info.rank,
        f"{prefix}lora_alpha": info.alpha,
        f"{prefix}target_modules": list(info.targets),
        # diffusers 0.36 takes no file without them
        f"{prefix}rank_pattern": {},
        f"{prefix}alpha_pattern": {},
    }
    metadata = {
        "format": "pt",
        _OWN_METADATA: json.dumps(asdict(info)),
        _DIFFUSERS_METADATA: json.dumps(diffusers_facts),
    }
    return write_tensors(path, tensors, metadata)


def read_adapter(path: Path) -> tuple[AdapterInfo, dict[str, Tensor]]:
    """Metadata and tensors of an adapter file.

    Raises:
        BadWeights: it is no safetensors file, or has no histosynth metadata.
    """
    tensors, metadata = read_all_tensors(path)
    try:
        facts = json.loads(metadata[_OWN_METADATA])
        return recipes.build(facts, AdapterInfo, name=str(path)), tensors
    except (KeyError, TypeError, ValueError, RecursionError, BadRecipe) as error:
        raise BadWeights(path, str(error)) from error


def load_adapter(
    unet: Network,
    path: Path,
    *,
    classes: Sequence[str],
    base: str,
    prefix: str = UNET_PREFIX,
) -> AdapterInfo:
    """Add an adapter from a file to the base, whole or not at all; it is not activated.

    Args:
        unet: the base. An adapter of the same name that it already has is replaced.
        path: the adapter's safetensors file.
        classes: the bundle's nucleus classes.
        base: the base's sha256, taken before it was converted.
        prefix: of the tensors in the file; see `Family.adapter_prefix`.

    Raises:
        BadWeights: the file cannot be read.
        AdapterMismatch: it was trained on another base or other classes, or a tensor is missing,
            unexpected or of another shape. The base is then as it was before.
    """
    info, tensors = read_adapter(path)
    _check_fits(info, classes=classes, base=base)
    state = {key.removeprefix(prefix): value.float() for key, value in tensors.items()}
    _check_size(unet, info, state)
    if info.name in adapter_names(unet):
        unet.delete_adapters(info.name)
    try:
        add_adapter(
            unet,
            info.name,
            rank=info.rank,
            alpha=info.alpha,
            targets=info.targets,
        )
        expected = get_peft_model_state_dict(unet, adapter_name=info.name)
        _check_tensors(info.name, state, expected)
    except (AdapterMismatch, *BROKEN) as error:
        if info.name in adapter_names(unet):
            unet.delete_adapters(info.name)
        if isinstance(error, AdapterMismatch):
            raise
        raise AdapterMismatch(info.name, [], [], first_line(error)) from error
    set_peft_model_state_dict(unet, state, adapter_name=info.name)
    for parameter in adapter_parameters(unet, info.name):
        parameter.requires_grad_(False)
    set_active_adapter(unet, None)
    return info


def _check_fits(
    info: AdapterInfo,
    *,
    classes: Sequence[str],
    base: str,
) -> None:
    """Refuse an adapter of another base or of other classes.

    Raises:
        AdapterMismatch: stating which.
    """
    if info.base_sha256 != base:
        reason = "it was trained on another base (sha256 differs)"
        raise AdapterMismatch(info.name, [], [], reason)
    if info.classes != tuple(classes):
        reason = f"its nucleus classes are {', '.join(info.classes)}"
        raise AdapterMismatch(info.name, [], [], reason)


def _check_size(
    unet: Network,
    info: AdapterInfo,
    state: Mapping[str, Tensor],
) -> None:
    """Refuse an adapter whose metadata ask for more memory than its tensors take.

    Raises:
        AdapterMismatch: with both numbers.
    """
    ends = tuple(f".{target}" for target in info.targets)
    wanted = 0
    for name, module in unet.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and f".{name}".endswith(ends):
            weight = module.weight
            wanted += info.rank * (weight.shape[0] + weight[0].numel())
    held = sum(value.numel() for value in state.values())
    if wanted > held + _MAX_EXCESS:
        reason = f"its metadata ask for {wanted:,} numbers, and its tensors hold {held:,}"
        raise AdapterMismatch(info.name, [], [], reason)


def _check_tensors(
    name: str,
    state: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
) -> None:
    """Refuse tensors that are not exactly the expected ones.

    Raises:
        AdapterMismatch: naming them.
    """
    missing = sorted(expected.keys() - state.keys())
    unexpected = sorted(state.keys() - expected.keys())
    shared = sorted(expected.keys() & state.keys())
    misshapen = [key for key in shared if expected[key].shape != state[key].shape]
    if missing or unexpected or misshapen:
        raise AdapterMismatch(name, missing, unexpected + misshapen)
