"""One network on disk, in diffusers' layout: `config.json` and its weights in safetensors."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.errors import BadWeights, first_line
from ..core.plain_files import open_plain
from ..core.store import write_json
from ..tensors.building import build_empty
from ..tensors.faults import BROKEN
from ..tensors.files import write_tensors
from ..tensors.folders import stored_in, weight_files
from ..tensors.header import count_numbers, read_tensor_header
from ..tensors.settings import network_settings
from .adapters import is_lora_key, plain_key
from .stored_types import refuse_quantised

_STEM = "diffusion_pytorch_model"
"""Diffusers' name for a network's weights, without its ending."""
_STORED_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
_ATTENTION_LAYERS = {
    "query": "to_q",
    "key": "to_k",
    "value": "to_v",
    "proj_attn": "to_out.0",
}
"""Layers of an autoencoder's attention: their names in the first files, and now."""


def save_part(
    part: Any,
    folder: Path,
    *,
    dtype: torch.dtype = torch.float16,
    weights: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write one network in diffusers' layout, without its adapters; returns the weights file.

    Args:
        part: the network; it is not changed.
        folder: to write to.
        dtype: of the weights on disk.
        weights: by name, values to write in place of the network's own, e.g. an average in float32.
    """
    state = _own_weights(part)
    state.update(weights or {})
    tensors = {}
    for key, value in state.items():
        stored = value.detach().to("cpu", dtype)
        tensors[key] = stored.contiguous()
    settings = _settings_of(part)
    write_json(
        folder / "config.json",
        settings,
    )
    return write_tensors(
        folder / f"{_STEM}.safetensors",
        tensors,
        {"format": "pt"},
    )


def _own_weights(part: Any) -> dict[str, Tensor]:
    """A network's weights by name, without its adapters."""
    state = part.state_dict()
    return {plain_key(key): value for key, value in state.items() if not is_lora_key(key)}


def _settings_of(part: Any) -> dict[str, Any]:
    """A network's settings, without the folder that it was loaded from: that is private."""
    text = part.to_json_string()
    values: dict[str, Any] = json.loads(text)
    values.pop("_name_or_path", None)
    return values


def part_weights(part: Any) -> dict[str, Tensor]:
    """A copy in float16 of a network's own weights, by name, to keep before it is converted."""
    weights = _own_weights(part)
    return {key: value.detach().cpu().half() for key, value in weights.items()}


def load_part(folder: Path, part_class: Any) -> Any:
    """One network from diffusers' layout, in float32 on the CPU, frozen. It is never fetched.

    The network is built without memory, and compared with the headers of its files before any
    weight is read. Then each is read into memory of its own.

    Args:
        folder: holds its `config.json` and weights.
        part_class: of the network.

    Raises:
        BadWeights: it is absent, cannot be read, chooses code, or lacks a weight or has one too
            many.
    """
    files = weight_files(folder, _STEM)
    refuse_quantised(files)
    stored = stored_in(files)
    shapes = {name: each.shape for name, each in stored.items()}
    names = inspect.signature(part_class.__init__).parameters
    old_names = getattr(part_class, "old_settings", ())
    settings = network_settings(
        folder / "config.json",
        [*names, *old_names],
    )
    try:
        part = build_empty(
            lambda: part_class.from_config(settings),
            numbers=count_numbers(shapes),
            tensors=len(shapes),
        )
        present_names = _present_names(part, shapes)
        stored_shapes = {present_names[name]: shape for name, shape in shapes.items()}
        _check_shapes(part, stored_shapes)
        for path in files:
            for name, tensor in stored_tensors(path):
                # copied, because memory of a file need not be aligned, which changes sums
                weight = tensor.to(torch.float32, copy=True)
                _set_weight(part, present_names[name], weight)
    except BROKEN as error:
        raise BadWeights(folder, first_line(error)) from error
    return part.eval().requires_grad_(False)


def _present_names(part: nn.Module, stored: Iterable[str]) -> dict[str, str]:
    """Names of stored weights in the network of today: its attention had others once."""
    own = part.state_dict().keys()
    names = {}
    for name in stored:
        names[name] = name
        module_name, _, leaf = name.rpartition(".")
        block, _, layer = module_name.rpartition(".")
        present = f"{block}.{_ATTENTION_LAYERS.get(layer, layer)}.{leaf}"
        if name not in own and present in own:
            names[name] = present
    return names


def _check_shapes(part: nn.Module, stored: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse weights that are not exactly the network's.

    Raises:
        ValueError: with the number of each fault and the first name.
    """
    own = {}
    for name, value in part.state_dict().items():
        own[name] = tuple(value.shape)
    shared = own.keys() & stored.keys()
    faults = {
        "missing": own.keys() - stored.keys(),
        "unexpected": stored.keys() - own.keys(),
        "mismatched": {name for name in shared if own[name] != stored[name]},
    }
    for fault, names in faults.items():
        if names:
            raise ValueError(f"{len(names)} weights are {fault}, first {min(names)}")


def _set_weight(
    part: nn.Module,
    name: str,
    value: Tensor,
) -> None:
    module_name, _, leaf = name.rpartition(".")
    module = part.get_submodule(module_name)
    if leaf in module._parameters:
        setattr(module, leaf, nn.Parameter(value, requires_grad=False))
    else:
        module._buffers[leaf] = value


def stored_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a safetensors file, read one after the other and never mapped."""
    tensors = read_tensor_header(path).tensors
    with open_plain(path) as file:
        for name, stored in tensors.items():
            file.seek(stored.start)
            size = stored.end - stored.start
            data = bytearray(file.read(size))
            if len(data) < size:
                raise OSError(f"{path.name} ends within {name}")
            dtype = _STORED_DTYPES.get(stored.type)
            if dtype is None:
                raise ValueError(f"{name} is of the type {stored.type}, and weights are floats")
            tensor = _tensor_of(data, dtype)
            yield name, tensor.reshape(stored.shape)


def _tensor_of(data: bytearray, dtype: torch.dtype) -> Tensor:
    if not data:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype)
