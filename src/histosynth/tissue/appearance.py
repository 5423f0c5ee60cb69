"""Appearance: how a tissue is stained and how sharp it is, apart from what stands in it.

Stains vary more between laboratories than tissue does between patients, and a model that has
seen a few dozen of them cannot be asked for another. So most of colour is taken out of its
hands: a `StainFrame` scales optical density per channel to a canonical stain and back, the
network works in canonical stain only, and its scales return exactly because they never went
through the network. What three numbers cannot carry (contrast, hue, focus, how much glass) goes to
the network as a short `style` vector, and the mean hue of each density is given back after
painting.

Why a scale per channel and not a full stain matrix: tried on 90 tiles, Macenko's matrix and moment
matching both turn single tiles orange or blue (docs/log.md); three scales never do, leave glass
white whatever the fit, and are undone to within rounding. The fit itself uses Macenko's (2009) two
dye directions, so that it does not depend on how many nuclei a tile holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array
from ..core.tile import Mask, Pixels
from .density import from_density, optical_density
from .hue import HueCurve, measure_hue

# Haematoxylin and eosin of the canonical stain, optical density of a full dose: medians of
# Macenko fits over the 82 training tiles of brca-m2c.
CANONICAL_DYES = np.array([[1.044, 1.314, 0.648], [0.240, 0.820, 0.520]])

MIN_TISSUE_OD = 0.15
"""A pixel whose every channel is denser than this is tissue, not glass (Macenko's beta)."""
MIN_TISSUE_PX = 500
MIN_ANGLE_DEG = 12.0
"""Two dyes closer than this in density space are not told apart; tiles in use lie at 17-41."""

STYLE_NAMES = (
    "density_red",
    "density_green",
    "density_blue",
    "contrast_red",
    "contrast_green",
    "contrast_blue",
    "density_p05",
    "density_p50",
    "density_p95",
    "edges_1px",
    "edges_2px",
    "edges_4px",
    "tissue_fraction",
)


@dataclass(frozen=True)
class StainFrame:
    """Optical density of a tile, per channel, in units of the canonical stain.

    Attributes:
        scale: canonical density / this tile's density, for red, green and blue; each in
            [0.2, 5]. Below 1: the tile is darker than the canonical stain.
    """

    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if len(self.scale) != 3 or not all(0.2 <= value <= 5 for value in self.scale):
            raise ValueError(f"a stain frame has three scales from 0.2 to 5, not {self.scale}")

    def to_canonical(self, pixels: Pixels | Float32Array) -> Float32Array:
        """(..., 3) in [0, 255] in this tile's stain => float32 in [0, 255] in the canonical one."""
        return _rescale(pixels, np.array(self.scale, np.float32))

    def from_canonical(self, pixels: Pixels | Float32Array) -> Float32Array:
        """The way back: canonical stain => this tile's, float32 in [0, 255]."""
        return _rescale(pixels, np.float32(1) / np.array(self.scale, np.float32))


@dataclass(frozen=True, eq=False)
class Appearance:
    """What a tile looks like, whatever stands in it: its stain and its style.

    Attributes:
        frame: colour balance and density.
        style: (13,) float32, `STYLE_NAMES` in canonical stain, in natural units.
        hue: its mean hue at each density, in canonical stain; None: left to the network.
    """

    frame: StainFrame
    style: Float32Array
    hue: HueCurve | None = None

    def apply(self, canonical: Float32Array) -> Float32Array:
        """A painting (..., 3) in canonical stain, in [0, 255] => in this appearance, float32."""
        return self.frame.from_canonical(
            canonical if self.hue is None else self.hue.apply(canonical)
        )


def measure_appearance(pixels: Pixels, mask: Mask | None = None) -> Appearance:
    """Appearance of a tile, from the pixels outside `mask` only.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True where there is nothing to see; None: all is seen.
    """
    frame = fit_stain_frame(pixels, mask)
    canonical = frame.to_canonical(pixels)
    seen = canonical.reshape(-1, 3) if mask is None else canonical[~mask]
    return Appearance(frame, measure_style(canonical, mask), measure_hue(seen))


def fit_stain_frame(pixels: Pixels, mask: Mask | None = None) -> StainFrame:
    """Scale that brings a tile's two dyes closest to the canonical ones, channel by channel.

    A tile with too little tissue to tell gets the canonical frame.
    """
    dyes = macenko_dyes(_seen(pixels, mask))
    if dyes is None:
        return StainFrame()
    red, green, blue = canonical_scale(dyes)
    return StainFrame((float(red), float(green), float(blue)))


def canonical_scale(dyes: Float64Array) -> Float64Array:
    """Scale per channel that brings two dyes closest to the canonical ones, (3,) in [0.2, 5].

    Least squares over the dyes d_k and canonical dyes c_k: min_s sum_k (s d_k - c_k)^2 per channel.

    Args:
        dyes: (2, 3) optical density of a full dose of haematoxylin and eosin.
    """
    scale: Float64Array = (dyes * CANONICAL_DYES).sum(axis=0) / (dyes**2).sum(axis=0)
    return scale.clip(0.2, 5.0)


def macenko_dyes(
    pixels: Pixels | Float32Array, *, least_deg: float = MIN_ANGLE_DEG
) -> Float64Array | None:
    """Optical density of a full dose of haematoxylin (row 0) and of eosin (row 1), (2, 3).

    Macenko et al. 2009: the extreme angles (1st, 99th percentile) in the plane of the two
    largest principal components; a full dose is the 99th percentile of its amount.

    Args:
        pixels: (N, 3) RGB in [0, 255].
        least_deg: angle below which two dyes count as one.

    Returns:
        None where fewer than 500 pixels are tissue. Where only one dye can be told, directions
        are canonical and only the doses are measured.
    """
    density = optical_density(pixels)
    tissue = density[is_tissue(density)]
    if len(tissue) < MIN_TISSUE_PX:
        return None
    tissue = tissue[:: max(len(tissue) // 50_000, 1)].astype(np.float64)
    _, vectors = np.linalg.eigh(np.cov(tissue.T))
    plane = vectors[:, [2, 1]] * np.where(vectors[:, [2, 1]].sum(axis=0) < 0, -1.0, 1.0)
    angles = np.arctan2(tissue @ plane[:, 1], tissue @ plane[:, 0])
    low, high = np.percentile(angles, [1, 99])
    ends = [plane @ np.array([np.cos(angle), np.sin(angle)]) for angle in (low, high)]
    # haematoxylin absorbs more red than eosin does
    directions = np.stack(ends if ends[0][0] > ends[1][0] else ends[::-1])
    apart_deg = np.degrees(np.arccos(np.clip(directions[0] @ directions[1], -1, 1)))
    if apart_deg < least_deg or directions.min() < -0.2:
        directions = CANONICAL_DYES / np.linalg.norm(CANONICAL_DYES, axis=1, keepdims=True)
    doses = np.percentile(tissue @ np.linalg.pinv(directions), 99, axis=0)
    dyes: Float64Array = directions * np.maximum(doses, 0.1)[:, None]
    return dyes


def measure_style(canonical: Float32Array, mask: Mask | None = None) -> Float32Array:
    """The style vector (13,) of a tile in canonical stain, (H, W, 3) float32 in [0, 255]."""
    density = optical_density(canonical)
    grey = density @ np.full(3, 1 / 3, np.float32)
    inside = density.reshape(-1, 3) if mask is None else density[~mask]
    # matrix products: numpy's own reductions are slow over a last axis of three
    share = np.full(len(inside), 1 / len(inside), np.float32)
    mean = share @ inside
    spread = np.sqrt(np.maximum(share @ (inside - mean) ** 2, 0))
    levels = np.percentile(grey if mask is None else grey[~mask], [5, 50, 95])
    edges = [_edge_density(grey, mask, reach) for reach in (1, 2, 4)]
    return np.concatenate([mean, spread, levels, edges, [is_tissue(inside).mean()]]).astype(
        np.float32
    )


def _edge_density(grey: Float32Array, mask: Mask | None, reach: int) -> float:
    """Log of the mean step over `reach` px, after smoothing over as many."""
    smooth = np.asarray(ndimage.uniform_filter(grey, reach)) if reach > 1 else grey
    across = np.abs(smooth[:, reach:] - smooth[:, :-reach])
    down = np.abs(smooth[reach:] - smooth[:-reach])
    if mask is not None:  # a step counts where both of its ends, and what blurs them, are seen
        sure = np.asarray(ndimage.binary_erosion(~mask, iterations=reach, border_value=1))
        across = across[sure[:, reach:] & sure[:, :-reach]]
        down = down[sure[reach:] & sure[:-reach]]
    total = across.size + down.size
    return float(np.log((across.sum() + down.sum()) / max(total, 1) + 1e-3))


def is_tissue(density: Float32Array) -> Mask:
    """Optical density (..., 3) => (...) bool, True where every channel is denser than glass."""
    red = density[..., 0] > MIN_TISSUE_OD
    green = density[..., 1] > MIN_TISSUE_OD
    blue = density[..., 2] > MIN_TISSUE_OD
    return np.asarray(red & green & blue)


def _rescale(pixels: Pixels | Float32Array, scale: Float32Array) -> Float32Array:
    return from_density(optical_density(pixels) * scale)


def _seen(pixels: Pixels, mask: Mask | None) -> Pixels:
    return pixels.reshape(-1, 3) if mask is None else pixels[~mask]
