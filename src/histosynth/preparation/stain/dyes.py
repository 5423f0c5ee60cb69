"""Stain as two dyes in optical density."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.arrays import Float32Array, Float64Array
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
_Values = Mapping[str, Any]


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
    def from_dict(cls, values: _Values) -> DyeStain:
        """The way back from `as_dict`."""
        first, second = values["dyes"]
        haematoxylin, eosin = values["reach"]
        dyes = (_as_dye(first), _as_dye(second))
        reach = (float(haematoxylin), float(eosin))
        method = str(values["method"])
        return cls(dyes, reach, method)

    @property
    def angle_deg(self) -> float:
        """Between the dyes."""
        first, second = np.array(self.dyes)
        cosine = np.clip(first @ second, -1, 1)
        angle = np.arccos(cosine)
        return float(np.degrees(angle))

    def features(self) -> Float64Array:
        """(8,) values by which two stains are compared."""
        directions = np.ravel(self.dyes)
        amounts = np.log(self.reach)
        return np.concatenate([directions, amounts])

    def restain(self, target: DyeStain) -> DyeRestain:
        """Gives tissue of this stain the target's dyes and amounts."""
        own_reach = np.array(self.reach)
        target_reach = np.array(target.reach)
        amounts = target_reach / own_reach
        # (3, 2): density to amounts, least squares
        own_dyes = np.array(self.dyes)
        unmix = np.linalg.pinv(own_dyes)
        scaled = unmix * amounts
        matrix = scaled @ np.array(target.dyes)
        return DyeRestain(matrix)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        dyes = [list(dye) for dye in self.dyes]
        return {
            "method": self.method,
            "dyes": dyes,
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
        tables = levels[:, None, None] * -matrix[None]
        self._tables = tables.astype(np.float32)  # (256, in, out)

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 to the same."""
        flat = pixels.reshape(-1, 3)
        out: Pixels = np.empty_like(flat)
        for start in range(0, len(flat), _CHUNK_PIXELS):
            chunk = slice(start, start + _CHUNK_PIXELS)
            levels = self._restained_levels(flat[chunk])
            np.minimum(levels, 255, out=levels)
            out[chunk] = levels
        return out.reshape(pixels.shape)

    def _restained_levels(self, rows: Pixels) -> Float32Array:
        """Grey levels (N, 3) after the change of stain; they may exceed 255."""
        red, green, blue = rows.T
        levels: Float32Array = np.take(self._tables[:, 0], red, axis=0)
        levels += np.take(self._tables[:, 1], green, axis=0)
        levels += np.take(self._tables[:, 2], blue, axis=0)
        np.exp(levels, out=levels)
        levels *= WHITE
        return levels


def stained_density(pixels: Pixels, name: str) -> Float64Array:
    """Optical density (N, 3) of the pixels that are not glass.

    Raises:
        StainNotFound: there are too few.
    """
    density = _density_of(pixels)
    absorbs = density >= MIN_STAINED_DENSITY
    stained = density[absorbs.all(axis=1)]
    if len(stained) < MIN_STAINED_SHARE * len(density):
        # in pale tissue hardly a pixel absorbs in all three channels; one channel is then enough
        is_not_bright = density > -MIN_STAINED_DENSITY
        is_stained = absorbs.any(axis=1)
        is_stained &= is_not_bright.all(axis=1)
        stained = density[is_stained]
    if len(stained) < MIN_STAINED_PIXELS:
        counts = f"{len(stained):,} of {len(density):,} pixels are stained"
        reason = f"only {counts}, {MIN_STAINED_PIXELS} are needed"
        raise StainNotFound(name, reason)
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
    unmix = np.linalg.pinv(dyes)
    amounts = _density_of(pixels) @ unmix
    haematoxylin, eosin = np.percentile(amounts, 99, axis=0)
    first, second = dyes
    stain = DyeStain(
        dyes=(_as_dye(first), _as_dye(second)),
        reach=(float(haematoxylin), float(eosin)),
        method=method,
    )
    _check_dyes(stain, name)
    return stain


def _normalised(dyes: Float64Array, name: str) -> Float64Array:
    """Dyes (2, 3) as unit vectors that absorb light."""
    sums = dyes.sum(axis=1, keepdims=True)
    gives_light = sums < 0
    signs = np.where(gives_light, -1, 1)
    dyes = _unit_vectors(dyes * signs)
    are_finite = np.isfinite(dyes).all()
    lowest = dyes.min()
    if not are_finite or lowest < MIN_DYE_COMPONENT:
        shown = "; ".join(_shown_dye(dye) for dye in dyes)
        reason = f"a dye cannot give light, and these do ({shown})"
        raise StainNotFound(name, reason)
    if lowest < NEGLIGIBLE_COMPONENT:
        dyes = np.maximum(dyes, 0)
        dyes = _unit_vectors(dyes)
    return dyes


def _unit_vectors(vectors: Float64Array) -> Float64Array:
    """The rows of (N, 3), each divided by its length."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit_vectors: Float64Array = vectors / lengths
    return unit_vectors


def _shown_dye(dye: Float64Array) -> str:
    components = [f"{value:.2f}" for value in dye]
    return " ".join(components)


def _check_dyes(stain: DyeStain, name: str) -> None:
    """Refuse dyes that are one dye twice, or too weak to be measured."""
    if stain.angle_deg < _MIN_ANGLE_DEG:
        apart = f"its dyes are {stain.angle_deg:.1f} degrees apart"
        reason = f"{apart}, {_MIN_ANGLE_DEG:g} are needed; it holds one dye, or none"
        raise StainNotFound(name, reason)
    weakest = min(stain.reach)
    if weakest < _MIN_REACH:
        haematoxylin, eosin = stain.reach
        dye = "haematoxylin" if haematoxylin < eosin else "eosin"
        reached = f"its {dye} reaches an optical density of {weakest:.2f}"
        reason = f"{reached}, {_MIN_REACH} is needed"
        raise StainNotFound(name, reason)


def _density_of_levels() -> Float64Array:
    """(256,) optical density of each grey level."""
    levels = np.arange(256)
    transmitted = (levels + 1) / WHITE
    density: Float64Array = -np.log(transmitted)
    return density


def _density_of(pixels: Pixels) -> Float64Array:
    """(N, 3) optical density of (..., 3) uint8."""
    levels = pixels.reshape(-1, 3)
    density: Float64Array = np.take(_density_of_levels(), levels)
    return density


def _as_dye(values: Any) -> Dye:
    red, green, blue = values
    return float(red), float(green), float(blue)
