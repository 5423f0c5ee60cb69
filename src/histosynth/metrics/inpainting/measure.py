"""What is measured of one mended hole."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ...core.tile import Mask, Pixels
from ...encoders.encoder import Perceptual
from .edge import PAD_PX, Edge, edge_fibres, edge_step
from .similarity import REACH_PX, ssim_map

SEAM_PX = 8
REGIONS = ("inside", "seam")


def measure_inpainting(
    original: Pixels,
    completed: Pixels,
    mask: Mask,
    *,
    perceptual: Perceptual | None = None,
    seam_px: int = SEAM_PX,
) -> dict[str, Float64Array]:
    """How a mended tile differs from the original: inside the hole, at its seam, and outside.

    Args:
        original: (H, W, 3) uint8 RGB.
        completed: the same with the hole filled.
        mask: (H, W) bool, True where tissue was missing.
        perceptual: distance of pictures within masks; None: not measured.
        seam_px: width of the seam on each side of the hole's edge, px.

    Returns:
        Of the regions (inside, seam), nan where a region is empty:
        `inpainting/mse` (2,): mean squared difference, grey levels squared.
        `inpainting/psnr` (2,): 10 log10(255^2 / mse), dB; infinite where nothing differs.
        `inpainting/ssim` (2,): mean of the SSIM map in the region.
        `inpainting/perceptual` (2,): only with `perceptual`.
        And: `inpainting/outside` (3,): largest change of a known pixel, grey levels; known pixels
            changed; known
        pixels. `inpainting/edge_step` (2,): change of colour across the edge, mended and original.
        `inpainting/fibres` (2, 2): how far fibres keep their direction over the edge, mended and
            original, each
        a sum and what to divide it by.

    Raises:
        ValueError: shapes do not belong together.
    """
    if original.shape != completed.shape or original.shape[:2] != mask.shape:
        raise ValueError(
            f"{original.shape}, {completed.shape} and {mask.shape} do not belong together"
        )
    changed = np.abs(original.astype(np.int16) - completed).max(axis=2)[~mask]
    outside = [changed.max(initial=0), np.count_nonzero(changed), changed.size]
    part = _around(mask, max(PAD_PX, seam_px + REACH_PX))
    first = original[part]
    second = completed[part]
    edge = Edge.of(mask[part])
    seam = np.zeros_like(mask)
    if edge is not None:
        seam[part] = np.abs(edge.depth) <= seam_px
    masks = (mask[part], seam[part])
    squared = ((first.astype(np.float64) - second) ** 2).mean(axis=2)
    similar = ssim_map(first, second) if mask.any() else squared
    mse = np.array([_mean(squared, region_mask) for region_mask in masks])
    with np.errstate(divide="ignore"):
        psnr = 10 * np.log10(255.0**2 / mse)
    out: dict[str, Float64Array] = {
        "inpainting/mse": mse,
        "inpainting/psnr": psnr,
        "inpainting/ssim": np.array([_mean(similar, region_mask) for region_mask in masks]),
        "inpainting/outside": np.array(outside, np.float64),
        "inpainting/edge_step": np.full(2, np.nan),
        "inpainting/fibres": np.full((2, 2), np.nan),
    }
    if edge is not None:
        out["inpainting/edge_step"] = np.array([edge_step(side, edge) for side in (second, first)])
        out["inpainting/fibres"] = np.array([edge_fibres(side, edge) for side in (second, first)])
    if perceptual is not None:
        both = np.stack([mask, seam])[None]
        out["inpainting/perceptual"] = perceptual.distance(completed[None], original[None], both)[
            0
        ].astype(np.float64)
    return out


def _mean(values: Float64Array, mask: Mask) -> float:
    return float(values[mask].mean()) if mask.any() else np.nan


def _around(mask: Mask, pad: int) -> tuple[slice, slice]:
    """A hole's bounding box and `pad` px around it: nothing farther away is looked at."""
    if not mask.any():
        return slice(0, 1), slice(0, 1)
    ends = [np.flatnonzero(mask.any(axis=axis))[[0, -1]] for axis in (1, 0)]
    rows, columns = (slice(max(int(a) - pad, 0), int(b) + 1 + pad) for a, b in ends)
    return rows, columns
