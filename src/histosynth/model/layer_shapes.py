"""Whether an adapter's matrices have the shapes of a network's layers.

Networks of two versions can have layers of the same names and of other shapes: Stable Diffusion 1
reads text of width 768, version 2 of 1024.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor, nn

from ..core.errors import AdapterMismatch, BadWeights, first_line
from ..tensors.building import build_empty
from ..tensors.faults import BROKEN
from ..tensors.settings import network_settings
from .adapters import UNET_PREFIX

_MAX_NUMBERS = 1 << 34
_MAX_TENSORS = 3000
"""Of a U-Net whose layers are compared; it takes no memory."""
SD1_TEXT_WIDTH = 768
SD2_TEXT_WIDTH = 1024
"""Widths of the text that cross-attention of Stable Diffusion 1 and 2 reads."""

LayerShapes: TypeAlias = Mapping[str, tuple[int, ...]]
"""Shape of the weight of each layer, by its name: (out, in), or (out, in, height, width)."""


def check_fit(
    tensors: Mapping[str, Tensor],
    networks: Sequence[LayerShapes],
    name: str,
) -> None:
    """Refuse an adapter whose tensors fit the layers of none of the networks.

    Args:
        tensors: under our names.
        networks: layers of each network.
        name: of the adapter.

    Raises:
        AdapterMismatch: with a layer and both shapes, of the network that it fits best.
    """
    fewest: list[str] | None = None
    for shapes in networks:
        misfits = _misfits(tensors, shapes)
        if fewest is None or len(misfits) < len(fewest):
            fewest = misfits
    if fewest:
        count = len(adapted_layers(tensors))
        reason = f"{len(fewest)} of its {count} layers have other shapes: {fewest[0]}"
        raise AdapterMismatch(name, [], [], reason)


def _misfits(tensors: Mapping[str, Tensor], shapes: LayerShapes) -> list[str]:
    """A sentence about each layer that an adapter does not fit; text layers come first."""
    misfits = []
    for module in adapted_layers(tensors):
        key = f"{UNET_PREFIX}{module}"
        inputs = tensors[f"{key}.lora_A.weight"].shape[1:]
        outputs = tensors[f"{key}.lora_B.weight"].shape[0]
        sentence = _misfit(
            module,
            (outputs, *inputs),
            shapes.get(module),
        )
        if sentence:
            misfits.append(sentence)
    return sorted(misfits, key=lambda sentence: "of width" not in sentence)


def _misfit(
    module: str,
    own: tuple[int, ...],
    base: tuple[int, ...] | None,
) -> str:
    """Why an adapter's layer does not fit the base's, or ""."""
    if base is None:
        return f"the base has no layer {module}"
    if own == base or _is_pointwise(own, base):
        return ""
    is_text = module.endswith(("attn2.to_k", "attn2.to_v"))
    if is_text and len(own) == len(base):
        return f"{module} takes text of width {own[1]}, this base's is {base[1]}"
    return f"{module} is {_shape_text(own)}, this base's is {_shape_text(base)}"


def _is_pointwise(own: tuple[int, ...], base: tuple[int, ...]) -> bool:
    """Whether an adapter's first matrix is a 1 x 1 convolution on a larger one."""
    is_convolution = len(own) == len(base) == 4
    return is_convolution and own == (*base[:2], 1, 1)


def _shape_text(shape: tuple[int, ...]) -> str:
    """The shape of a layer in words."""
    layer = "linear" if len(shape) == 2 else "a convolution of"
    return f"{layer} {' x '.join(map(str, shape))}"


def layer_shapes(folder: Path) -> LayerShapes:
    """Layers of a U-Net that can carry LoRA layers.

    Args:
        folder: one in diffusers' layout, with its `config.json`.

    Raises:
        BadWeights: its settings cannot be read or build no network.
    """
    names = inspect.signature(UNet2DConditionModel.__init__).parameters
    settings = network_settings(folder / "config.json", names)
    try:
        network = build_empty(
            lambda: UNet2DConditionModel.from_config(settings),
            numbers=_MAX_NUMBERS,
            tensors=_MAX_TENSORS,
        )
    except BROKEN as error:
        raise BadWeights(folder, first_line(error)) from error
    return _layers_of(network)


def stable_diffusion_shapes() -> tuple[LayerShapes, ...]:
    """Layers of Stable Diffusion 1 and 2, whose names are the same and whose shapes differ."""
    with torch.device("meta"):
        version_1 = UNet2DConditionModel(cross_attention_dim=SD1_TEXT_WIDTH)
        version_2 = UNet2DConditionModel(
            cross_attention_dim=SD2_TEXT_WIDTH,
            attention_head_dim=(5, 10, 20, 20),
            use_linear_projection=True,
        )
    return _layers_of(version_1), _layers_of(version_2)


def _layers_of(network: nn.Module) -> LayerShapes:
    shapes = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            shapes[name] = tuple(module.weight.shape)
    return shapes


def adapted_layers(tensors: Iterable[str]) -> list[str]:
    """The layers that an adapter has matrices of, sorted."""
    modules = set()
    for key in tensors:
        module, _, _ = key.removeprefix(UNET_PREFIX).rpartition(".lora_")
        modules.add(module)
    return sorted(modules)
