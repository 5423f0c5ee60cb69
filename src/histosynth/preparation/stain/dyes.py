"""Stain as two dyes in optical density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.arrays import Float64Array
from ...core.errors import StainNotFound
from ...core.tile import Pixels

WHITE = 240.0
"""Grey level taken for clear glass, as in the code of Macenko et al."""
MIN_STAINED_DENSITY = 0.15
"""Pixels with any channel thinner than this are glass."""
MIN_STAINED_SHARE = 0.02
"""With a smaller share of stained pixels the tissue is pale."""
MIN_STAINED_PIXELS = 500
_MIN_ANGLE_DEG = 8.0
"""Haematoxylin and eosin stand 20 to 45 degrees apart; nearer than this it is one dye twice."""
_MIN_REACH = 0.2
"""Weakest dye that is accepted, optical density of its 99th percentile."""
MIN_DYE_COMPONENT = -0.25
"""A direction with a smaller component is no dye: dyes absorb light."""
NEGLIGIBLE_COMPONENT = -0.1
"""Smaller components are set to 0: glass brighter than `WHITE` gives slightly negative ones."""
_CHUNK_PIXELS = 1 << 16
"""So many pixels stay in the processor's cache."""

Dye = tuple[float, float, float]


@dataclass(frozen=True)
class DyeStain:
    """Haematoxylin and eosin of a slide.

    Attributes:
        dyes: two unit vectors (R, G, B) in optical density, haematoxylin first.
        reach: 99th percentile of each dye's amount.
        method: which method found them.
    """

    dyes: tuple[Dye, Dye]
    reach: tuple[float, float]
    method: str = "macenko"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DyeStain:
        """The way back from `as_dict`."""
        first, second = values["dyes"]
        high, low = values["reach"]
        return cls(
            (_as_dye(first), _as_dye(second)),
            (float(high), float(low)),
            str(values["method"]),
        )

    @property
    def angle_deg(self) -> float:
        """Between the dyes."""
        first, second = np.array(self.dyes)
        return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))

    def features(self) -> Float64Array:
        """(8,) values by which two stains are compared."""
        return np.concatenate([np.ravel(self.dyes), np.log(self.reach)])

    def restain(self, target: DyeStain) -> DyeRestain:
        """Gives tissue of this stain the target's dyes and amounts."""
        amounts = np.array(target.reach) / np.array(self.reach)
        unmix = np.linalg.pinv(np.array(self.dyes))  # (3, 2): density to amounts, least squares
        return DyeRestain((unmix * amounts) @ np.array(target.dyes))

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "method": self.method,
            "dyes": [list(dye) for dye in self.dyes],
            "reach": list(self.reach),
        }


class DyeRestain:
    """One 3 x 3 matrix in optical density: unmixing, scaling and mixing at once.

    Args:
        matrix: (3, 3); `density @ matrix` is the new density.
    """

    def __init__(self, matrix: Float64Array) -> None:
        self.matrix = matrix
        levels = _density_of_levels()
        # density is a table of 256 values, so each channel's share of the sum is one too
        self._tables = (levels[:, None, None] * -matrix[None]).astype(np.float32)  # (256, in, out)

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 to the same."""
        flat = pixels.reshape(-1, 3)
        out: Pixels = np.empty_like(flat)
        for start in range(0, len(flat), _CHUNK_PIXELS):
            rows = flat[start : start + _CHUNK_PIXELS]
            total = np.take(self._tables[:, 0], rows[:, 0], axis=0)
            total += np.take(self._tables[:, 1], rows[:, 1], axis=0)
            total += np.take(self._tables[:, 2], rows[:, 2], axis=0)
            np.exp(total, out=total)
            total *= WHITE
            np.minimum(total, 255, out=total)
            out[start : start + _CHUNK_PIXELS] = total
        return out.reshape(pixels.shape)


def stained_density(pixels: Pixels, name: str) -> Float64Array:
    """Optical density (N, 3) of the pixels that are not glass.

    Raises:
        StainNotFound: there are too few.
    """
    density = _density_of(pixels)
    is_stained = (density >= MIN_STAINED_DENSITY).all(axis=1)
    stained = density[is_stained]
    if len(stained) < MIN_STAINED_SHARE * len(density):
        # in pale tissue hardly a pixel absorbs in all three channels; one channel is then enough
        absorbs = (density >= MIN_STAINED_DENSITY).any(axis=1)
        is_not_bright = (density > -MIN_STAINED_DENSITY).all(axis=1)
        stained = density[absorbs & is_not_bright]
    if len(stained) < MIN_STAINED_PIXELS:
        counts = f"{len(stained):,} of {len(density):,} pixels are stained"
        raise StainNotFound(name, f"only {counts}, {MIN_STAINED_PIXELS} are needed")
    return np.asarray(stained)


def stain_of_dyes(
    dyes: Float64Array,
    pixels: Pixels,
    name: str,
    method: str,
) -> DyeStain:
    """A stain from its dyes, with their amounts measured, if they can be dyes.

    Args:
        dyes: (2, 3) directions of any length and sign, haematoxylin first.
        pixels: (..., 3) uint8, in which the amounts are measured.
        name: of the picture, for refusals.
        method: which method found the dyes.

    Raises:
        StainNotFound: they cannot be dyes.
    """
    dyes = _normalised(dyes, name)
    amounts = _density_of(pixels) @ np.linalg.pinv(dyes)
    high, low = np.percentile(amounts, 99, axis=0)
    first, second = dyes
    stain = DyeStain(
        (_as_dye(first), _as_dye(second)),
        (float(high), float(low)),
        method,
    )
    _check_dyes(stain, name)
    return stain


def _normalised(dyes: Float64Array, name: str) -> Float64Array:
    """Dyes (2, 3) as unit vectors that absorb light."""
    signs = np.where(dyes.sum(axis=1, keepdims=True) < 0, -1, 1)
    dyes = dyes * signs
    dyes = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    if not np.isfinite(dyes).all() or (dyes < MIN_DYE_COMPONENT).any():
        shown = "; ".join(" ".join(f"{value:.2f}" for value in dye) for dye in dyes)
        raise StainNotFound(name, f"a dye cannot give light, and these do ({shown})")
    if (dyes < NEGLIGIBLE_COMPONENT).any():
        dyes = np.maximum(dyes, 0)
        dyes = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    return dyes


def _check_dyes(stain: DyeStain, name: str) -> None:
    """Refuse dyes that are one dye twice, or too weak to be measured."""
    if stain.angle_deg < _MIN_ANGLE_DEG:
        angle = f"its dyes are {stain.angle_deg:.1f} degrees apart, {_MIN_ANGLE_DEG:g} are needed"
        raise StainNotFound(name, f"{angle}; it holds one dye, or none")
    weakest = min(stain.reach)
    if weakest < _MIN_REACH:
        haematoxylin, eosin = stain.reach
        dye = "haematoxylin" if haematoxylin < eosin else "eosin"
        reason = f"its {dye} reaches an optical density of {weakest:.2f}, {_MIN_REACH} is needed"
        raise StainNotFound(name, reason)


def _density_of_levels() -> Float64Array:
    """(256,) optical density of each grey level."""
    levels: Float64Array = -np.log((np.arange(256) + 1) / WHITE)
    return levels


def _density_of(pixels: Pixels) -> Float64Array:
    """(N, 3) optical density of (..., 3) uint8."""
    density: Float64Array = np.take(_density_of_levels(), pixels.reshape(-1, 3))
    return density


def _as_dye(values: Any) -> Dye:
    red, green, blue = values
    return float(red), float(green), float(blue)
