"""Where completion starts: tissue copied into the masked region, and when each cell leaves it.

A cell at time t of the flow is a mixture of (1 - t) parts of its final value and t parts of noise.
Cells start from copied tissue at a time of their own, as an edit starts from a picture in SDEdit
(Meng et al. 2022): ground late, so that its fibres, mucin and grain are those around the region;
nuclei early, so that the model places them where the condition requests them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from ..core.condition import Condition
from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels
from ..model.autoencoder import FACTOR
from ..model.denoiser import Denoise
from ..tissue.appearance import StainFrame
from ..tissue.density import optical_density
from ..tissue.exemplar import copy_into

_Weights = NDArray[np.floating]
"""(H, W) in [0, 1]: 0 as for nuclei, 1 as for plain ground."""

NUCLEI_TIME = 0.9
GROUND_TIME = 0.2
"""Times, 1 all noise, at which cells with nuclei and cells of plain ground leave the copied
tissue."""
NEAR_PX = 8.0
FAR_PX = 16.0
"""A cell this near to a nucleus' centre starts as nuclei do, one this far as ground does."""
KEPT_PX = 24.0
"""From `FAR_PX` to here the copied pixels themselves are mixed in: ground keeps its grain."""
BROKEN_PX = 3.0
BROKEN_SHARE = 0.7
"""Where copied patches do not fit each other no copied pixel is kept, and cells leave earlier, by
this share of the way from ground's time to that of nuclei: the model repairs the break. And the
width over which that fades."""
DENSE_OD = 0.40
PLAIN_OD = 0.25
SMOOTH_PX = 3.0
"""Red optical density in canonical stain, smoothed, of nuclei and of plain ground. In brca-m2c the
median over a tile's centroids lies in 0.35 to 0.73, that of pixels 16 px from any in 0.08 to
0.39."""


@dataclass(frozen=True, eq=False)
class Start:
    """What one item starts from.

    Attributes:
        pixels: (H, W, 3) uint8, copied tissue inside the mask, known tissue elsewhere.
        times: (ceil(H / 8), ceil(W / 8)) float32 in [0, 1], when each cell leaves it.
        ground: (H, W) float32 in [0, 1], 1 where the copied pixels themselves are kept.
    """

    pixels: Pixels
    times: NDArray[np.float32]
    ground: NDArray[np.float32]


def exemplar_start(
    condition: Condition,
    frame: StainFrame,
    seed: int,
    nuclei_time: float = NUCLEI_TIME,
) -> Start | None:
    """The start of a completion; None where too little tissue is known to copy from.

    Where the condition has no nuclei in the known tissue, copied tissue as dense as nuclei leaves
    early as well: it may hold nuclei that the condition does not request.

    Args:
        condition: with the known pixels, the mask and, if given, the nuclei.
        frame: the known tissue's stain.
        seed: of the copied tissue.
        nuclei_time: when cells with nuclei leave it; later than by default where their places
            are not stated.
    """
    context = condition.context
    if context is None:
        return None
    nuclei = condition.nuclei
    copied = copy_into(
        context.pixels,
        context.mask,
        nuclei,
        seed=seed,
    )
    if copied is None:
        return None
    late: _Weights = np.ones(context.mask.shape)
    kept = late
    if nuclei is not None:
        distance_px = _distance_to_nuclei(nuclei, context.mask.shape)
        late = _ramp(distance_px, NEAR_PX, FAR_PX)
        kept = _ramp(distance_px, FAR_PX, KEPT_PX)
    if nuclei is None or not _any_known(nuclei, context.mask):
        late, kept = _without_dense_tissue(late, kept, frame.to_canonical(copied.pixels))
    late, kept = _without_breaks(late, kept, copied.broken)
    times = nuclei_time + (GROUND_TIME - nuclei_time) * _cell_means(late)
    return Start(
        copied.pixels,
        times.astype(np.float32),
        kept.astype(np.float32),
    )


