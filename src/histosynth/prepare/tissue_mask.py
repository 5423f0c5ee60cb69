"""Where on a slide there is tissue: a mask on a coarse grid, every length in micrometres.

Works on optical density against the slide's own glass, so pale slides and grey backgrounds need no
settings of their own; pen is told from dye by which colour it absorbs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.tile import Mask, Pixels

STRIP = 512
REACH = 4
"""Rows looked at at once, and rows that ink reaches over."""


@dataclass(frozen=True)
class TissuePlan:
    """How tissue is told from glass."""

    mpp: float = 8.0
    """Scale of the mask, um/px."""
    smooth_um: float = 12.0
    """Detail smaller than this is dust."""
    close_um: float = 60.0
    """Gaps up to this wide belong to the tissue: fat, lumina, cracks."""
    least_mm2: float = 0.05
    """Smaller pieces are dropped."""
    hole_mm2: float = 0.05
    """Smaller holes are filled."""
    floor_od: float = 0.03
    """Least green optical density over glass that can be tissue; pale stains lie just above."""
    ceiling_od: float = 0.12
    """However dark the slide, tissue denser than this is kept."""

    def __post_init__(self) -> None:
        if not 1 <= self.mpp <= 64:
            raise ValueError(f"the mask's mpp must lie in [1, 64], not {self.mpp}")
        lengths = (self.smooth_um, self.close_um)
        if (
            not all(0 <= value <= 1000 for value in lengths)
            or min(self.least_mm2, self.hole_mm2) < 0
        ):
            raise ValueError(
                "smooth_um and close_um must lie in [0, 1000], least areas not be negative"
            )
        if not 0 < self.floor_od <= self.ceiling_od:
            raise ValueError("floor_od must be positive and not above ceiling_od")


def tissue_mask(picture: Pixels, plan: TissuePlan) -> Mask:
    """Tissue of a slide's thumbnail.

    Args:
        picture: (H, W, 3) uint8 at `plan.mpp`.
        plan: lengths and thresholds.

    Returns:
        (H, W) bool.
    """
    white = glass_of(picture)
    stained = np.empty(picture.shape[:2], np.float32)
    for top in range(
        0, len(picture), STRIP
    ):  # a slide's thumbnail can be large: never all of its density
        above = min(top, REACH)
        below = min(len(picture) - top, STRIP + REACH)
        density = density_over(picture[top - above : top + below], white)
        strip = np.where(pen_mask(density), 0, density[..., 1])
        stained[top : top + STRIP] = strip[above : above + STRIP]
    smooth = np.asarray(ndimage.gaussian_filter(stained, plan.smooth_um / plan.mpp / 2))
    mask = smooth > np.clip(otsu(smooth), plan.floor_od, plan.ceiling_od)
    mask = _closed(mask, plan.close_um / plan.mpp / 2)
    px_per_mm2 = (1000 / plan.mpp) ** 2
    mask = _without_small(mask, plan.least_mm2 * px_per_mm2)
    return ~_without_small(~mask, plan.hole_mm2 * px_per_mm2)


def glass_of(picture: Pixels) -> Float32Array:
    """The slide's own glass, (3,) grey levels.

    Glass is the brightest tone that is common: the 95th percentile of each channel among pixels
        whose
    green lies in the brightest tenth, but never below 180, lest a slide full of tissue be taken for
    glass.
    """
    flat = picture.reshape(-1, 3)
    flat = flat[:: max(len(flat) >> 21, 1)]
    bright = flat[flat[:, 1] >= np.percentile(flat[:, 1], 90)]
    return np.maximum(np.percentile(bright, 95, axis=0), 180).astype(np.float32)


def density_over(picture: Pixels, white: Float32Array) -> Float32Array:
    """Optical density over glass, (H, W, 3) float32, 0 on glass."""
    density: Float32Array = -np.log((picture.astype(np.float32) + 1) / (white + 1))
    return np.maximum(density, 0, out=density)


def pen_mask(density: Float32Array) -> Mask:
    """Pen ink and what lies within two pixels of it. (H, W) bool."""
    ink = ink_mask(density)
    return np.asarray(ndimage.binary_dilation(ink, iterations=2) if ink.any() else ink)


def ink_mask(density: Float32Array) -> Mask:
    """Ink: what absorbs red more than green, as no dye of H&E does; black; and scarlet. (H, W)
    bool.
    """
    red, green, blue = (density[..., channel] for channel in range(3))
    cold = (red > 1.15 * green + 0.05) & (red > 0.15)
    least = density.min(axis=2)
    most = density.max(axis=2)
    black = (least > 0.9) & (most - least < 0.25 * most)
    scarlet = (red < 0.1) & (green > 0.7) & (blue > 0.95 * green)
    return np.asarray(cold | black | scarlet)


def otsu(values: Float32Array) -> float:
    """The threshold that parts values into two groups of least variance (Otsu 1979)."""
    low = float(values.min())
    high = float(values.max())
    if high <= low:
        return low
    counts, edges = np.histogram(values, bins=256, range=(low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(centres[np.nanargmax(between)])


def _closed(mask: Mask, radius: float) -> Mask:
    """Dilation then erosion by an octagon of about that radius, pixel by pixel."""
    steps = round(radius)
    if steps < 1 or not mask.any():
        return mask
    grown = np.pad(mask, steps + 1)
    shapes = [ndimage.generate_binary_structure(2, 1 + place % 2) for place in range(steps)]
    for shape in shapes:
        grown = np.asarray(ndimage.binary_dilation(grown, shape))
    for shape in shapes:
        grown = np.asarray(ndimage.binary_erosion(grown, shape))
    return mask | grown[steps + 1 : -steps - 1, steps + 1 : -steps - 1]


def _without_small(mask: Mask, least_px: float) -> Mask:
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes >= least_px
    large[0] = False
    return np.asarray(large[labels])
