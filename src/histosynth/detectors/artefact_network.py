"""The network of the artefact classifier: transformers' ResNet, extra `histosynth[quality]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import BadWeights, NeedsExtra
from ..core.weights_folder import WEIGHTS_FILE
from ..tensors.files import read_all_tensors

_CHANNEL_MEAN = (0.485, 0.456, 0.406)
_CHANNEL_STD = (0.229, 0.224, 0.225)
"""Of the channels, in [0, 1]: those that published ResNets were trained with."""
_TRUNK = "resnet."
"""Prefix of the names of all layers but the last."""


def build_artefact_network(
    widths: tuple[int, ...],
    depths: tuple[int, ...],
) -> nn.Module:
    """A new ResNet of basic blocks with one logit.

    Args:
        widths: channels of each stage.
        depths: blocks of each stage.

    Raises:
        NeedsExtra: transformers is not installed.
    """
    try:
        from transformers import ResNetConfig, ResNetForImageClassification
    except ImportError as error:
        raise NeedsExtra("transformers", "quality") from error
    new_config: Any = ResNetConfig  # its types leave out what it inherits
    new_network: Any = ResNetForImageClassification
    config = new_config(
        layer_type="basic",
        num_labels=1,
        embedding_size=widths[0],
        hidden_sizes=list(widths),
        depths=list(depths),
    )
    network: nn.Module = new_network(config)
    return network


def load_published_weights(network: nn.Module, folder: Path) -> None:
    """Give a network the weights of a published ResNet on disk, all but the last layer's.

    Args:
        network: from `build_artefact_network`.
        folder: holds `model.safetensors` as the model hub names its tensors.

    Raises:
        BadWeights: there is no such file, or it is of another layout.
    """
    path = folder / WEIGHTS_FILE
    stored, _ = read_all_tensors(path)
    published = {_with_trunk(key): value for key, value in stored.items()}
    state = network.state_dict()
    own = {key: value for key, value in state.items() if _is_shared(key)}
    mismatch = _first_mismatch(own, published)
    if mismatch:
        reason = "it is of another layout than model.widths and model.depths specify"
        raise BadWeights(path, f"{reason}, first at {mismatch}")
    shared = {key: published[key].float() for key in own}
    network.load_state_dict(
        shared,
        strict=False,
    )


def _first_mismatch(
    own: dict[str, Tensor],
    published: dict[str, Tensor],
) -> str:
    """Name of a tensor that is absent, of another shape, or too many; "" where all fit."""
    for key, value in own.items():
        if key not in published or published[key].shape != value.shape:
            return key
    unused = published.keys() - own.keys()
    extra = [key for key in unused if _is_shared(key.removeprefix(_TRUNK))]
    return min(extra, default="")


def _with_trunk(key: str) -> str:
    """The name of a tensor as this network has it; some files leave the prefix out."""
    return f"{_TRUNK}{key.removeprefix(_TRUNK)}"


def _is_shared(key: str) -> bool:
    """Whether networks of one layout share a tensor: not the last layer, nor batch counters."""
    return not key.startswith("classifier.") and not key.endswith("num_batches_tracked")


def crops_to_input(crops: np.ndarray) -> Tensor:
    """(N, H, W, 3) in 0..255 as (N, 3, H, W) float32 in standard deviations of the channels."""
    pixels = torch.from_numpy(np.ascontiguousarray(crops))
    images = pixels.permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(_CHANNEL_MEAN).view(3, 1, 1)
    std = torch.tensor(_CHANNEL_STD).view(3, 1, 1)
    return (images - mean) / std
