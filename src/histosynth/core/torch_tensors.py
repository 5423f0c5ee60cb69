"""Pixels as tensors of torch. It is loaded here only when a user wants one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tile import Pixels

if TYPE_CHECKING:
    import torch

_LEVELS = 255


def tensor_of(pixels: Pixels) -> torch.Tensor:
    """(H, W, 3) uint8 as (3, H, W) float32 in [0, 1], in memory of its own."""
    import torch

    values = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    return values.float() / _LEVELS
