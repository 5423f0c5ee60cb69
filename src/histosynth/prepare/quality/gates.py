"""Gates by measurement: blur, pen, fold, air, saturation. Each is `(pixels, mpp, limits) ->
Verdict`.

They look at coarse pixels of known size in micrometres, so that a limit means the same at any
scale. How the limits were set, and what they let through, stands in docs/log.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from ...core.arrays import Float32Array, Scalar
from ...core.tile import Pixels
from ...tissue.augment import HED
from ...tissue.density import optical_density
from ..tissue_mask import ink_mask
from .verdict import Verdict

_UNMIX = np.linalg.pinv(HED[:2])
"""Density to amounts of haematoxylin and eosin."""
COARSE_UM = 4.0
"""Pixel of the gates that look at areas."""
STRIP_PX = 64


@dataclass(frozen=True)
class GateLimits:
    """What tiles may have. A gate at its widest limit lets all pass."""

    blur: float = 0.17
    """Least fine detail (0.5 to 1 um) for each unit of coarse detail (2 to 4 um)."""
    pen: float = 0.03
    """Largest share under ink."""
    fold: float = 0.15
    """Largest share in folds: dense in both dyes, as two layers of this tile's tissue are."""
    air: float = 0.1
    """Largest share that is grey, neither glass nor dyed: bubbles' rims, dust, dried mounting
    medium."""
    saturation: float = 0.05
    """Largest share of pixels at the end of the scale: black in a channel, or burnt out beside
    tissue."""

    def __post_init__(self) -> None:
        for name in ("pen", "fold", "air", "saturation"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a share in [0, 1], not {getattr(self, name)}")
        if self.blur < 0:
            raise ValueError(f"blur must not be negative, not {self.blur}")


Gate = Callable[[Pixels, float, GateLimits], Verdict]


def blur(pixels: Pixels, mpp: float, limits: GateLimits) -> Verdict:
    """Fine over coarse detail of tissue: the ratio falls with focus, and not with paleness."""
    green = np.ascontiguousarray(pixels[..., 1])
    # shot noise is fine detail too: a first slight smoothing leaves it out
    fine = _smooth(_strips(green), 0.25 / mpp) - _smooth(_strips(green), 0.5 / mpp)
    half = np.asarray(Image.fromarray(green).reduce(2))
    broad = _smooth(half, 1.0 / mpp)
    coarse = _smooth(half, 0.5 / mpp) - broad
    tissue = broad < 225
    if not tissue.any():
        return Verdict(True, "", 1.0)
    wide = np.repeat(np.repeat(tissue, 2, axis=0), 2, axis=1)[: green.shape[0], : green.shape[1]]
    fine_too = _strips(wide)
    ratio = float(fine[fine_too].std() / max(coarse[tissue].std(), 1.0))
    return Verdict.at_least(ratio, limits.blur, "it is blurred: fine detail is")


def _strips(rows: NDArray[Scalar]) -> NDArray[Scalar]:
    """(N, 64, W): every second strip of a large picture, which tell its focus as well as all of it
    do.
    """
    count = rows.shape[0] // (2 * STRIP_PX)
    if count < 4:
        return rows[None]
    out: NDArray[Scalar] = rows[: count * 2 * STRIP_PX].reshape(count, 2 * STRIP_PX, -1)[
        :, :STRIP_PX
    ]
    return out


def _smooth(grey: NDArray[np.uint8], sigma_px: float) -> Float32Array:
    """Gaussian over the last two axes."""
    spread = (0.0,) * (grey.ndim - 2) + (sigma_px, sigma_px)
    out: Float32Array = ndimage.gaussian_filter(
        grey,
        spread,
        output=np.float32,
        truncate=3.0,
    )
    return out


def pen(pixels: Pixels, mpp: float, limits: GateLimits) -> Verdict:
    """Share under ink."""
    share = float(ink_mask(optical_density(shrunk(pixels, mpp))).mean())
    return Verdict.at_most(share, limits.pen, "ink covers")


def fold(pixels: Pixels, mpp: float, limits: GateLimits) -> Verdict:
    """Share in folds: dense in *both* dyes at once over more than a nucleus.

    Two layers take light twice. Crowded nuclei are dense in haematoxylin alone, thick collagen in
    eosin alone, so the geometric mean of both, against the tile's own median, tells a fold from
    either.
    """
    density = optical_density(shrunk(pixels, mpp))
    smooth = np.asarray(ndimage.gaussian_filter(density, (8 / COARSE_UM, 8 / COARSE_UM, 0)))
    dyes = np.maximum(smooth @ _UNMIX, 0)
    both = np.sqrt(dyes[..., 0] * dyes[..., 1])
    tissue = smooth[..., 1] > 0.1
    usual = float(np.median(both[tissue])) if tissue.any() else 0.0
    folded = both > max(1.65 * usual, 0.45)
    return Verdict.at_most(float(folded.mean()), limits.fold, "folds cover")


def air(pixels: Pixels, mpp: float, limits: GateLimits) -> Verdict:
    """Share that is grey: darker than glass, and of no dye's colour."""
    density = optical_density(shrunk(pixels, mpp))
    smooth = np.asarray(ndimage.gaussian_filter(density, (1, 1, 0)))
    chroma = smooth.max(axis=2) - smooth.min(axis=2)
    grey = (smooth.min(axis=2) > 0.25) & (chroma < 0.25 * smooth.mean(axis=2))
    return Verdict.at_most(float(grey.mean()), limits.air, "grey covers")


def saturation(pixels: Pixels, mpp: float, limits: GateLimits) -> Verdict:
    """Share of pixels that the camera could not tell apart any more."""
    red, green, blue = (pixels[..., channel] for channel in range(3))
    spoilt = (red <= 3) | (green <= 3) | (blue <= 3)
    whole = (red == 255) & (green == 255) & (blue == 255)
    if whole.any():  # glass may be burnt out; tissue may not: single burnt pixels among dyed ones
        spoilt |= whole & ~np.asarray(ndimage.binary_opening(whole, iterations=2))
    return Verdict.at_most(
        float(spoilt.mean()),
        limits.saturation,
        "pixels at the end of the scale:",
    )


WIDEST = {"blur": 0.0}
"""Limits that let everything pass; the others are shares, and 1."""
GATES: Mapping[str, Gate] = {
    "blur": blur,
    "pen": pen,
    "fold": fold,
    "air": air,
    "saturation": saturation,
}


def check_tile(pixels: Pixels, mpp: float, limits: GateLimits) -> dict[str, Verdict]:
    """The verdict on a tile (H, W, 3) uint8 at `mpp` of every gate that is not at its widest
    limit.
    """
    return {
        name: gate(pixels, mpp, limits)
        for name, gate in GATES.items()
        if getattr(limits, name) != WIDEST.get(name, 1.0)
    }


def shrunk(pixels: Pixels, mpp: float) -> Pixels:
    """The tile at about `COARSE_UM` a pixel, by blocks' means; unchanged where it is coarser."""
    block = max(round(COARSE_UM / mpp), 1)
    return np.asarray(Image.fromarray(pixels).reduce(block), dtype=np.uint8)
