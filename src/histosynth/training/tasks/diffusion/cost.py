"""The cost of a run before it starts: parameters, memory and time, computed from shapes alone.

The network is laid out on torch's meta device, where tensors have a shape and no numbers, and run
once there: its products are counted, and so is what it would keep for the backward pass.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from ....model.bundle import Bundle
from ....model.conditioning import style_length
from ....model.structure import StructureFeatures
from ....tensors.device import DTYPES
from ...recipes.adapter_options import AdapterPlan
from ...recipes.loop import LoopPlan
from ..run_cost import Cost

STATE_BYTES = 4 * 4
"""Of a trained parameter: float32 master, average and two moments."""
RECOMPUTED_ACTIVATIONS = 0.25
"""Share of activations that is kept with checkpointing: those of one block at a time."""
FORWARD_AND_BACK = 2
"""Passes of a frozen network: its weights need no gradients of their own."""
FORWARD_TWICE_AND_BACK = 3
"""The same with checkpointing."""
_SPEED_TEST_S = 0.3
_SPEED_TEST_SIDE = 1024


def cost_of(
    bundle: Bundle,
    plan: AdapterPlan,
    loop: LoopPlan,
    *,
    side: int,
    items: int,
    device: str = "cpu",
) -> Cost:
    """Cost of training an adapter with its structure encoder.

    Args:
        bundle: networks, in memory.
        plan: the adapter.
        loop: steps, precision, parts.
        side: of the crops, px.
        items: of a batch.
        device: its speed is measured.
    """
    network = _count_parameters(bundle.unet)
    encoder = _count_parameters(bundle.structure) if plan.trains_structure else 0
    trained = adapter_size(bundle.unet, plan) + encoder
    flop, kept_numbers = run_on_meta(bundle, side)
    dtype = DTYPES[loop.precision]
    own_steps = max(plan.few_steps.steps, 1)
    memory = _memory_bytes(
        network + _count_parameters(bundle.autoencoder),
        trained,
        kept_numbers * own_steps,
        loop,
        items,
    )
    passes = FORWARD_TWICE_AND_BACK if loop.checkpointing else FORWARD_AND_BACK
    passes = passes * own_steps
    if plan.few_steps:
        passes = passes + plan.few_steps.teacher_steps
    seconds = passes * flop * items / measure_speed(device, dtype)
    return Cost(
        parameters=network,
        trained=trained,
        saved=1 - trained / (network + encoder),
        gflop_per_item=flop / 1e9,
        memory_gb=memory / 1e9,
        seconds_per_step=seconds,
        hours=seconds * loop.steps / 3600,
    )


def _count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _memory_bytes(
    frozen: int,
    trained: int,
    kept_numbers: int,
    loop: LoopPlan,
    items: int,
) -> float:
    """Bytes of weights, of the state of trained ones, and of one part's activations."""
    number_bytes = DTYPES[loop.precision].itemsize
    items_in_part = -(-items // loop.accumulate)
    kept_share = RECOMPUTED_ACTIVATIONS if loop.checkpointing else 1.0
    activations = kept_numbers * number_bytes * items_in_part * kept_share
    weights = (frozen + 2 * trained) * number_bytes
    return weights + trained * STATE_BYTES + activations


def adapter_size(network: nn.Module, plan: AdapterPlan) -> int:
    """Parameters of two low-rank matrices at each layer that a plan names."""
    total = 0
    for name, module in network.named_modules():
        if not any(f".{name}".endswith(f".{target}") for target in plan.layers):
            continue
        if isinstance(module, nn.Linear):
            total += plan.rank * (module.in_features + module.out_features)
        elif isinstance(module, nn.Conv2d):
            height, width = module.kernel_size
            total += plan.rank * (module.in_channels * height * width + module.out_channels)
    return total


def run_on_meta(bundle: Bundle, side: int) -> tuple[float, int]:
    """Floating-point operations of one item's forward pass, and how many numbers it keeps for the
    backward pass.

    Args:
        bundle: with the network.
        side: of the crop, px.
    """
    grid = side // 8
    with torch.device("meta"):
        network: Any = type(bundle.unet).from_config(bundle.unet.config)
        latent_channels = len(bundle.info.latent_mean)
        fine_channels = int(bundle.unet.config["in_channels"]) - latent_channels
        noisy = torch.zeros(
            1,
            latent_channels,
            grid,
            grid,
        )
        fine = torch.zeros(
            1,
            fine_channels,
            grid,
            grid,
        )
        features = StructureFeatures(fine, _meta_scales(bundle, grid))
        style = torch.zeros(1, style_length(len(bundle.info.style_mean), len(bundle.info.labels)))
        times = torch.ones(1)
    network.requires_grad_(False)
    weights = {id(parameter) for parameter in network.parameters()}
    kept: dict[int, Tensor] = {}  # the tensors too: an id may be reused once its tensor is gone

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in weights:
            kept.setdefault(id(tensor), tensor)
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        bundle.base.make_denoiser(network).predict(
            noisy,
            times,
            features,
            style,
        )
    kept_numbers = sum(tensor.numel() for tensor in kept.values())
    return float(counter.get_total_flops()), kept_numbers


def _meta_scales(bundle: Bundle, grid: int) -> tuple[Tensor, ...]:
    """Structure features of one item, of each scale; gradients flow back to them."""
    encoder = bundle.structure.config
    scales = []
    for channels, stride in zip(encoder.outputs, encoder.strides, strict=True):
        cells = grid // stride
        scales.append(
            torch.zeros(
                1,
                channels,
                cells,
                cells,
                requires_grad=True,
            )
        )
    return tuple(scales)


def measure_speed(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations per second of square products, measured for 0.3 s."""
    shape = (_SPEED_TEST_SIDE, _SPEED_TEST_SIDE)
    first = torch.randn(shape, device=device, dtype=dtype)
    second = torch.randn(shape, device=device, dtype=dtype)
    first @ second  # the first product also sets the device up
    rounds = 0
    start = time.perf_counter()
    while time.perf_counter() - start < _SPEED_TEST_S:
        first @ second
        rounds += 1
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
    return 2 * _SPEED_TEST_SIDE**3 * rounds / (time.perf_counter() - start)
