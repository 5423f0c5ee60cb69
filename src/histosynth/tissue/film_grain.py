"""Grain: the finest texture, which an autoencoder loses, put back after decoding.

What a decoder cannot know it answers with a mean, so that its pictures are softer than tissue. At
each latent cell the patch of training tissue is taken that looked most like it, and what was lost
there is added (`grain_patches`), as strong as the noise of the reference tile says. It is synthetic
texture: it shows no structure.
"""

from __future__ import annotations

import numpy as np

from ..core.arrays import Float32Array
from .grain_patches import (
    BEFORE_PX,
    GRAIN_CELL_PX,
    GRAIN_PATCH_PX,
    LOOK_SIDE,
    GrainPatches,
    NearestLooks,
    looks_of,
)
from .position_hash import hashed_at

HALO_PX = 11
"""Pixels beyond a window that decide the grain inside."""
LOOK_NOISE = 4
"""Looks are changed by up to so many steps, so that even ground is not the same patch again and
again, and seeds differ."""
_OVERLAP_PX = GRAIN_PATCH_PX - GRAIN_CELL_PX
_NUMBERS_A_WORD = 8
_LOOK_NUMBERS = LOOK_SIDE**2


def _weights() -> Float32Array:
    """(12, 12, 1) weights of a patch: it passes into its neighbours, and power is kept."""
    rising = (np.arange(_OVERLAP_PX) + 0.5) / _OVERLAP_PX
    middle = np.ones(GRAIN_PATCH_PX - 2 * _OVERLAP_PX)
    along = np.concatenate([rising, middle, rising[::-1]])
    # patches beside each other are unlike: their mean has less power than either
    power = (along**2).sum() / GRAIN_CELL_PX
    both: Float32Array = (np.outer(along, along) / power).astype(np.float32)
    return both[..., None]


_WEIGHTS = _weights()


def add_grain(
    canonical: Float32Array,
    patches: GrainPatches,
    strength: Float32Array,
    *,
    seed: int,
    x: int = 0,
    y: int = 0,
    nearest: NearestLooks | None = None,
) -> Float32Array:
    """A decoded picture with grain.

    Grain depends on the seed, the position and the picture within `HALO_PX`: windows of one picture
    get the same where they overlap by more than that.

    Args:
        canonical: (H, W, 3) float32 in [0, 255], canonical stain.
        patches: of the autoencoder that decoded it.
        strength: (3,) standard deviation of each channel, from `GrainTable.strength_of`.
        seed: of the noise.
        x: position of the first column on the slide, or in the tile.
        y: of the first row.
        nearest: what searches the patches, with the same result; None: the CPU.

    Returns:
        (H, W, 3) float32 in [0, 255].
    """
    height, width = canonical.shape[:2]
    # one more cell on each side: its patch reaches in
    left = x % GRAIN_CELL_PX + GRAIN_CELL_PX
    top = y % GRAIN_CELL_PX + GRAIN_CELL_PX
    right = -(left + width) % GRAIN_CELL_PX + GRAIN_CELL_PX
    bottom = -(top + height) % GRAIN_CELL_PX + GRAIN_CELL_PX
    padded = np.pad(
        canonical,
        (
            (top + BEFORE_PX, bottom + BEFORE_PX),
            (left + BEFORE_PX, right + BEFORE_PX),
            (0, 0),
        ),
        mode="edge",
    )
    looks = looks_of(padded)
    looks = looks + _look_noise(
        looks.shape[:2],
        seed,
        x // GRAIN_CELL_PX - 1,
        y // GRAIN_CELL_PX - 1,
    )
    rows, columns = looks.shape[:2]
    found = patches.like(
        looks.reshape(-1, LOOK_SIDE, LOOK_SIDE),
        nearest,
    )
    found *= _WEIGHTS
    texture = _laid(found.reshape(rows, columns, GRAIN_PATCH_PX, GRAIN_PATCH_PX, 3))
    top += BEFORE_PX
    left += BEFORE_PX
    grained = canonical + strength * texture[top : top + height, left : left + width]
    return np.clip(
        grained,
        0,
        255,
        out=grained,
    )


def _look_noise(
    cells: tuple[int, ...],
    seed: int,
    x: int,
    y: int,
) -> Float32Array:
    """(rows, columns, 6, 6) whole numbers within `LOOK_NOISE` of 0, of cells from (x, y) on."""
    rows, columns = cells
    words = hashed_at(
        seed,
        x,
        y,
        width=columns,
        height=rows,
        count=-(-_LOOK_NUMBERS // _NUMBERS_A_WORD),
    )
    shifts = np.arange(0, 64, 8, dtype=np.uint64)
    octets = (words[..., None] >> shifts) % np.uint64(256)
    numbers = octets % np.uint64(2 * LOOK_NOISE + 1)
    by_cell = np.moveaxis(numbers, 0, 2).reshape(rows, columns, -1)
    of_look = by_cell[..., :_LOOK_NUMBERS].astype(np.float32) - LOOK_NOISE
    return of_look.reshape(rows, columns, LOOK_SIDE, LOOK_SIDE)


def _laid(patches: Float32Array) -> Float32Array:
    """Patches (R, C, 12, 12, 3) added up, each beginning `GRAIN_CELL_PX` after the one before."""
    rows, columns = patches.shape[:2]
    cells = np.zeros((rows + 1, GRAIN_CELL_PX, columns + 1, GRAIN_CELL_PX, 3), np.float32)
    by_row = patches.transpose(0, 2, 1, 3, 4)
    cell = slice(GRAIN_CELL_PX)
    beyond = slice(GRAIN_CELL_PX, GRAIN_PATCH_PX)
    over = slice(_OVERLAP_PX)
    cells[:-1, :, :-1] += by_row[:, cell, :, cell]
    cells[:-1, :, 1:, over] += by_row[:, cell, :, beyond]
    cells[1:, over, :-1] += by_row[:, beyond, :, cell]
    cells[1:, over, 1:, over] += by_row[:, beyond, :, beyond]
    return cells.reshape(
        GRAIN_CELL_PX * (rows + 1),
        GRAIN_CELL_PX * (columns + 1),
        3,
    )
