"""DINOv2 (Oquab et al. 2023) and related networks, by transformers; extra `histosynth[quality]`.

Stein et al. (2023) found that distances between its features agree with human judgement better than
those of Inception. Networks of the same architecture that were trained on histology (Phikon) load
in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels
from ..tensors.faults import BROKEN
from ..tensors.transformers_networks import load_transformers_network
from .encoder import Embedded
from .feature_maps import SPATIAL_CHANNELS, spatial_features
from .precision import autocast
from .repository import (
    CONFIG_FILE,
    INDEX_FILE,
    read_json_object,
    repository_folder,
    weights_sha256,
)
from .resizing import IMAGENET_MEAN, IMAGENET_SIDE_PX, IMAGENET_STD, Preprocessing

_DEFAULT_SOURCE = "facebook/dinov2-base"
_MODEL_TYPES = {
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "vit": "ViTModel",
}
"""Architectures whose first token stands for the picture, by transformers' names; their classes."""
_PROCESSOR_FILE = "preprocessor_config.json"
_MAX_PATCHES = 16_384
_TRIAL_PX = (64, 64)
_BATCH = 16


class DinoEncoder:
    """See `Encoder`.

    Features are the class token of the last layer, after its norm. Spatial ones are the first 8
    channels of its patch tokens, averaged on a 7 x 7 grid.

    Args:
        model: gives `last_hidden_state` (B, 1 + registers + patches, D) of `pixel_values`.
        name: short.
        about: what must be reported with its numbers.
        preprocessing: how it takes pictures.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        about: Mapping[str, str],
        preprocessing: Preprocessing,
    ) -> None:
        self.model = model
        self.name = name
        self.preprocessing = preprocessing
        self.bf16 = False
        self.about = {**preprocessing.description(), **about}
        registers = getattr(model.config, "num_register_tokens", 0) or 0
        self.first_patch = 1 + int(registers)

    @torch.inference_mode()
    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), _BATCH):
            signal = self.preprocessing.apply(pictures[start : start + _BATCH])
            with autocast(self.bf16):
                tokens: Tensor = self.model(pixel_values=signal).last_hidden_state.float()
            features.append(tokens[:, 0])
            patches = tokens[:, self.first_patch :, :SPATIAL_CHANNELS]
            spatial.append(spatial_features(_as_map(patches)))
        return Embedded(torch.cat(features).numpy(), torch.cat(spatial).numpy())


def _as_map(patches: Tensor) -> Tensor:
    """(B, n * n, C) patch tokens as a map (B, C, n, n)."""
    batch, count, channels = patches.shape
    side = math.isqrt(count)
    return patches.transpose(1, 2).reshape(
        batch,
        channels,
        side,
        side,
    )


def load_dinov2(source: str = "") -> DinoEncoder:
    """A network of transformers by its folder or its name on the hub.

    Args:
        source: a folder with `config.json` and `model.safetensors`, or `owner/name[@revision]` on
            the hub; empty: `facebook/dinov2-base`.

    Raises:
        NeedsExtra: transformers is not installed.
        BadWeights: the network is neither on this machine nor available, or of another
            architecture.
    """
    source = source or _DEFAULT_SOURCE
    try:
        import transformers
    except ImportError as error:
        raise NeedsExtra("transformers", "quality") from error
    wanted = (CONFIG_FILE, _PROCESSOR_FILE, INDEX_FILE, "model*.safetensors")
    folder = repository_folder(source, wanted, option="dinov2:FOLDER, or --weights FOLDER")
    model_type = str(read_json_object(folder / CONFIG_FILE).get("model_type"))
    if model_type not in _MODEL_TYPES:
        reason = f"it is a {model_type}, whose tokens this encoder cannot interpret"
        remedy = f"Give a model of one of these architectures: {', '.join(_MODEL_TYPES)}."
        raise BadWeights(folder, reason, remedy)
    about = {
        "encoder": source,
        "make": model_type,
        "weights_sha256": weights_sha256(folder),
    }
    preprocessing = _read_preprocessing(folder)
    model = _load_model(getattr(transformers, _MODEL_TYPES[model_type]), folder)
    encoder = DinoEncoder(
        model,
        _short_name(source, model_type),
        about,
        preprocessing,
    )
    _check_runs(encoder, folder)
    return encoder


def _check_runs(encoder: DinoEncoder, folder: Path) -> None:
    """Refuse a network that does not take pictures of the size that its folder states.

    Raises:
        BadWeights: with the library's reason.
    """
    stated = encoder.model.config.patch_size
    height, width = encoder.preprocessing.size
    try:
        patch = stated if isinstance(stated, int) else min(stated)
        if (height // patch) * (width // patch) > _MAX_PATCHES:
            raise ValueError(f"pictures of {width} x {height} px have too many patches")
        encoder.embed(np.zeros((1, *_TRIAL_PX, 3), np.uint8))
    except BROKEN as error:
        raise BadWeights(folder, first_line(error)) from error


def _load_model(network_class: Any, folder: Path) -> Any:
    """The network of a folder, ready for inference; refuses one with tensors absent or misshaped.

    Raises:
        BadWeights: with the reason.
    """
    model, loading = load_transformers_network(folder, network_class)
    absent = [key for key in loading["missing_keys"] if _is_used(key)]
    count = len(absent) + len(loading["mismatched_keys"])
    if count:
        raise BadWeights(folder, f"{count} of its tensors are absent or of another shape")
    return model


def _is_used(key: str) -> bool:
    """Whether features depend on a tensor: not the pooler's, nor the token for masked patches."""
    return "pooler" not in key and "mask_token" not in key


def _short_name(source: str, model_type: str) -> str:
    """The last part of a source's name, with the architecture in front unless it is there."""
    last = source.partition("@")[0].rstrip("/").rpartition("/")[2]
    if last.startswith("dinov2"):
        return last
    if model_type == "vit":
        return f"vit-{last}"
    return f"dinov2-{last}"


def _read_preprocessing(folder: Path) -> Preprocessing:
    """The size of the network's input and the normalization, from the processor's file.

    Raises:
        BadWeights: the file does not give them.
    """
    path = folder / _PROCESSOR_FILE
    processor = read_json_object(path, absent={})
    if not processor:
        return Preprocessing()
    try:
        size = _input_size(processor)
        mean = tuple(map(float, processor.get("image_mean", IMAGENET_MEAN)))
        std = tuple(map(float, processor.get("image_std", IMAGENET_STD)))
        return Preprocessing(size, mean, std)
    except BROKEN as error:
        reason = f"it does not specify how pictures go in: {first_line(error)}"
        raise BadWeights(path, reason) from error


def _input_size(processor: dict[str, Any]) -> tuple[int, int]:
    """(height, width) in px that goes into the network at last."""
    key = "crop_size" if processor.get("do_center_crop") else "size"
    size = processor.get(key) or IMAGENET_SIDE_PX
    if isinstance(size, int):
        return size, size
    return int(size["height"]), int(size["width"])
