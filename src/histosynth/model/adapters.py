"""Adapters: LoRA layers worn by the base, bound to it by hash, loaded whole or not at all.

On disk an adapter is diffusers' `pytorch_lora_weights.safetensors` with our facts in its metadata.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import UNet2DConditionModel
from peft import LoraConfig, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..core import recipe as recipes
from ..core.errors import AdapterMismatch, BadRecipe, BadWeights
from ..core.store import atomic_write, sort_safetensors_metadata
from .families.pixart import PixArt

Network: TypeAlias = UNet2DConditionModel | PixArt
FILE = "pytorch_lora_weights.safetensors"
_KEY = "histosynth"
_SCALE = "lora_adapter_metadata"
"""Where diffusers looks for rank and alpha; without it an adapter is worn as if they were equal."""
_PREFIXES = {UNet2DConditionModel: "unet.", PixArt: "transformer."}
"""Of tensors in the file, as diffusers' pipelines call the network."""


@dataclass(frozen=True)
class AdapterInfo:
    """What an adapter's metadata says."""

    name: str
    rank: int
    alpha: float
    targets: tuple[str, ...]
    base_sha256: str
    classes: tuple[str, ...]
    mpp: float
    guidance: tuple[float, float] | None = None
    """Guidance it has learnt (training/guidance_distillation.py): how far away from no nuclei, and
    from no kinds. Painting with it needs none of its own."""
    licence: str = "Apache-2.0"
    data: tuple[str, ...] = ()


def add_adapter(
    unet: Network,
    name: str,
    *,
    rank: int,
    alpha: float,
    targets: Sequence[str],
    dropout: float = 0.0,
) -> None:
    """Give the base a fresh adapter, which changes nothing until it is trained. The base is frozen.

    Args:
        unet: the base.
        name: of the adapter.
        rank: of its matrices.
        alpha: what they add is multiplied by alpha / rank.
        targets: ends of the names of the layers that wear it.
        dropout: chance that an input of it is dropped in training.
    """
    unet.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(targets),
        lora_dropout=dropout,
        init_lora_weights=True,
    )
    with warnings.catch_warnings():  # several adapters on one base are the point here
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")
        unet.add_adapter(config, adapter_name=name)
    set_active_adapter(unet, name)


def set_active_adapter(unet: Network, name: str | None) -> None:
    """Put one adapter on, or (None) take all off. A base without any stays as it is."""
    if not adapter_names(unet):
        return
    if name is None:
        unet.disable_adapters()
    else:
        unet.enable_adapters()
        unet.set_adapter(name)


@contextmanager
def using_adapter(unet: Network, name: str | None) -> Iterator[None]:
    """Wear one adapter (or none) inside the block; nothing is worn after it."""
    set_active_adapter(unet, name)
    try:
        yield
    finally:
        set_active_adapter(unet, None)


def adapter_names(unet: Network) -> tuple[str, ...]:
    """Names of the adapters a base has been given."""
    return tuple(getattr(unet, "peft_config", None) or ())


def adapter_parameters(unet: Network, name: str) -> list[nn.Parameter]:
    """The parameters of one adapter."""
    return [
        parameter
        for key, parameter in unet.named_parameters()
        if ".lora_" in key and f".{name}." in key
    ]


@torch.no_grad()
def merged(unet: Network, name: str) -> Network:
    """A copy of the base with one adapter added into its weights: paints like the base wearing it,
    faster.

    The base itself is not touched, so nothing has to be taken out of it again.
    """
    state = {
        plain_key(key): value for key, value in unet.state_dict().items() if ".lora_" not in key
    }
    for key, module in unet.named_modules():
        if isinstance(module, LoraLayer) and name in module.lora_A:
            weight = state[f"{key}.weight"]
            state[f"{key}.weight"] = (weight.float() + module.get_delta_weight(name).float()).to(
                weight
            )
    with torch.device("meta"):
        copy = type(unet).from_config(unet.config)
    copy.load_state_dict(state, assign=True)
    for key, buffer in unet.named_buffers():  # those that are not saved, say the places of patches
        if copy.get_buffer(key).is_meta:
            holder = copy.get_submodule(key.rpartition(".")[0])
            holder.register_buffer(key.rpartition(".")[2], buffer.clone(), persistent=False)
    return copy.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def base_sha256(network: nn.Module) -> str:
    """sha256 over a network's own weights, rounded to float16; adapters do not count.

    The rounding makes it the same for a base in float32 and the same base after saving. Not for one
    that was converted to bfloat16: take it before that (`Bundle.base_sha256`).
    """
    state = network.state_dict()
    digest = hashlib.sha256()
    for key in sorted(state, key=plain_key):
        if ".lora_" not in key:
            digest.update(plain_key(key).encode())
            digest.update(state[key].detach().cpu().half().numpy().tobytes())  # C order
    return digest.hexdigest()


