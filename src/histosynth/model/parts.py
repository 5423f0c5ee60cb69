"""One network on disk, in diffusers' layout: `config.json` and its weights in safetensors."""

from __future__ import annotations

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
from .adapters import plain_key
from .trial_run import BROKEN

_STORED = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}
WEIGHTS = "diffusion_pytorch_model.safetensors"
"""Diffusers' name for a network's weights."""
HALF = "fp16"
"""What diffusers and transformers put into the names of weights in float16."""


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
        key: value.detach().to("cpu", dtype).contiguous()
        for key, value in {**own, **(weights or {})}.items()
    }
    part.save_config(folder)
    config = folder / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    values.pop("_name_or_path", None)  # the folder it was loaded from is nobody's business
    write_json(config, values)
    path = folder / WEIGHTS
    with atomic_write(path) as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    return path


def part_weights(part: Any) -> dict[str, Tensor]:
    """A copy in float16 of a network's own weights, by name: what stays when it is converted."""
    state = part.state_dict().items()
    return {
        plain_key(key): value.detach().cpu().half() for key, value in state if ".lora_" not in key
    }


def load_part(folder: Path, kind: Any, *, lean: bool = False) -> Any:
    """One network from diffusers' layout, in float32 on the CPU, frozen. Never asks a network for
    it.

    Args:
        folder: holds its `config.json` and weights.
        kind: its class.
        lean: read weight by weight into memory of its own: the library maps the file, which stays
            mapped beside whatever its weights are converted to.

    Raises:
        BadWeights: it is absent, cannot be read, or lacks a weight or has one too many.
    """
    variant = variant_of(folder)
    path = folder / (WEIGHTS.replace(".", f".{variant}.") if variant else WEIGHTS)
    if lean and path.is_file():
        return _read(folder, kind, path)
    if not folder.is_dir():  # diffusers would take the path for the name of a model on the hub
        raise BadWeights(folder, "there is no such folder")
    try:
        part, report = kind.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            low_cpu_mem_usage=False,
            variant=variant,
            output_loading_info=True,
        )
    except (SafetensorError, *BROKEN) as error:
        raise BadWeights(folder, first_line(error)) from error
    for what in ("missing", "unexpected", "mismatched"):
        if wrong := report[f"{what}_keys"]:
            raise BadWeights(folder, f"{len(wrong)} weights are {what}, first {next(iter(wrong))}")
    return part.float().eval().requires_grad_(False)


def variant_of(folder: Path) -> str | None:
    """`fp16` of a folder that holds weights under such names alone; None: plain names, or no
    weights.
    """
    names = [path.name for path in folder.glob("*.safetensors")]
    return HALF if names and all(f".{HALF}" in name for name in names) else None


def _read(folder: Path, kind: Any, path: Path) -> Any:
    """`load_part` for one file of weights under the network's own names; of others the library's
    way.
    """
    try:
        with init_empty_weights(include_buffers=False):
            part = kind.from_config(kind.load_config(folder, local_files_only=True))
        wanted = {name: value.shape for name, value in part.state_dict().items()}
        with safe_open(path, framework="pt") as file:
            shapes = {name: torch.Size(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        if (
            shapes != wanted
        ):  # older names, or damage: the library knows the one and tells of the other
            return _owned(load_part(folder, kind))
        for name, tensor in stored_tensors(path):
            holder, _, leaf = name.rpartition(".")
            module = part.get_submodule(holder)
            if leaf in module._parameters:
                setattr(module, leaf, nn.Parameter(tensor.float(), requires_grad=False))
            else:
                module._buffers[leaf] = tensor.float()
    except (SafetensorError, *BROKEN) as error:
        raise BadWeights(folder, first_line(error)) from error
    return part.eval().requires_grad_(False)


def _owned(part: Any) -> Any:
    """A network whose weights lie in memory of their own."""
    for value in (*part.parameters(), *part.buffers()):
        value.data = value.data.clone()
    return part


def stored_tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a safetensors file, read one after the other and never mapped."""
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        start = file.tell()
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            first, last = entry["data_offsets"]
            file.seek(start + first)
            whole = bytearray(file.read(last - first))
            if len(whole) < last - first:
                raise OSError(f"{path.name} ends within {name}")
            dtype = _STORED[entry["dtype"]]
            flat = torch.frombuffer(whole, dtype=dtype) if whole else torch.empty(0, dtype=dtype)
            yield name, flat.reshape(entry["shape"])
