"""Networks prepared for sampling: their device, their memory order, and norms that are the same in
any batch.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MIN_LARGE_MAP_CELLS = 1024
"""Cells from which torch's group norm is the faster one."""
_GAIN_RUNS = 6
"""Timed convolutions of each number type; the first one is not counted."""


def convert_network(
    part: nn.Module,
    *,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Move and convert a network in place, in channels-last order.

    It calls torch's own `to`, because that of diffusers warns of a list of float32 modules that is
    empty.
    """
    to: Any = nn.Module.to
    to(part, device=device, dtype=dtype)
    to(part, memory_format=torch.channels_last)


def place_of(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Device and number type of a network, those of its first weights.

    diffusers' own properties go through all modules for each, which costs time at every step.
    """
    first = next(network.parameters())
    return first.device, first.dtype


class ItemGroupNorm(nn.GroupNorm):
    """Group norm for sampling: the same bits in any batch, and fast where torch's is slow.

    torch splits a large channels-last batch between threads across the boundaries of items, so that
    the rounding of an item's sums depends on its neighbours; on small maps with an odd number of
    channels per group it computes one number at a time. This class gives large maps to torch one by
    one, and sums small ones channel by channel. On an accelerator torch sums each item's groups by
    themselves, whatever the batch: there it norms all items at once.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) => the same shape."""
        if input.device.type != "cpu":
            return super().forward(input)
        height, width = input.shape[-2:]
        if height * width < _MIN_LARGE_MAP_CELLS:
            return self._normalise_small(input)
        normed = []
        for item in torch.split(input, 1):
            normed.append(super().forward(item))
        return torch.cat(normed)

    def _normalise_small(self, images: Tensor) -> Tensor:
        batch, channels, height, width = images.shape
        channels_last = images.permute(0, 2, 3, 1)
        rows = channels_last.reshape(
            batch,
            -1,
            channels,
        )
        rows = rows.float()
        count = height * width * channels // self.num_groups
        by_group = (batch, self.num_groups, -1)
        sums = rows.sum(1).view(by_group)
        squares = rows * rows
        square_sums = squares.sum(1).view(by_group)
        mean = sums.sum(2, keepdim=True) / count
        mean_square = square_sums.sum(2, keepdim=True) / count
        variance = mean_square - mean * mean
        variance = variance.clamp_min(0)
        groups = (1, self.num_groups, -1)
        weight = self.weight.float().view(groups)
        bias = self.bias.float().view(groups)
        inverse_std = variance.add(self.eps).rsqrt()
        gain = inverse_std * weight
        shift = bias - mean * gain
        by_channel = (batch, 1, channels)
        normed = torch.addcmul(
            shift.view(by_channel),
            rows,
            gain.view(by_channel),
        )
        maps = normed.to(images.dtype)
        maps = maps.view(
            batch,
            height,
            width,
            channels,
        )
        return maps.permute(0, 3, 1, 2)


Module = TypeVar("Module", bound=nn.Module)


def itemwise_norms(part: Module) -> Module:
    """Make every group norm of a network an `ItemGroupNorm`, in place; its weights do not
    change.
    """
    for module in part.modules():
        if type(module) is nn.GroupNorm:
            module.__class__ = ItemGroupNorm
    return part


@cache
def bf16_gain() -> float:
    """How many times faster a typical convolution is in bf16 than in fp32 on this CPU.

    Measured once per process, in some tens of milliseconds.
    """
    fp32_seconds = _convolution_seconds(torch.float32)
    bf16_seconds = _convolution_seconds(torch.bfloat16)
    return fp32_seconds / bf16_seconds


@torch.inference_mode()
def _convolution_seconds(dtype: torch.dtype) -> float:
    image = _random_channels_last(
        (1, 128, 64, 64),
        dtype,
    )
    kernel = _random_channels_last(
        (128, 128, 3, 3),
        dtype,
    )
    seconds = []
    for _ in range(_GAIN_RUNS):
        began = time.perf_counter()
        F.conv2d(image, kernel, padding=1)
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:])


def _random_channels_last(
    shape: tuple[int, ...],
    dtype: torch.dtype,
) -> Tensor:
    values = torch.randn(shape, dtype=dtype)
    return values.to(memory_format=torch.channels_last)
