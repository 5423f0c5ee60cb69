"""Appearance: how a tissue is stained and how sharp it is, apart from the structures in it.

Stains vary more between laboratories than tissue does between patients, and a model that has been
trained on a few dozen of them cannot generate another. So most of colour is kept from the network:
a `StainFrame` scales optical density per channel to a canonical stain and back, the network works
in canonical stain only, and its scales are restored exactly because they never went through the
network. What three numbers cannot describe (contrast, hue, focus, share of glass) goes to the
network as a short `style` vector, and the mean hue of each density is restored after sampling.

Why a scale per channel and not a full stain matrix: tried on 90 tiles, Macenko's matrix and moment
matching both turn single tiles orange or blue (docs/log.md); three scales never do, leave glass
white whatever the fit, and are undone to within rounding. The fit itself uses Macenko's (2009) two
dye directions, so that it does not depend on how many nuclei a tile holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array, Float64Array, Scalar
from ..core.errors import BadMask, SizeMismatch
from ..core.line_of_facts import line_of_facts
from ..core.pictures import PictureInput, as_mask, as_rgb
from ..core.tile import Mask, Pixels
from .density import from_density, optical_density
from .hue import HueCurve, HueShift, measure_hue
from .tile_noise import has_jpeg_blocks, measure_noise

# Haematoxylin and eosin of the canonical stain, optical density of a full dose: medians of
# Macenko fits over the 82 training tiles of brca-m2c.
CANONICAL_DYES = np.array(
    [
        [1.044, 1.314, 0.648],
        [0.240, 0.820, 0.520],
    ]
)

MIN_TISSUE_OD = 0.15
"""A pixel whose every channel is denser than this is tissue, not glass (Macenko's beta)."""
MIN_TISSUE_PX = 500
"""Pixels of tissue below which dyes are not measured."""
EXTREMES = (0.1, 99.9)
"""Percentiles of a reference that nothing made after it is beyond."""
TYPICAL_GLASS = 238.0
"""Grey level of glass where a reference shows none: median over the 34 of 82 training tiles of
brca-m2c that show some (middle half: 236 to 244)."""
MIN_EXTREMES_PX = 10_000
"""Pixels below which they are not measured."""
MIN_ANGLE_DEG = 12.0
"""Two dyes closer than this in density space cannot be distinguished; tiles in use have 17-41."""
_MAX_FIT_PX = 50_000
_MIN_DOSE = 0.1
_MIN_SCALE = 0.2
_MAX_SCALE = 5.0

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
        in_range = all(_MIN_SCALE <= value <= _MAX_SCALE for value in self.scale)
        if len(self.scale) != 3 or not in_range:
            raise ValueError(f"a stain frame has three scales from 0.2 to 5, not {self.scale}")

    def to_canonical(self, pixels: Pixels | Float32Array) -> Float32Array:
        """(..., 3) in [0, 255] in this tile's stain => float32 in [0, 255] in the canonical one."""
        return _rescale(pixels, np.array(self.scale, np.float32))

    def from_canonical(self, pixels: Pixels | Float32Array) -> Float32Array:
        """The inverse: canonical stain => this tile's stain, float32 in [0, 255]."""
        scale = np.array(self.scale, np.float32)
        return _rescale(pixels, np.float32(1) / scale)


@dataclass(frozen=True, eq=False)
class Appearance:
    """How a tile looks, whatever structures are in it: its stain and its style.

    Attributes:
        frame: colour balance and density.
        style: (13,) float32, `STYLE_NAMES` in canonical stain, in natural units.
        hue: its mean hue at each density, in canonical stain, or one change of hue for all parts of
            a slide; None: left to the network.
        noise: (2, 3) of its channels in canonical stain, in all and in even tissue, which says how
            strong grain is; None: as in typical tissue.
        extremes: what nothing made after it is beyond: (4,) values in [0, 255], of which a
            thousandth of its pixels lies below the first three (red, green, blue), and above the
            fourth with all channels; None: not known.
        has_blocks: whether it shows the blocks of JPEG, which flatten its grain.
    """

    frame: StainFrame
    style: Float32Array
    hue: HueCurve | HueShift | None = None
    noise: Float32Array | None = None
    extremes: Float32Array | None = None
    has_blocks: bool = False

    def __repr__(self) -> str:
        scales = [f"{value:.3g}" for value in self.frame.scale]
        hue = "hue left to the network"
        if self.hue is not None:
            hue = "hue measured"
        facts = [f"stain scales {' '.join(scales)}", hue]
        return line_of_facts("Appearance", facts)

    def apply(
        self,
        canonical: Float32Array,
        grain: Callable[[Float32Array], Float32Array] | None = None,
        typical_extremes: Float32Array | None = None,
    ) -> Float32Array:
        """Pixels (H, W, 3) in canonical stain, in [0, 255] => in this appearance, float32.

        Args:
            canonical: the pixels.
            grain: what adds grain in canonical stain; None: none, and nothing is clipped.
            typical_extremes: (4,) in canonical stain, where its own are not known; None: then
                nothing is clipped.
        """
        if self.hue is not None:
            canonical = self.hue.apply(canonical)
        if grain is None:
            return self.frame.from_canonical(canonical)
        pixels = self.frame.from_canonical(grain(canonical))
        extremes = self.extremes
        if extremes is None and typical_extremes is not None:
            extremes = _restained(typical_extremes, self.frame)
        if extremes is not None:
            _clip(pixels, extremes)
        return pixels

    def glass(self) -> Float32Array:
        """The colour (3,) of glass without tissue, in [0, 255] in this appearance.

        That of the reference's brightest pixels, and no darker than is usual: a dense tile shows
        none.
        """
        whitest = 0.0 if self.extremes is None else float(self.extremes[3])
        return np.full(
            3,
            max(whitest, TYPICAL_GLASS),
            np.float32,
        )


def measure_appearance(
    pixels: PictureInput,
    mask: PictureInput | None = None,
) -> Appearance:
    """Appearance of a tile, from the pixels outside `mask` only.

    Args:
        pixels: the tile, whatever `as_rgb` takes: a path, a PIL image, an array, a tensor.
        mask: whatever `as_mask` takes, True where the tile is not known; None: all is known.

    Raises:
        NotRGB, BadMask, UnreadableImage: the tile or the mask cannot be used.
        SizeMismatch: they are of different sizes.
    """
    pixels = as_rgb(pixels, "the tile")
    if mask is not None:
        mask = as_mask(mask)
        _check_mask(mask, pixels)
    frame = fit_stain_frame(pixels, mask)
    canonical = frame.to_canonical(pixels)
    style = measure_style(canonical, mask)
    known = _unmasked(canonical, mask)
    return Appearance(
        frame,
        style,
        measure_hue(known),
        noise=_noise_of_tissue(canonical, mask),
        extremes=measure_extremes(_unmasked(pixels, mask)),
        has_blocks=has_jpeg_blocks(pixels),
    )


def _noise_of_tissue(canonical: Float32Array, mask: Mask | None) -> Float32Array | None:
    tissue = is_tissue(optical_density(canonical))
    return measure_noise(canonical, tissue if mask is None else tissue & ~mask)


def measure_extremes(pixels: Pixels | Float32Array) -> Float32Array | None:
    """Values (4,) of pixels (N, 3) in [0, 255], see `Appearance`; None of too few."""
    if len(pixels) < MIN_EXTREMES_PX:
        return None
    low, high = EXTREMES
    darkest = np.percentile(
        pixels,
        low,
        axis=0,
    )
    whitest = np.percentile(pixels.min(axis=1), high)
    return np.array([*darkest, whitest], np.float32)


def _restained(extremes: Float32Array, frame: StainFrame) -> Float32Array:
    """Extremes (4,) in canonical stain, in the stain of a frame."""
    darkest = frame.from_canonical(extremes[:3])
    whitest = frame.from_canonical(extremes[[3, 3, 3]])
    return np.array([*darkest, whitest.min()], np.float32)


def _clip(pixels: Float32Array, extremes: Float32Array) -> None:
    """Clip pixels (H, W, 3) in place: restaining and grain lead beyond the reference's extremes."""
    excess = pixels.min(axis=2) - extremes[3]
    pixels -= np.maximum(excess, 0)[..., None]
    np.maximum(
        pixels,
        extremes[:3],
        out=pixels,
    )


def _check_mask(mask: Mask, pixels: Pixels) -> None:
    """Refuse a mask of another size, and one that leaves nothing to measure."""
    height, width = pixels.shape[:2]
    mask_height, mask_width = mask.shape
    if mask.shape != (height, width):
        raise SizeMismatch(
            "mask",
            (mask_width, mask_height),
            (width, height),
        )
    if mask.all():
        raise BadMask(
            "The mask covers the whole tile, so nothing is left to measure.",
            "Leave some of the tile unmarked.",
        )


def fit_stain_frame(
    pixels: Pixels,
    mask: Mask | None = None,
) -> StainFrame:
    """Scale that brings a tile's two dyes closest to the canonical ones, channel by channel.

    A tile with too little tissue gets the canonical frame.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, True where the tile is not known; None: all is known.
    """
    dyes = macenko_dyes(_unmasked(pixels, mask))
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
    products = (dyes * CANONICAL_DYES).sum(axis=0)
    squares = (dyes**2).sum(axis=0)
    scale: Float64Array = products / squares
    return scale.clip(_MIN_SCALE, _MAX_SCALE)


def macenko_dyes(
    pixels: Pixels | Float32Array,
    *,
    min_angle_deg: float = MIN_ANGLE_DEG,
) -> Float64Array | None:
    """Optical density of a full dose of haematoxylin (row 0) and of eosin (row 1), (2, 3).

    Macenko et al. 2009: the extreme angles (1st, 99th percentile) in the plane of the two
    largest principal components; a full dose is the 99th percentile of its amount.

    Args:
        pixels: (N, 3) RGB in [0, 255].
        min_angle_deg: angle below which two dyes count as one.

    Returns:
        None where fewer than `MIN_TISSUE_PX` pixels are tissue. Where only one dye can be
        distinguished, directions are canonical and only the doses are measured.
    """
    density = optical_density(pixels)
    all_tissue = density[is_tissue(density)]
    if len(all_tissue) < MIN_TISSUE_PX:
        return None
    step = max(len(all_tissue) // _MAX_FIT_PX, 1)
    tissue = all_tissue[::step].astype(np.float64)
    directions = _extreme_directions(tissue)
    cosine = np.clip(
        directions[0] @ directions[1],
        -1,
        1,
    )
    angle_deg = np.degrees(np.arccos(cosine))
    if angle_deg < min_angle_deg or directions.min() < -0.2:
        directions = CANONICAL_DYES / np.linalg.norm(
            CANONICAL_DYES,
            axis=1,
            keepdims=True,
        )
    amounts = tissue @ np.linalg.pinv(directions)
    doses = np.maximum(
        np.percentile(
            amounts,
            99,
            axis=0,
        ),
        _MIN_DOSE,
    )
    dyes: Float64Array = directions * doses[:, None]
    return dyes


def _extreme_directions(tissue: Float64Array) -> Float64Array:
    """Unit directions (2, 3) of haematoxylin and eosin in density space, from densities (N, 3)."""
    _, vectors = np.linalg.eigh(np.cov(tissue.T))
    plane = vectors[:, [2, 1]]
    signs = np.where(
        plane.sum(axis=0) < 0,
        -1.0,
        1.0,
    )
    plane = plane * signs
    first = tissue @ plane[:, 0]
    second = tissue @ plane[:, 1]
    angles = np.arctan2(second, first)
    low, high = np.percentile(angles, [1, 99])
    low_end = plane @ np.array([np.cos(low), np.sin(low)])
    high_end = plane @ np.array([np.cos(high), np.sin(high)])
    # haematoxylin absorbs more red than eosin does
    if low_end[0] > high_end[0]:
        return np.stack([low_end, high_end])
    return np.stack([high_end, low_end])


def measure_style(
    canonical: Float32Array,
    mask: Mask | None = None,
) -> Float32Array:
    """The style vector (13,) of a tile in canonical stain, (H, W, 3) float32 in [0, 255]."""
    density = optical_density(canonical)
    grey = density @ np.full(
        3,
        1 / 3,
        np.float32,
    )
    inside = _unmasked(density, mask)
    # matrix products: numpy's own reductions are slow over a last axis of three
    share = np.full(
        len(inside),
        1 / len(inside),
        np.float32,
    )
    mean = share @ inside
    variance = share @ (inside - mean) ** 2
    contrast = np.sqrt(np.maximum(variance, 0))
    known_grey = grey if mask is None else grey[~mask]
    levels = np.percentile(known_grey, [5, 50, 95])
    edges = [
        _edge_density(
            grey,
            mask,
            reach,
        )
        for reach in (1, 2, 4)
    ]
    tissue_fraction = is_tissue(inside).mean()
    style = np.concatenate([mean, contrast, levels, edges, [tissue_fraction]])
    return style.astype(np.float32)


def _edge_density(
    grey: Float32Array,
    mask: Mask | None,
    reach: int,
) -> float:
    """Log of the mean step over `reach` px, after smoothing over as many."""
    smooth = grey
    if reach > 1:
        smooth = np.asarray(ndimage.uniform_filter(grey, reach))
    across = np.abs(smooth[:, reach:] - smooth[:, :-reach])
    down = np.abs(smooth[reach:] - smooth[:-reach])
    if mask is not None:
        # a step counts where both of its ends, and the pixels blurred into them, are known
        known = np.asarray(
            ndimage.binary_erosion(
                ~mask,
                iterations=reach,
                border_value=1,
            )
        )
        across = across[known[:, reach:] & known[:, :-reach]]
        down = down[known[reach:] & known[:-reach]]
    count = max(across.size + down.size, 1)
    mean_step = (across.sum() + down.sum()) / count
    return float(np.log(mean_step + 1e-3))


def is_tissue(density: Float32Array) -> Mask:
    """Optical density (..., 3) => (...) bool, True where every channel is denser than glass."""
    red = density[..., 0] > MIN_TISSUE_OD
    green = density[..., 1] > MIN_TISSUE_OD
    blue = density[..., 2] > MIN_TISSUE_OD
    return np.asarray(red & green & blue)


def _rescale(
    pixels: Pixels | Float32Array,
    scale: Float32Array,
) -> Float32Array:
    density = optical_density(pixels)
    return from_density(density * scale)


def _unmasked(
    pixels: NDArray[Scalar],
    mask: Mask | None,
) -> NDArray[Scalar]:
    """(H, W, 3) => (N, 3), the pixels outside the mask."""
    if mask is None:
        return pixels.reshape(-1, 3)
    return pixels[~mask]
