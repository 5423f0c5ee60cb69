"""What the families with one of diffusers' conditional U-Nets share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..autoencoder import FACTOR
from .family import ResidualShapes

UNET_BLOCKS = (
    "add_embedding",
    "conv_in",
    "conv_out",
    "down_blocks",
    "mid_block",
    "time_embedding",
    "up_blocks",
)
"""Top modules of the network."""


def unet_grid_px(network: Any) -> int:
    """Each scale of a U-Net but the last halves the grid of the latents."""
    scales = len(network.config["block_out_channels"])
    return FACTOR << (scales - 1)


def unet_residual_shapes(network: Any) -> ResidualShapes:
    """One residual for each down block.

    diffusers adds a residual to a block with cross-attention before its downsampling, and to a
    block without it after.
    """
    widths: Sequence[int] = network.config.block_out_channels
    last = len(widths) - 1
    strides = []
    for level, block in enumerate(network.down_blocks):
        before_downsampling = getattr(block, "has_cross_attention", False)
        if before_downsampling or level == last:
            strides.append(2**level)
        else:
            strides.append(2 ** (level + 1))
    return ResidualShapes(tuple(widths), tuple(strides))
