"""The device and the number type to compute in."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
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
_BF16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16")
"""CPUs with one of them compute faster in bf16; others would convert each number."""
_MIN_LARGE_MAP_CELLS = 1024
"""Cells from which torch's group norm is the faster one."""
_GAIN_RUNS = 6
"""Timed convolutions of each number type; the first one is not counted."""


def pick_device(wanted: str | None = None) -> torch.device:
    """The device to compute on: the one named (or in HISTOSYNTH_DEVICE), else a GPU if there is
    one.
    """
    default = "cuda" if torch.cuda.is_available() else "cpu"
    name = wanted or os.environ.get("HISTOSYNTH_DEVICE") or default
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # not every device holds values
    except (RuntimeError, AssertionError) as error:
        raise BadOption(
            "the device",
            name,
            "one that torch can use here, e.g. cpu",
        ) from error
    return device


def pick_dtype(
    device: torch.device,
    wanted: str | None = None,
) -> torch.dtype:
    """The working type: the one named (or in HISTOSYNTH_DTYPE), else bf16 where it is faster.

    On a CPU its instructions decide and no clock: the same command gives the same bytes however
    busy the machine is.
    """
    name = wanted or os.environ.get("HISTOSYNTH_DTYPE")
    if name is not None:
        if name not in DTYPES:
            names = ", ".join(DTYPES)
            raise BadOption("the number type", name, f"one of {names}")
        return DTYPES[name]
    is_faster = has_bf16_instructions()
    if device.type == "cuda":
        is_faster = torch.cuda.is_bf16_supported()
    return torch.bfloat16 if is_faster else torch.float32


@cache
def has_bf16_instructions() -> bool:
    """Whether this CPU multiplies bf16 numbers itself."""
    found = _cpu_capabilities()
    return any(found.get(name) for name in _BF16_INSTRUCTIONS)


def _cpu_capabilities() -> Mapping[str, Any]:
    """What torch knows of the CPU; earlier versions know fewer, under other names."""
    capabilities = getattr(torch.cpu, "get_capabilities", None)
    if capabilities is not None:
        found: Mapping[str, Any] = capabilities()
        return found
    older = {
        "amx_bf16": "_is_amx_tile_supported",
        "avx512_bf16": "_is_avx512_bf16_supported",
    }
    return {name: getattr(torch.cpu, test, bool)() for name, test in older.items()}


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


class ItemGroupNorm(nn.GroupNorm):
    """Group norm for sampling: the same bits in any batch, and fast where torch's is slow.

    torch splits a large channels-last batch between threads across the boundaries of items, so that
    the rounding of an item's sums depends on its neighbours; on small maps with an odd number of
    channels per group it computes one number at a time. This class gives large maps to torch one by
    one, and sums small ones channel by channel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) => the same shape."""
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
        rows = channels_last.reshape(batch, -1, channels)
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
        maps = maps.view(batch, height, width, channels)
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
    image = _random_channels_last((1, 128, 64, 64), dtype)
    kernel = _random_channels_last((128, 128, 3, 3), dtype)
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
