"""A block as its tiles, and as a picture of half its size."""

from __future__ import annotations

import numpy as np

from ...core.tile import Pixels


def half_picture(pixels: Pixels) -> Pixels:
    """Means of 2 x 2 pixels; the last column or row of an odd side stands for two.

    Halves are rounded to even, so that no level is brighter than the one above.
    """
    even = _filled(pixels, 2)
    wide = even.astype(np.uint16)
    upper = wide[0::2]
    lower = wide[1::2]
    rows = upper + lower
    left = rows[:, 0::2]
    right = rows[:, 1::2]
    sums = left + right
    is_odd = (sums >> 2) & 1
    means = (sums + 1 + is_odd) >> 2
    halves: Pixels = means.astype(np.uint8)
    return halves


def tiles_of(pixels: Pixels, tile_px: int) -> list[Pixels]:
    """Whole tiles of a block, row by row; its last pixels fill those that reach outside."""
    filled = _filled(pixels, tile_px)
    height, width, _ = filled.shape
    tiles = []
    for top in range(0, height, tile_px):
        row = filled[top : top + tile_px]
        for left in range(0, width, tile_px):
            tile = row[:, left : left + tile_px]
            tiles.append(tile)
    return tiles


def _filled(pixels: Pixels, step: int) -> Pixels:
    """Pixels with their last column and row repeated, up to a multiple of `step` px a side."""
    height, width, _ = pixels.shape
    below = -height % step
    beyond = -width % step
    filled: Pixels = np.pad(
        pixels,
        (
            (0, below),
            (0, beyond),
            (0, 0),
        ),
        mode="edge",
    )
    return filled