def plain_key(key: str) -> str:
    """A weight's name as if the network had been given no adapter."""
    return key.replace(".base_layer.", ".")


def save_adapter(
    unet: Network,
    info: AdapterInfo,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    weights: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write one adapter; returns its file. `weights`, by name in the base, stand in for its own."""
    own = {key: value for key, value in unet.state_dict().items() if ".lora_" in key}
    state = get_peft_model_state_dict(
        unet,
        {**own, **(weights or {})},
        adapter_name=info.name,
    )
    tensors = {
        _PREFIXES[type(unet)] + key: value.detach().to("cpu", dtype).contiguous()
        for key, value in state.items()
    }
    prefix = _PREFIXES[type(unet)]
    scale = {
        f"{prefix}r": info.rank,
        f"{prefix}lora_alpha": info.alpha,
        f"{prefix}target_modules": list(info.targets),
    }
    path = folder / FILE
    with atomic_write(path) as temporary:
        save_file(
            tensors,
            temporary,
            metadata={
                "format": "pt",
                _KEY: json.dumps(asdict(info)),
                _SCALE: json.dumps(scale),
            },
        )
        sort_safetensors_metadata(temporary)
    return path


def read_adapter(path: Path) -> tuple[AdapterInfo, dict[str, Tensor]]:
    """Metadata and tensors of an adapter file.

    Raises:
        BadWeights: it is no safetensors file, or has no histosynth metadata.
    """
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})[_KEY])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        return recipes.build(facts, AdapterInfo, name=str(path)), tensors
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, BadRecipe) as error:
        raise BadWeights(path, str(error)) from error


def load_adapter(
    unet: Network,
    path: Path,
    *,
    classes: Sequence[str],
    base: str,
) -> AdapterInfo:
    """Give the base an adapter from a file, whole or not at all; it is not yet worn.

    Args:
        unet: the base. An adapter of the same name that it already has is replaced.
        path: the adapter's safetensors file.
        classes: the bundle's nucleus classes.
        base: the base's sha256, taken before it was converted.

    Raises:
        BadWeights: the file cannot be read.
        AdapterMismatch: it was trained on another base or other classes, or a tensor is missing,
            unexpected or of another shape. The base is then as it was.
    """
    info, tensors = read_adapter(path)
    if info.base_sha256 != base:
        raise AdapterMismatch(
            info.name,
            [],
            [],
            "it was trained on another base (sha256 differs)",
        )
    if info.classes != tuple(classes):
        raise AdapterMismatch(
            info.name, [], [], f"its nucleus classes are {', '.join(info.classes)}"
        )
    state = {
        key.removeprefix(_PREFIXES[type(unet)]): value.float() for key, value in tensors.items()
    }
    if info.name in adapter_names(unet):
        unet.delete_adapters(info.name)
    add_adapter(
        unet,
        info.name,
        rank=info.rank,
        alpha=info.alpha,
        targets=info.targets,
    )
    own = get_peft_model_state_dict(unet, adapter_name=info.name)
    missing = sorted(own.keys() - state.keys())
    unexpected = sorted(state.keys() - own.keys())
    misshapen = sorted(
        key for key in own.keys() & state.keys() if own[key].shape != state[key].shape
    )
    if missing or unexpected or misshapen:
        unet.delete_adapters(info.name)
        raise AdapterMismatch(info.name, missing, unexpected + misshapen)
    set_peft_model_state_dict(unet, state, adapter_name=info.name)
    for parameter in adapter_parameters(unet, info.name):
        parameter.requires_grad_(False)
    set_active_adapter(unet, None)
    return info
