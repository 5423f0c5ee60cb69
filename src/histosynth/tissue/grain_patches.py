"""Patches of what an autoencoder lost of real tissue, each with what was decoded at its place.

What is lost is no noise: it lies beside what shows. So it is not drawn, it is looked up: where a
decoded picture looks like one of training tissue, what was lost there is likely here too (Freeman,
Jones and Pasztor 2002). Patches lie on latent cells; each is also turned and flipped, so that it
stands for eight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import Float32Array, IndexArray

GRAIN_CELL_PX = 8
"""Side of a latent cell: patches lie on this grid, which the picture's first pixel begins."""
GRAIN_PATCH_PX = 12
"""Side of a patch."""
BEFORE_PX = 2
"""Pixels of a patch before its cell, and after it."""
LOOK_PX = 2
"""Side of the squares whose mean brightness is compared."""
LOOK_SIDE = GRAIN_PATCH_PX // LOOK_PX
LOOK_STEP = 2.0
"""Grey levels of one step of a look."""
_MEAN_LEFT_OUT = 0.9
UNIT = 6 / 127
"""What is lost is kept in steps of so many of its tile's standard deviations."""
MAX_PATCHES = 16_384
_ROWS_AT_A_TIME = 64
_LOOK_NUMBERS = LOOK_SIDE**2
_TURNS = 4
Steps = NDArray[np.int8]
NearestLooks = Callable[[Float32Array], IndexArray]
"""Indices (M,) of the nearest of all posed looks to each of (M, 36) looks, the first of equals;
see `GrainPatches.posed_looks`."""


@dataclass(
    frozen=True,
    eq=False,
)
class GrainPatches:
    """What was lost, and how the decoded picture looked there.

    Attributes:
        lost: (N, 12, 12, 3) int8, in steps of `UNIT`.
        looks: (N, 6, 6) int8, see `looks_of`.

    Raises:
        ValueError: other shapes, types or numbers.
    """

    lost: Steps
    looks: Steps

    def __post_init__(self) -> None:
        count = len(self.lost)
        if not 1 <= count <= MAX_PATCHES:
            raise ValueError(f"there are 1 to {MAX_PATCHES:,} patches of grain, not {count:,}")
        shapes = {
            "lost": (count, GRAIN_PATCH_PX, GRAIN_PATCH_PX, 3),
            "looks": (count, LOOK_SIDE, LOOK_SIDE),
        }
        for name, shape in shapes.items():
            found = getattr(
                self,
                name,
            )
            if found.dtype != np.int8 or found.shape != shape:
                raise ValueError(
                    f"{name} of patches of grain must be int8 {shape}, not {found.dtype} "
                    f"{found.shape}"
                )

    def __len__(self) -> int:
        return len(self.lost)

    @cached_property
    def sha256(self) -> str:
        """Of their numbers."""
        digest = hashlib.sha256(self.looks.tobytes())
        digest.update(self.lost.tobytes())
        return digest.hexdigest()

    def like(
        self,
        looks: Float32Array,
        nearest: NearestLooks | None = None,
    ) -> Float32Array:
        """What was lost where it looked most like each of some places.

        Args:
            looks: (M, 6, 6) whole numbers within 200 of 0. Their products are exact in float32, so
                that the choice does not depend on how many places are wanted for.
            nearest: what searches; None: `nearest` of these patches.

        Returns:
            (M, 12, 12, 3) float32, standard deviations.
        """
        find = nearest or self.nearest
        wanted = looks.reshape(
            len(looks),
            _LOOK_NUMBERS,
        )
        pose, patch = np.divmod(
            find(wanted),
            len(self),
        )
        found: Float32Array = self._posed_lost[pose, patch].astype(np.float32)
        found *= np.float32(UNIT)
        return found

    def nearest(self, looks: Float32Array) -> IndexArray:
        """Indices (M,) of the nearest of `posed_looks` to looks (M, 36), the first of equals."""
        count = len(looks)
        wanted = np.full(
            (count, _LOOK_NUMBERS + 1),
            -1,
            np.float32,
        )
        wanted[:, :-1] = looks
        chosen = np.empty(
            count,
            np.intp,
        )
        for first in range(
            0,
            count,
            _ROWS_AT_A_TIME,
        ):
            rows = slice(
                first,
                first + _ROWS_AT_A_TIME,
            )
            # the greatest of these has the least squared distance
            closeness = wanted[rows] @ self.posed_looks
            chosen[rows] = closeness.argmax(axis=1)
        return chosen

    @cached_property
    def posed_looks(self) -> Float32Array:
        """(37, 8 N) looks in all poses, and half of the sum of their squares."""
        looks = _in_all_poses(self.looks).reshape(
            -1,
            _LOOK_NUMBERS,
        )
        columns = np.empty(
            (_LOOK_NUMBERS + 1, len(looks)),
            np.float32,
        )
        columns[:-1] = looks.T
        columns[-1] = (columns[:-1] ** 2).sum(axis=0) / 2
        return columns

    @cached_property
    def _posed_lost(self) -> Steps:
        """(8, N, 12, 12, 3) in all poses."""
        return _in_all_poses(self.lost)


def _in_all_poses(patches: Steps) -> Steps:
    """Patches (N, S, S, ...) turned and flipped, (8, N, S, S, ...)."""
    poses = []
    for each in (
        patches,
        patches.swapaxes(
            1,
            2,
        ),
    ):
        for turns in range(_TURNS):
            poses.append(
                np.rot90(
                    each,
                    turns,
                    axes=(1, 2),
                )
            )
    return np.stack(poses)


def looks_of(canonical: Float32Array) -> Float32Array:
    """How each latent cell of a decoded picture looks, with the pixels around it.

    Args:
        canonical: (H, W, 3) float32 in [0, 255], canonical stain: whole cells, and `BEFORE_PX` more
            on each side.

    Returns:
        (rows, columns, 6, 6) float32, whole numbers within 128 of 0: brightness in steps of
        `LOOK_STEP`, less nine tenths of its mean, so that shape counts more than darkness.
    """
    grey = canonical[..., 0] + canonical[..., 1] + canonical[..., 2]
    # added in one order, so that each pixel gives the same bits in every window
    by_row = grey[0::2] + grey[1::2]
    squares = by_row[:, 0::2] + by_row[:, 1::2]
    values = 3 * LOOK_PX**2
    steps = np.rint(squares / np.float32(values * LOOK_STEP))
    windows = np.lib.stride_tricks.sliding_window_view(
        steps,
        (LOOK_SIDE, LOOK_SIDE),
    )
    stride = GRAIN_CELL_PX // LOOK_PX
    brightness: Float32Array = windows[::stride, ::stride]
    # whole numbers: a sum is exact in any order
    total = brightness.sum(
        axis=(2, 3),
        keepdims=True,
    )
    mean = np.rint(total * np.float32(_MEAN_LEFT_OUT / _LOOK_NUMBERS))
    looks: Float32Array = brightness - mean
    return looks
