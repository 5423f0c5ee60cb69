"""One network on disk, in diffusers' layout: `config.json` and its weights in safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..core.errors import BadWeights
from ..core.store import replacing, write_json
from .adapters import plain_key
from .trial import BROKEN, in_short

WEIGHTS = "diffusion_pytorch_model.safetensors"
"""Diffusers' name for a network's weights."""


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
