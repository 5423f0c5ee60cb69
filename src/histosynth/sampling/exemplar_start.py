"""Where completion starts: tissue copied into the hole, and when each cell leaves it.

A cell at time t of the flow holds (1 - t) parts of what it will be and t parts of noise. Cells
start from copied tissue at a time of their own, as an edit starts from a picture in SDEdit (Meng et
al. 2022): ground late, so that its fibres, its mucin and its grain are those around the hole;
nuclei early, so that they are the model's own, where they were asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..core.condition import Condition
from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels
from ..model import autoencoder as ae
from ..tissue.appearance import StainFrame
from ..tissue.density import optical_density
from ..tissue.exemplar import copy_into
from .solvers import Denoise

NUCLEI_TIME = 0.9
GROUND_TIME = 0.2
"""Times, 1 all noise, at which cells with nuclei and cells of plain ground leave the copied
tissue."""
NEAR_PX = 8.0
FAR_PX = 16.0
"""A cell this near to a nucleus' centre starts as nuclei do, one this far as ground does."""
KEPT_PX = 24.0
"""From `FAR_PX` to here the copied pixels themselves come in: ground keeps its grain."""
BROKEN_PX = 3.0
BROKEN_SHARE = 0.7
"""Where patches do not fit each other nothing is kept as it is, and cells leave earlier, by this
share of the way from ground's time to that of nuclei: the model mends the break. And the width over
which that fades."""
DENSE = 0.40
PLAIN = 0.25
SMOOTH_PX = 3.0
"""Red optical density in canonical stain, smoothed, that nuclei have and that plain ground has. In
brca-m2c the median over a tile's centroids lies in 0.35 to 0.73, that of pixels 16 px from any in
0.08 to 0.39."""


@dataclass(frozen=True, eq=False)
class Start:
    """What one item starts from.

    Attributes:
        pixels: (H, W, 3) uint8, copied tissue in the hole, known tissue elsewhere.
        times: (ceil(H / 8), ceil(W / 8)) float32 in [0, 1], when each cell leaves it.
        ground: (H, W) float32 in [0, 1], 1 where the copied pixels themselves are kept.
    """

    pixels: Pixels
    times: NDArray[np.float32]
    ground: NDArray[np.float32]


def start_of(condition: Condition, frame: StainFrame, seed: int) -> Start | None:
    """The start of a completion; None where too little tissue is known to copy from.

    Where no nuclei of the known tissue are told, copied tissue as dense as nuclei leaves early as
        well: it
    may hold some that nobody asked for.

    Args:
        condition: with the known pixels, the hole and the nuclei if told.
        frame: the known tissue's stain.
        seed: of the copied tissue.
    """
    context = condition.context
    if context is None:
        return None
    copied = copy_into(
        context.pixels,
        context.mask,
        condition.nuclei,
        seed=seed,
    )
    if copied is None:
        return None
    filled = copied.pixels
    height, width = context.mask.shape
    grid = (-(-height // ae.FACTOR), -(-width // ae.FACTOR))
    late: NDArray[np.floating] = np.ones((height, width))
    kept = late
    if condition.nuclei is not None:
        apart = _apart(condition.nuclei, (height, width))
        late = _between(apart, NEAR_PX, FAR_PX)
        kept = _between(apart, FAR_PX, KEPT_PX)
    if condition.nuclei is None or not _any_known(condition.nuclei, context.mask):
        dense = ndimage.gaussian_filter(
            optical_density(frame.to_canonical(filled))[..., 0], SMOOTH_PX
        )
        near, far = (
            ndimage.maximum_filter(dense, 2 * int(reach) + 1) for reach in (NEAR_PX, FAR_PX)
        )
        late = np.minimum(late, _between(near, DENSE, PLAIN))
        kept = np.minimum(kept, _between(far, DENSE, PLAIN))
    whole = np.clip(
        1 - ndimage.gaussian_filter(copied.broken.astype(np.float32), BROKEN_PX),
        0,
        1,
    )
    late = late * (1 - BROKEN_SHARE * (1 - whole))
    kept = kept * whole**2
    edge = [(0, cells * ae.FACTOR - side) for cells, side in zip(grid, late.shape, strict=True)]
    cells = (
        np.pad(late, edge, mode="edge")
        .reshape(
            grid[0],
            ae.FACTOR,
            grid[1],
            ae.FACTOR,
        )
        .mean(axis=(1, 3))
    )
    times = NUCLEI_TIME + (GROUND_TIME - NUCLEI_TIME) * cells
    return Start(filled, times.astype(np.float32), kept.astype(np.float32))


def _between(values: NDArray[np.floating], low: float, high: float) -> NDArray[np.floating]:
    """0 at `low`, 1 at `high`, straight in between."""
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _places(nuclei: Nuclei, shape: tuple[int, ...]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Row and column of the pixel that each centroid lies in."""
    x, y = nuclei.xy.round().astype(int).T
    return y.clip(0, shape[0] - 1), x.clip(0, shape[1] - 1)


def _any_known(nuclei: Nuclei, mask: Mask) -> bool:
    return not bool(mask[_places(nuclei, mask.shape)].all())


def _apart(nuclei: Nuclei, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(H, W) distance of each pixel to the nearest nucleus, px."""
    empty = np.ones(shape, bool)
    empty[_places(nuclei, shape)] = False
    return (
        np.asarray(ndimage.distance_transform_edt(empty)) if len(nuclei) else np.full(shape, np.inf)
    )


def held(denoise: Denoise, latents: Tensor, times: Tensor) -> Denoise:
    """Keep cells at their start until their time comes; the network is asked once one of them
    leaves.

    A cell whose clean estimate does not change stays on the straight line from its noise to it, in
    every solver here, so that it leaves as (1 - t) start + t noise.

    Args:
        denoise: estimate of the clean latents.
        latents: (B, C, h, w) to start from.
        times: (B, 1, h, w) when each cell leaves them.
    """
    last = float(times.max())

    def estimate(noisy: Tensor, time: Tensor) -> Tensor:
        now = float(time[0])  # all items are at the same time
        return latents if now > last else torch.where(times < now, latents, denoise(noisy, time))

    return estimate
