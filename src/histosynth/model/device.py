"""Where to compute, and in which number type: measured, not guessed from names."""

from __future__ import annotations

import os
import time
from functools import cache
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..core.errors import BadOption

DTYPES = {
    "bf16": torch.bfloat16,
    "fp32": torch.float32,
    "fp16": torch.float16,
}
GAIN = 1.5
"""bf16 is used on a CPU where a convolution is at least this much faster in it."""
LARGE_MAP = 1024
"""Cells from which torch's group norm is the faster one."""


def pick_device(wanted: str | None = None) -> torch.device:
    """The device to compute on: the one named (or in HISTOSYNTH_DEVICE), else a GPU if there is
    one.
    """
    name = (
        wanted
        or os.environ.get("HISTOSYNTH_DEVICE")
        or ("cuda" if torch.cuda.is_available() else "cpu")
    )
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # not every device holds values
    except (RuntimeError, AssertionError) as error:
        raise BadOption("the device", name, "one that torch can use here, e.g. cpu") from error
    return device


def pick_dtype(device: torch.device, wanted: str | None = None) -> torch.dtype:
    """The working type: the one named (or in HISTOSYNTH_DTYPE), else bf16 where it pays."""
    name = wanted or os.environ.get("HISTOSYNTH_DTYPE")
    if name is not None:
        if name not in DTYPES:
            raise BadOption("the number type", name, f"one of {', '.join(DTYPES)}")
        return DTYPES[name]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if bf16_gain() >= GAIN else torch.float32


def convert(
    part: nn.Module, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> None:
    """Move and convert a network in place, in channels-last order.

    torch's own `to`: the one of diffusers warns of a list of float32 modules that is empty here.
    """
    to: Any = nn.Module.to
    to(part, device=device, dtype=dtype)
    to(part, memory_format=torch.channels_last)


class ItemGroupNorm(nn.GroupNorm):
    """Group norm for painting: the same bits in any batch, and fast where torch's is slow.

    torch's own splits a large channels-last batch between threads across item borders, and so
    rounds an item's sums by its neighbours; on small maps with odd channels per group it works one
    number at a time. Here large maps go to it one by one, and small ones are summed channel by
    channel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) => the same shape."""
        if input.shape[-2] * input.shape[-1] >= LARGE_MAP:
            return torch.cat(
                [super(ItemGroupNorm, self).forward(item) for item in torch.split(input, 1)]
            )
        batch, channels, height, width = input.shape
        rows = input.permute(0, 2, 3, 1).reshape(batch, -1, channels).float()
        count = height * width * channels // self.num_groups
        groups = (batch, self.num_groups, -1)
        mean = rows.sum(1).view(groups).sum(2, keepdim=True) / count
        square = (rows * rows).sum(1).view(groups).sum(2, keepdim=True) / count
        gain = (square - mean * mean).clamp_min(0).add(self.eps).rsqrt() * self.weight.float().view(
            1, self.num_groups, -1
        )
        shift = self.bias.float().view(1, self.num_groups, -1) - mean * gain
        each = (batch, 1, channels)
        normed = torch.addcmul(shift.view(each), rows, gain.view(each)).to(input.dtype)
        return normed.view(batch, height, width, channels).permute(
            0,
            3,
            1,
            2,
        )


Module = TypeVar("Module", bound=nn.Module)


def itemwise_norms(part: Module) -> Module:
    """Make every group norm of a network an `ItemGroupNorm`, in place; its weights stay what they
    are.
    """
    for module in part.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = ItemGroupNorm
    return part


@cache
def bf16_gain() -> float:
    """How many times faster a typical convolution is in bf16 than in fp32 on this CPU.

    Takes some tens of milliseconds to find out, once per process.
    """
    with torch.inference_mode():
        seconds = {}
        for dtype in (torch.float32, torch.bfloat16):
            image = torch.randn(1, 128, 64, 64, dtype=dtype).to(memory_format=torch.channels_last)
            kernel = torch.randn(128, 128, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
            runs = []
            for _ in range(6):
                began = time.perf_counter()
                F.conv2d(image, kernel, padding=1)
                runs.append(time.perf_counter() - began)
            seconds[dtype] = min(runs[1:])
    return seconds[torch.float32] / seconds[torch.bfloat16]
