"""What an autoencoder loses of real tiles, as the grain of its bundle."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from ..core.arrays import Float32Array
from ..core.tile import Pixels
from ..tissue.appearance import fit_stain_frame
from ..tissue.grain_fit import fit_grain
from ..tissue.grain_table import Grain
from ..tissue.tile_noise import has_jpeg_blocks
from . import autoencoder as ae
from .autoencoder import FACTOR, Autoencoder

MAX_FITTED_PX = 512
"""Larger tiles are cut to their first square of this side."""


@torch.inference_mode()
def fit_lost_grain(autoencoder: Autoencoder, tiles: Iterable[Pixels]) -> Grain:
    """The grain of an autoencoder, from tiles of the tissue that it was trained on.

    Args:
        autoencoder: in evaluation mode.
        tiles: (H, W, 3) uint8; those with JPEG blocks are left out, their grain is flattened.

    Raises:
        ValueError: fewer than `MIN_FIT_TILES` tiles hold tissue without blocks.
    """
    pairs = []
    for tile in tiles:
        if not has_jpeg_blocks(tile):
            pairs.append(
                _pair(
                    autoencoder,
                    tile,
                )
            )
    return fit_grain(pairs)


def _pair(autoencoder: Autoencoder, tile: Pixels) -> tuple[Float32Array, Float32Array]:
    """A tile in canonical stain, and what is decoded of its latents, (H, W, 3) in [0, 255]."""
    frame = fit_stain_frame(tile)
    height = _on_grid(tile.shape[0])
    width = _on_grid(tile.shape[1])
    whole = frame.to_canonical(tile)
    canonical = np.ascontiguousarray(whole[:height, :width])
    parameter = next(autoencoder.parameters())
    pixels = torch.from_numpy(canonical)
    signal = ae.to_signal(pixels)[None]
    latents = ae.encode(
        autoencoder,
        signal.to(parameter.device),
    )
    decoded = ae.decode(
        autoencoder,
        latents,
    )
    shown = ae.to_float_pixels(decoded)[0]
    return canonical, shown.cpu().numpy()


def _on_grid(side: int) -> int:
    """The longest side that is a multiple of a latent cell, and not too long."""
    cells = (
        min(
            side,
            MAX_FITTED_PX,
        )
        // FACTOR
    )
    return cells * FACTOR
