"""What is measured of one inpainted tile."""

from __future__ import annotations

import numpy as np

from ...core.arrays import Float64Array
from ...core.tile import Mask, Pixels
from ...encoders.encoder import Perceptual
from .boundary import PAD_PX, Boundary, boundary_fibres, boundary_step
from .similarity import SSIM_REACH_PX, ssim_map

BOUNDARY_PX = 8
REGIONS = ("inside", "boundary")


def measure_inpainting(
    original: Pixels,
    completed: Pixels,
    mask: Mask,
    *,
    perceptual: Perceptual | None = None,
    boundary_px: int = BOUNDARY_PX,
) -> dict[str, Float64Array]:
    """How an inpainted tile differs from the original: inside the mask, at its boundary, outside.

    Args:
        original: (H, W, 3) uint8 RGB.
        completed: the same with the mask filled.
        mask: (H, W) bool, True where tissue was missing.
        perceptual: distance of pictures within masks; None: not measured.
        boundary_px: width of the boundary region on each side of the mask's edge, px.

    Returns:
        Of the regions (inside, boundary), nan where a region is empty:

        * `inpainting/mse` (2,): mean squared difference, grey levels squared;
        * `inpainting/psnr` (2,): 10 log10(255^2 / mse), dB; infinite where nothing differs;
        * `inpainting/ssim` (2,): mean of the SSIM map in the region;
        * `inpainting/perceptual` (2,): only with `perceptual`.

        And of the whole tile:

        * `inpainting/outside` (3,): largest change of a known pixel, grey levels; number of known
          pixels that changed; number of known pixels;
        * `inpainting/boundary_step` (2,): change of colour across the boundary, completed and
          original;
        * `inpainting/fibres` (2, 2): how far fibres keep their direction across the boundary,
          completed and original, each a sum and what to divide it by.

    Raises:
        ValueError: the shapes differ.
    """
    shape = original.shape
    if completed.shape != shape or mask.shape != shape[:2]:
        raise ValueError(f"{shape}, {completed.shape} and {mask.shape} do not belong together")
    reach = max(PAD_PX, boundary_px + SSIM_REACH_PX)
    part = _around(mask, reach)
    first = original[part]
    second = completed[part]
    boundary = Boundary.of(mask[part])
    near_boundary = np.zeros_like(mask)
    if boundary is not None:
        distance = np.abs(boundary.depth)
        near_boundary[part] = distance <= boundary_px
    out = _differences(
        first,
        second,
        (mask[part], near_boundary[part]),
    )
    out["inpainting/outside"] = _changes_outside(original, completed, mask)
    out["inpainting/boundary_step"] = np.full(2, np.nan)
    out["inpainting/fibres"] = np.full((2, 2), np.nan)
    if boundary is not None:
        steps = []
        fibres = []
        for side in (second, first):
            steps.append(boundary_step(side, boundary))
            fibres.append(boundary_fibres(side, boundary))
        out["inpainting/boundary_step"] = np.array(steps)
        out["inpainting/fibres"] = np.array(fibres)
    if perceptual is not None:
        regions = np.stack([mask, near_boundary])[None]
        distances = perceptual.distance(
            completed[None],
            original[None],
            regions,
        )
        out["inpainting/perceptual"] = distances[0].astype(np.float64)
    return out


def _differences(
    first: Pixels,
    second: Pixels,
    regions: tuple[Mask, Mask],
) -> dict[str, Float64Array]:
    difference = first.astype(np.float64) - second
    squared = (difference**2).mean(axis=2)
    similarity = squared
    if regions[0].any():
        similarity = ssim_map(first, second)
    mse = np.array([_mean_in(squared, region) for region in regions])
    with np.errstate(divide="ignore"):
        psnr = 10 * np.log10(255.0**2 / mse)
    ssim = np.array([_mean_in(similarity, region) for region in regions])
    return {
        "inpainting/mse": mse,
        "inpainting/psnr": psnr,
        "inpainting/ssim": ssim,
    }


def _changes_outside(
    original: Pixels,
    completed: Pixels,
    mask: Mask,
) -> Float64Array:
    """(3,) largest change of a known pixel, how many changed, and how many there are."""
    difference = np.abs(original.astype(np.int16) - completed)
    changes = difference.max(axis=2)[~mask]
    numbers = [
        changes.max(initial=0),
        np.count_nonzero(changes),
        changes.size,
    ]
    return np.array(numbers, np.float64)


def _mean_in(values: Float64Array, mask: Mask) -> float:
    if not mask.any():
        return np.nan
    return float(values[mask].mean())


def _around(mask: Mask, pad: int) -> tuple[slice, slice]:
    """A mask's bounding box with `pad` px around it: nothing farther away is used."""
    if not mask.any():
        return slice(0, 1), slice(0, 1)
    rows = np.asarray(mask.any(axis=1))
    columns = np.asarray(mask.any(axis=0))
    return _padded_range(rows, pad), _padded_range(columns, pad)


def _padded_range(marked: Mask, pad: int) -> slice:
    places = np.flatnonzero(marked)
    first = int(places[0])
    last = int(places[-1])
    start = max(first - pad, 0)
    return slice(start, last + 1 + pad)
