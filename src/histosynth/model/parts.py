"""One network on disk, in diffusers' layout: `config.json` and its weights in safetensors."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..core.errors import BadWeights, first_line
from ..core.store import atomic_write, write_json
from .adapters import is_lora_key, plain_key
from .faults import BROKEN
from .stored_types import refuse_quantised_files

_WEIGHTS_FILE = "diffusion_pytorch_model.safetensors"
"""Diffusers' name for a network's weights."""
_HALF_VARIANT = "fp16"
"""What diffusers and transformers put into the names of weights in float16."""
_HEADER_LENGTH_BYTES = 8
"""A safetensors file starts with the length of its header."""
_STORED_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


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
    part.save_config(folder)
    _remove_origin(folder / "config.json")
    path = folder / _WEIGHTS_FILE
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    return path


def _own_weights(part: Any) -> dict[str, Tensor]:
    """A network's weights by name, without its adapters."""
    state = part.state_dict()
    return {plain_key(key): value for key, value in state.items() if not is_lora_key(key)}


def _remove_origin(config: Path) -> None:
    """Take the folder that a network was loaded from out of its settings: it is private."""
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)
    write_json(config, values)


def part_weights(part: Any) -> dict[str, Tensor]:
    """A copy in float16 of a network's own weights, by name, to keep before it is converted."""
    weights = _own_weights(part)
    return {key: value.detach().cpu().half() for key, value in weights.items()}


def load_part(
    folder: Path,
    part_class: Any,
    *,
    lean: bool = False,
) -> Any:
    """One network from diffusers' layout, in float32 on the CPU, frozen. It is never fetched.

    Args:
        folder: holds its `config.json` and weights.
        part_class: of the network.
        lean: read weight by weight into memory of its own. The library maps the file, and the map
            takes memory in addition to the converted weights.

    Raises:
        BadWeights: it is absent, cannot be read, or lacks a weight or has one too many.
    """
    refuse_quantised_files(folder)
    variant = variant_of(folder)
    name = _WEIGHTS_FILE.replace(".", f".{variant}.") if variant else _WEIGHTS_FILE
    if lean and (folder / name).is_file():
        return _read_lean(folder, part_class, folder / name)
    if not folder.is_dir():  # diffusers would take the path for the name of a model on the hub
        raise BadWeights(folder, "there is no such folder")
    try:
        part, report = part_class.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            variant=variant,
            output_loading_info=True,
        )
    except (SafetensorError, *BROKEN) as error:
        raise BadWeights(folder, first_line(error)) from error
    for problem in ("missing", "unexpected", "mismatched"):
        keys = report[f"{problem}_keys"]
        if keys:
            raise BadWeights(folder, f"{len(keys)} weights are {problem}, first {next(iter(keys))}")
    return part.float().eval().requires_grad_(False)


def variant_of(folder: Path) -> str | None:
    """`fp16` of a folder that holds weights under such names only; None: plain names, or no
    weights.
    """
    names = [path.name for path in folder.glob("*.safetensors")]
    if names and all(f".{_HALF_VARIANT}" in name for name in names):
        return _HALF_VARIANT
    return None


def _read_lean(
    folder: Path,
    part_class: Any,
    path: Path,
) -> Any:
    """`load_part` for one file of weights under the network's own names; for others as the library
    does it.
    """
    try:
        with init_empty_weights(include_buffers=False):
            config = part_class.load_config(folder, local_files_only=True)
            part = part_class.from_config(config)
        expected = {name: value.shape for name, value in part.state_dict().items()}
        if _stored_shapes(path) != expected:
            # older names, which the library translates, or damage, which it reports
            return _copy_weights(load_part(folder, part_class))
        for name, tensor in stored_tensors(path):
            _set_weight(part, name, tensor.float())
    except (SafetensorError, *BROKEN) as error:
        raise BadWeights(folder, first_line(error)) from error
    return part.eval().requires_grad_(False)


def _stored_shapes(path: Path) -> dict[str, torch.Size]:
    shapes = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118
            shape = file.get_slice(name).get_shape()
            shapes[name] = torch.Size(shape)
    return shapes


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


def _copy_weights(part: Any) -> Any:
    """The network, with its weights in memory of their own; the file's map is given back."""
    for value in (*part.parameters(), *part.buffers()):
        value.data = value.data.clone()
    gc.collect()  # cycles in the library hold the map
    return part


def stored_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a safetensors file, read one after the other and never mapped."""
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(_HEADER_LENGTH_BYTES), "little")
        header = json.loads(file.read(header_bytes))
        start = _HEADER_LENGTH_BYTES + header_bytes
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            file.seek(start + first)
            data = bytearray(file.read(last - first))
            if len(data) < last - first:
                raise OSError(f"{path.name} ends within {name}")
            dtype = _STORED_DTYPES[entry["dtype"]]
            yield name, _tensor_of(data, dtype).reshape(entry["shape"])


def _tensor_of(data: bytearray, dtype: torch.dtype) -> Tensor:
    if not data:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(data, dtype=dtype)
