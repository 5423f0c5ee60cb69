"""Black ground: what a scanner never lit, which is neither tissue nor glass."""

from __future__ import annotations

import numpy as np

from ...core.errors import StainNotFound
from ...core.tile import Mask, Pixels

MAX_UNLIT_LEVEL = 10
"""A pixel with no brighter channel is black ground; the darkest nuclei are brighter."""


def is_unlit(pixels: Pixels) -> Mask:
    """(..., 3) uint8 to (...) bool."""
    unlit: Mask = pixels.max(axis=-1) <= MAX_UNLIT_LEVEL
    return unlit


def lit_pixels(pixels: Pixels, name: str) -> Pixels:
    """(N, 3) uint8: the pixels (..., 3) without black ground.

    Raises:
        StainNotFound: there is nothing else.
    """
    flat = pixels.reshape(-1, 3)
    unlit = is_unlit(flat)
    if not unlit.any():
        return flat
    lit = flat[~unlit]
    if not len(lit):
        raise StainNotFound(name, f"all of its {len(flat):,} pixels are black")
    return np.ascontiguousarray(lit)