def _without_dense_tissue(
    late: _Weights,
    kept: _Weights,
    canonical: NDArray[np.floating],
) -> tuple[_Weights, _Weights]:
    """Both weights lowered around tissue that is as dense as nuclei."""
    red = optical_density(canonical)[..., 0]
    density = ndimage.gaussian_filter(red, SMOOTH_PX)
    near = ndimage.maximum_filter(density, 2 * int(NEAR_PX) + 1)
    far = ndimage.maximum_filter(density, 2 * int(FAR_PX) + 1)
    plain_near = _ramp(near, DENSE_OD, PLAIN_OD)
    plain_far = _ramp(far, DENSE_OD, PLAIN_OD)
    late = np.minimum(late, plain_near)
    kept = np.minimum(kept, plain_far)
    return late, kept


def _without_breaks(
    late: _Weights,
    kept: _Weights,
    broken: Mask,
) -> tuple[_Weights, _Weights]:
    """Both weights lowered where copied patches do not fit each other."""
    blurred = ndimage.gaussian_filter(broken.astype(np.float32), BROKEN_PX)
    whole = np.clip(1 - blurred, 0, 1)
    earlier = 1 - BROKEN_SHARE * (1 - whole)
    late = late * earlier
    kept = kept * whole**2
    return late, kept


def _cell_means(weights: _Weights) -> NDArray[np.floating]:
    """(H, W) => mean of each latent cell, (ceil(H / 8), ceil(W / 8)); the border is extended."""
    height, width = weights.shape
    rows = math.ceil(height / FACTOR)
    columns = math.ceil(width / FACTOR)
    bottom = rows * FACTOR - height
    right = columns * FACTOR - width
    padded = np.pad(weights, [(0, bottom), (0, right)], mode="edge")
    blocks = padded.reshape(
        rows,
        FACTOR,
        columns,
        FACTOR,
    )
    return np.asarray(blocks.mean(axis=(1, 3)))


def _ramp(
    values: NDArray[np.floating],
    low: float,
    high: float,
) -> _Weights:
    """0 at `low`, 1 at `high`, linear in between."""
    shares = (values - low) / (high - low)
    return np.asarray(np.clip(shares, 0, 1))


def _centroid_mask(nuclei: Nuclei, shape: tuple[int, ...]) -> Mask:
    """(H, W), true at the pixels that centroids lie in."""
    height, width = shape
    x, y = nuclei.xy.round().astype(int).T
    rows = y.clip(0, height - 1)
    columns = x.clip(0, width - 1)
    centroids = np.zeros(shape, bool)
    centroids[rows, columns] = True
    return centroids


def _any_known(nuclei: Nuclei, mask: Mask) -> bool:
    """Whether a nucleus lies in known tissue."""
    centroids = _centroid_mask(nuclei, mask.shape)
    return bool((centroids & ~mask).any())


def _distance_to_nuclei(nuclei: Nuclei, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(H, W) distance of each pixel to the nearest nucleus, px."""
    if not len(nuclei):
        return np.full(shape, np.inf)
    centroids = _centroid_mask(nuclei, shape)
    return np.asarray(ndimage.distance_transform_edt(~centroids))


def hold_start(
    denoise: Denoise,
    latents: Tensor,
    times: Tensor,
) -> Denoise:
    """Keep cells at their start until their time comes; the network runs once one of them leaves.

    A cell whose clean estimate does not change stays on the straight line from its noise to it, in
    every solver here, so that it leaves as (1 - t) start + t noise.

    Args:
        denoise: estimate of the clean latents.
        latents: (B, C, h, w) to start from.
        times: (B, 1, h, w) when each cell leaves them.
    """
    first_to_leave = float(times.max())

    def estimate(noisy: Tensor, time: Tensor) -> Tensor:
        now = float(time[0])  # all items are at the same time
        if now > first_to_leave:
            return latents
        return torch.where(times < now, latents, denoise(noisy, time))

    return estimate
