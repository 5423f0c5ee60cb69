"""What an autoencoder loses of real tiles, as the grain table of its bundle."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from ..core.arrays import Float32Array
from ..core.tile import Pixels
from ..tissue.appearance import fit_stain_frame
from ..tissue.film_grain import GrainTable
from ..tissue.grain_fit import fit_grain
from ..tissue.tile_noise import has_jpeg_blocks
from . import autoencoder as ae
from .autoencoder import FACTOR, Autoencoder

MAX_SIDE_PX = 512
"""Larger tiles are cut to their first square of this side."""


@torch.inference_mode()
def fit_lost_grain(autoencoder: Autoencoder, tiles: Iterable[Pixels]) -> GrainTable:
    """The grain table of an autoencoder, from tiles of the tissue that it was trained on.

    Args:
        autoencoder: in evaluation mode.
        tiles: (H, W, 3) uint8; those with JPEG blocks are left out, their grain is flattened.

    Raises:
        ValueError: fewer than `MIN_FIT_TILES` tiles hold tissue without blocks.
    """
    pairs = [_pair(autoencoder, tile) for tile in tiles if not has_jpeg_blocks(tile)]
    return fit_grain(pairs)


def _pair(autoencoder: Autoencoder, tile: Pixels) -> tuple[Float32Array, Float32Array]:
    """A tile in canonical stain, and what is decoded of its latents, (H, W, 3) in [0, 255]."""
    height, width = (min(side, MAX_SIDE_PX) // FACTOR * FACTOR for side in tile.shape[:2])
    canonical = fit_stain_frame(tile).to_canonical(tile)[:height, :width]
    parameter = next(autoencoder.parameters())
    signal = ae.to_signal(torch.from_numpy(np.ascontiguousarray(canonical)))[None]
    latents = ae.encode(autoencoder, signal.to(parameter.device))
    decoded = ae.to_float_pixels(ae.decode(autoencoder, latents))[0]
    return canonical, decoded.cpu().numpy()
