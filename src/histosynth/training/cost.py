"""What a run will cost, before it costs anything: parameters, memory and time, told from shapes
alone.

The network is laid out on torch's meta device, where tensors have a shape and no numbers, and run
once there: its products are counted, and so is what it would keep for the backward pass.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from ..model.bundle import Bundle
from ..model.conditioning import style_length
from ..model.device import DTYPES
from ..model.structure import StructureFeatures
from .adapter_options import AdapterPlan
from .loop.plan import LoopPlan

STATE_BYTES = 4 * 4
"""Of a trained parameter: float32 master, average and two moments."""
TRIED_S = 0.3
SIDE = 1024


@dataclass(frozen=True)
class Cost:
    """What a run will take.

    Attributes:
        parameters: of the network.
        trained: of adapter and structure encoder.
        saved: 1 - trained / all that full fine-tuning would train; SarcoDiff reports 0.92.
        gflop_per_item: of one item's forward pass.
        memory_gb: weights, state and what is kept of one part of a batch; about.
        seconds_per_step: at the speed of plain products on this machine; at best.
        hours: of all steps; at best.
    """

    parameters: int
    trained: int
    saved: float
    gflop_per_item: float
    memory_gb: float
    seconds_per_step: float
    hours: float


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
        device: whose speed is tried.
    """
    network = sum(each.numel() for each in bundle.unet.parameters())
    encoder = sum(each.numel() for each in bundle.structure.parameters()) if plan.structure else 0
    trained = adapter_size(bundle.unet, plan) + encoder
    flop, kept = run_on_meta(bundle, side)
    width = DTYPES[loop.precision].itemsize
    part = -(-items // loop.accumulate)
    others = sum(each.numel() for each in bundle.autoencoder.parameters())
    # the activations of a block are computed again where they are not kept
    activations = kept * width * part * (0.25 if loop.checkpointing else 1.0)
    memory = (network + others + 2 * trained) * width + trained * STATE_BYTES + activations
    # frozen weights need no gradients of their own: forward, and once more back through it
    passes = 3 if loop.checkpointing else 2
    seconds = passes * flop * items / speed(device, DTYPES[loop.precision])
    return Cost(
        network,
        trained,
        1 - trained / (network + encoder),
        flop / 1e9,
        memory / 1e9,
        seconds,
        seconds * loop.steps / 3600,
    )


def adapter_size(network: nn.Module, plan: AdapterPlan) -> int:
    """Parameters of two low-rank matrices at each layer that a plan names."""
    total = 0
    for name, module in network.named_modules():
        if not any(f".{name}".endswith(f".{target}") for target in plan.layers):
            continue
        if isinstance(module, nn.Linear):
            total += plan.rank * (module.in_features + module.out_features)
        elif isinstance(module, nn.Conv2d):
            height, across = module.kernel_size
            total += plan.rank * (module.in_channels * height * across + module.out_channels)
    return total


def run_on_meta(bundle: Bundle, side: int) -> tuple[float, int]:
    """Floating-point operations of one item's forward pass, and numbers kept for the backward
    pass.
    """
    with torch.device("meta"):
        network: Any = type(bundle.unet).from_config(bundle.unet.config)
        grid = side // 8
        noisy = torch.zeros(1, len(bundle.info.latent_mean), grid, grid)
        fine = torch.zeros(1, _fine(bundle), grid, grid)
        encoder = bundle.structure.config
        scales = tuple(
            torch.zeros(
                1,
                width,
                grid // stride,
                grid // stride,
                requires_grad=True,
            )
            for width, stride in zip(encoder.outputs, encoder.strides, strict=True)
        )
        style = torch.zeros(1, style_length(len(bundle.info.style_mean), len(bundle.info.labels)))
        moment = torch.ones(1)
    network.requires_grad_(False)
    seen: dict[int, int] = {}
    alive: list[Tensor] = []
    weights = {id(each) for each in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in weights and id(tensor) not in seen:
            seen[id(tensor)] = tensor.numel()
            alive.append(tensor)  # an id is given again to another tensor once this one is gone
        return tensor

    counter = FlopCounterMode(display=False)
    with counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        bundle.base.make_denoiser(network).predict(
            noisy,
            moment,
            StructureFeatures(fine, scales),
            style,
        )
    return float(counter.get_total_flops()), sum(seen.values())


def _fine(bundle: Bundle) -> int:
    return int(bundle.unet.config["in_channels"]) - len(bundle.info.latent_mean)


def speed(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second of square products, tried for a moment."""
    first, second = (torch.randn(SIDE, SIDE, device=device, dtype=dtype) for _ in range(2))
    first @ second
    rounds = 0
    began = time.perf_counter()
    while time.perf_counter() - began < TRIED_S:
        first @ second
        rounds += 1
        if torch.device(device).type == "cuda":
            torch.cuda.synchronize(device)
    return 2 * SIDE**3 * rounds / (time.perf_counter() - began)
