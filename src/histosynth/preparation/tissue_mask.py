"""Where on a slide there is tissue: a mask on a coarse grid, every length in micrometres.

Works on optical density against the slide's own glass, so pale slides and grey backgrounds need no
settings of their own. Pen is distinguished from dye by the colour that it absorbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.recipe_checks import check_table
from ..core.recipe_limits import (
    Limits,
    NotNegative,
    Positive,
)
from ..core.tile import Mask, Pixels

_MIN_GLASS_LEVEL = 180
_STRIP_PX = 512
"""Rows of a picture that are computed at once."""
_INK_REACH_PX = 4
"""Rows beyond a strip that may hold ink which reaches into it."""


MaskMpp = Annotated[
    float,
    Limits(least=1, most=64),
]
LengthUm = Annotated[
    float,
    Limits(least=0, most=1000),
]


@dataclass(frozen=True)
class TissuePlan:
    """How tissue is separated from glass."""

    mpp: MaskMpp = 8.0
    """Scale of the mask, um/px."""
    smooth_um: LengthUm = 12.0
    """Detail smaller than this is dust."""
    close_um: LengthUm = 60.0
    """Gaps up to this wide belong to the tissue: fat, lumina, cracks."""
    least_mm2: NotNegative = 0.05
    """Smaller pieces are dropped."""
    hole_mm2: NotNegative = 0.05
    """Smaller holes are filled."""
    floor_od: Positive = 0.03
    """Least green optical density over glass that can be tissue; pale stains lie just above."""
    ceiling_od: float = 0.12
    """However dark the slide, tissue denser than this is kept."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_densities(self) -> None:
        if self.floor_od > self.ceiling_od:
            raise ValueError(f"floor_od must not be above ceiling_od, {self.ceiling_od}")


def tissue_mask(picture: Pixels, plan: TissuePlan) -> Mask:
    """Tissue of a slide's thumbnail.

    Args:
        picture: (H, W, 3) uint8 at `plan.mpp`.
        plan: lengths and thresholds.

    Returns:
        (H, W) bool.
    """
    stained = _stained_density(picture)
    smooth_px = plan.smooth_um / plan.mpp
    close_px = plan.close_um / plan.mpp
    px_per_mm2 = (1000 / plan.mpp) ** 2
    smooth = ndimage.gaussian_filter(stained, smooth_px / 2)
    smooth = np.asarray(smooth)
    threshold = np.clip(
        otsu(smooth),
        plan.floor_od,
        plan.ceiling_od,
    )
    min_tissue_px = plan.least_mm2 * px_per_mm2
    min_glass_px = plan.hole_mm2 * px_per_mm2
    tissue = _closed(smooth > threshold, close_px / 2)
    tissue = _without_small(tissue, min_tissue_px)
    glass = _without_small(~tissue, min_glass_px)
    return ~glass


def _stained_density(picture: Pixels) -> Float32Array:
    """(H, W) green optical density over glass, 0 under ink.

    Computed in strips: a slide's thumbnail can be large.
    """
    white = glass_of(picture)
    height, width, _ = picture.shape
    stained = np.empty((height, width), np.float32)
    for top in range(0, height, _STRIP_PX):
        above = min(top, _INK_REACH_PX)
        below = min(height - top, _STRIP_PX + _INK_REACH_PX)
        pixels = picture[top - above : top + below]
        density = density_over(pixels, white)
        green = density[..., 1]
        ink = pen_mask(density)
        strip = np.where(ink, 0, green)
        strip = strip[above : above + _STRIP_PX]
        stained[top : top + _STRIP_PX] = strip
    return stained


def glass_of(picture: Pixels) -> Float32Array:
    """The slide's own glass, (3,) grey levels.

    Glass is the brightest tone that is common: the 95th percentile of each channel among pixels
    whose green lies in the brightest tenth, but never below 180, so that a slide full of tissue is
    not taken for glass.
    """
    pixels = picture.reshape(-1, 3)
    every = max(len(pixels) >> 21, 1)  # some two million pixels are enough
    pixels = pixels[::every]
    green = pixels[:, 1]
    brightest_tenth = green >= np.percentile(green, 90)
    bright = pixels[brightest_tenth]
    white = np.percentile(bright, 95, axis=0)
    white = np.maximum(white, _MIN_GLASS_LEVEL)
    return white.astype(np.float32)


def density_over(picture: Pixels, white: Float32Array) -> Float32Array:
    """Optical density over glass, (H, W, 3) float32, 0 on glass."""
    levels = picture.astype(np.float32)
    density: Float32Array = -np.log((levels + 1) / (white + 1))
    return np.maximum(density, 0, out=density)


def pen_mask(density: Float32Array) -> Mask:
    """Pen ink and what lies within two pixels of it. (H, W) bool."""
    ink = ink_mask(density)
    if not ink.any():
        return ink
    grown = ndimage.binary_dilation(ink, iterations=2)
    return np.asarray(grown)


def ink_mask(density: Float32Array) -> Mask:
    """Ink: what absorbs red more than green, as no dye of H&E does; black; and scarlet.

    Args:
        density: (H, W, 3) optical density.

    Returns:
        (H, W) bool.
    """
    red = density[..., 0]
    green = density[..., 1]
    blue = density[..., 2]
    cold = red > 1.15 * green + 0.05
    cold &= red > 0.15
    thinnest = density.min(axis=2)
    densest = density.max(axis=2)
    black = thinnest > 0.9
    spread = densest - thinnest
    black &= spread < 0.25 * densest
    scarlet = red < 0.1
    scarlet &= green > 0.7
    scarlet &= blue > 0.95 * green
    return np.asarray(cold | black | scarlet)


def otsu(values: Float32Array) -> float:
    """The threshold that divides values into two groups of least variance (Otsu 1979)."""
    low = float(values.min())
    high = float(values.max())
    if high <= low:
        return low
    counts, edges = np.histogram(
        values,
        bins=256,
        range=(low, high),
    )
    centres = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_below = sums / below
        mean_above = (sums[-1] - sums) / above
        difference = mean_below - mean_above
        between = below * above * difference**2
    best = np.nanargmax(between)
    return float(centres[best])


def _closed(mask: Mask, radius: float) -> Mask:
    """Dilation then erosion by an octagon of about that radius, pixel by pixel."""
    steps = round(radius)
    if steps < 1 or not mask.any():
        return mask
    margin = steps + 1
    grown = np.pad(mask, margin)
    shapes = []
    for step in range(steps):
        connectivity = 1 + step % 2
        shape = ndimage.generate_binary_structure(2, connectivity)
        shapes.append(shape)
    for shape in shapes:
        grown = np.asarray(ndimage.binary_dilation(grown, shape))
    for shape in shapes:
        grown = np.asarray(ndimage.binary_erosion(grown, shape))
    inner = slice(margin, -margin)
    return mask | grown[inner, inner]


def _without_small(mask: Mask, min_px: float) -> Mask:
    """The mask without connected pieces of fewer pixels."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    large = sizes >= min_px
    large[0] = False
    return np.asarray(large[labels])
