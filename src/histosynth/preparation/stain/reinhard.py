"""Stain as means and spreads of tissue in CIE Lab.

Reinhard et al., "Color transfer between images", IEEE Computer Graphics and Applications 2001. The
method is of whole pictures; here glass is left out of the statistics, and stays as it is.
Conversions go through tables: sRGB level -> linear light -> root (the f(t) of CIE Lab) and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...core.arrays import Float32Array, Float64Array
from ...core.errors import StainNotFound
from ...core.tile import Pixels
from .stain import StainMethod
from .unlit import lit_pixels

MIN_SPREAD = 0.5
"""A channel of Lab that varies less than this is flat: dividing by it would amplify noise."""
MIN_TISSUE_PIXELS = 500
_GLASS_LEVEL = 235
"""A pixel whose red and green are brighter than this is glass."""
_TISSUE_LEVEL = 206
"""A pixel with less red or green is tissue: optical density 0.15 against clear glass of 240."""
_DARK_LEVEL = 180
"""Darker than this it is tissue even without any colour; paler grey may be uneven glass."""
_NOISE_RANGE = 5
"""Channels of glass differ by this much, from noise and an uneven white balance."""
_COLOURED_RANGE = 15
"""Pale pixels whose channels differ by this much are tissue."""
_CHUNK_PIXELS = 1 << 14
"""So many pixels stay in the processor's cache."""
_TABLE_STEPS = 1 << 16
"""Of the tables below, for each unit of light: finer than a hundredth of a grey level."""

_TO_XYZ = np.array(
    [
        [0.412453, 0.35758, 0.180423],
        [0.212671, 0.71516, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_D65 = np.array([0.95047, 1.0, 1.08883])
_TO_SCALED_XYZ = (_TO_XYZ.T / _D65).astype(np.float32)
"""Linear light to X, Y, Z over white."""
_FROM_SCALED_XYZ = np.linalg.inv(_TO_XYZ.T / _D65).astype(np.float32)
_ROOT_TO_LAB = np.array(
    [
        [0.0, 500, 0],
        [116, -500, 200],
        [0, 0, -200],
    ]
)
_LAB_OFFSET = np.array([-16.0, 0, 0])


def _linear_of_levels() -> Float32Array:
    """(256,) sRGB level to linear light (IEC 61966-2-1)."""
    levels = np.arange(256) / 255
    curved = ((levels + 0.055) / 1.055) ** 2.4
    straight = levels / 12.92
    light = np.where(levels > 0.04045, curved, straight)
    return light.astype(np.float32)


def _root_of_light(light: Float64Array) -> Float32Array:
    """Light over white to its root, the f(t) of CIE Lab."""
    linear_part = 7.787 * light + 16 / 116
    cubic_part = np.cbrt(light)
    root = np.where(light > 0.008856, cubic_part, linear_part)
    return root.astype(np.float32)


def _level_of_light(light: Float64Array) -> Pixels:
    """Linear light to sRGB level, rounded down."""
    encoded = np.where(
        light > 0.0031308,
        1.055 * light ** (1 / 2.4) - 0.055,
        12.92 * light,
    )
    levels = 255 * encoded.clip(0, 1)
    return levels.astype(np.uint8)


_TABLE_LENGTH = _TABLE_STEPS * 9 // 8
_LIGHT = (np.arange(_TABLE_LENGTH) + 0.5) / _TABLE_STEPS
_LINEAR = _linear_of_levels()
_ROOT = _root_of_light(_LIGHT)
_LEVEL = _level_of_light(_LIGHT)

Lab = tuple[float, float, float]


@dataclass(frozen=True)
class LabStain:
    """Means and standard deviations of L (0 to 100), a and b."""

    mean: Lab
    spread: Lab
    method: str = "reinhard"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabStain:
        """The way back from `as_dict`."""
        mean = _as_lab(values["mean"])
        spread = _as_lab(values["spread"])
        return cls(mean, spread)

    def features(self) -> Float64Array:
        """(6,) values by which two stains are compared."""
        return np.array([*self.mean, *self.spread])

    def restain(self, target: LabStain) -> LabRestain:
        """Gives tissue of this stain the target's means and spreads."""
        return LabRestain(self, target)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "method": self.method,
            "mean": list(self.mean),
            "spread": list(self.spread),
        }


class LabRestain:
    """Standardise each channel of Lab, then scale and shift it to the target's; glass stays."""

    def __init__(
        self,
        source: LabStain,
        target: LabStain,
    ) -> None:
        gain = np.array(target.spread) / np.array(source.spread)
        scaled_mean = np.array(source.mean) * gain
        shift = np.array(target.mean) - scaled_mean
        self.gain = gain.astype(np.float32)
        self.shift = shift.astype(np.float32)

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 to the same."""
        flat = pixels.reshape(-1, 3)
        out: Pixels = np.empty_like(flat)
        for start in range(0, len(flat), _CHUNK_PIXELS):
            chunk = slice(start, start + _CHUNK_PIXELS)
            rows = flat[chunk]
            roots = _to_root(rows)
            moved = roots @ self._root_matrix + self._root_offset
            out[chunk] = _blend(rows, _from_root(moved), tissue_weight(rows))
        return out.reshape(pixels.shape)

    @cached_property
    def _root_matrix(self) -> Float32Array:
        """(3, 3) from roots to roots: Lab is linear in them, so its scaling is one matrix."""
        scaled = _ROOT_TO_LAB * self.gain
        matrix = scaled @ np.linalg.inv(_ROOT_TO_LAB)
        as_float32: Float32Array = matrix.astype(np.float32)
        return as_float32

    @cached_property
    def _root_offset(self) -> Float32Array:
        """(3,) added to the roots after `_root_matrix`."""
        offset = _LAB_OFFSET * self.gain + self.shift - _LAB_OFFSET
        offset = offset @ np.linalg.inv(_ROOT_TO_LAB)
        as_float32: Float32Array = offset.astype(np.float32)
        return as_float32


def tissue_weight(pixels: Pixels) -> Float32Array:
    """How much of each pixel is tissue: 0 for glass, 1 for tissue, between them for pale tissue.

    Args:
        pixels: (N, 3) uint8.

    Returns:
        (N,) in [0, 1].
    """
    # both dyes absorb red or green; what absorbs blue alone is warm glass
    darkest = pixels[:, :2].min(axis=1).astype(np.float32)
    chroma = pixels.max(axis=1) - darkest
    coloured = (chroma - _NOISE_RANGE) / (_COLOURED_RANGE - _NOISE_RANGE)
    pale = (_GLASS_LEVEL - darkest) / (_GLASS_LEVEL - _TISSUE_LEVEL)
    dark = (_TISSUE_LEVEL - darkest) / (_TISSUE_LEVEL - _DARK_LEVEL)
    weight: Float32Array = np.maximum(
        pale.clip(0, 1) * coloured.clip(0, 1),
        dark.clip(0, 1),
    )
    return weight


def _blend(
    before: Pixels,
    after: Pixels,
    weight: Float32Array,
) -> Pixels:
    """(N, 3) uint8: `after` where the weight (N,) is 1, `before` where it is 0."""
    change = after.astype(np.float32) - before
    change *= weight[:, None]
    blended = before + change
    return blended.round().astype(np.uint8)


def fit_reinhard(pixels: Pixels, name: str = "the picture") -> LabStain:
    """Means and spreads of the tissue in the pixels given.

    Args:
        pixels: (..., 3) uint8; glass and black ground in it are left out.
        name: of the picture, for refusals.

    Raises:
        StainNotFound: there is too little tissue, or a channel is flat.
    """
    flat = lit_pixels(pixels, name)
    tissue = flat[tissue_weight(flat) >= 1]
    if len(tissue) < MIN_TISSUE_PIXELS:
        counts = f"{len(tissue):,} of {len(flat):,} pixels are tissue"
        raise StainNotFound(name, f"only {counts}, {MIN_TISSUE_PIXELS} are needed")
    lab = to_lab(tissue)
    lab = lab.astype(np.float64)
    mean = lab.mean(axis=0)
    spread = lab.std(axis=0)
    least = spread.min()
    if least < MIN_SPREAD:
        flattest = int(spread.argmin())
        channel = "Lab"[flattest]
        varies = f"its {channel} of Lab varies by {least:.2f}"
        reason = f"{varies}, {MIN_SPREAD} is needed"
        raise StainNotFound(name, reason)
    return LabStain(_as_lab(mean), _as_lab(spread))


def to_lab(pixels: Pixels) -> Float32Array:
    """(N, 3) uint8 sRGB to L, a, b under D65 (CIE 1976)."""
    roots = _to_root(pixels)
    lab = roots @ _ROOT_TO_LAB + _LAB_OFFSET
    as_float32: Float32Array = lab.astype(np.float32)
    return as_float32


def _to_root(pixels: Pixels) -> Float32Array:
    """(N, 3) uint8 to the roots of X, Y and Z over white, in which Lab is linear."""
    linear = np.take(_LINEAR, pixels)
    scaled = linear @ _TO_SCALED_XYZ
    indices = (scaled * np.float32(_TABLE_STEPS)).astype(np.int32)
    roots: Float32Array = np.take(_ROOT, indices, mode="clip")
    return roots


def _from_root(roots: Float32Array) -> Pixels:
    """The way back, (N, 3) uint8, rounded down."""
    linear_part = (roots - np.float32(16 / 116)) / np.float32(7.787)
    scaled = np.where(
        roots > 0.2068966,
        roots * roots * roots,
        linear_part,
    )
    linear = scaled @ _FROM_SCALED_XYZ
    indices = (linear * np.float32(_TABLE_STEPS)).astype(np.int32)
    levels: Pixels = np.take(_LEVEL, indices, mode="clip")
    return levels


def _as_lab(values: Any) -> Lab:
    lightness, green_red, blue_yellow = values
    return float(lightness), float(green_red), float(blue_yellow)


REINHARD = StainMethod(
    "reinhard",
    fit_reinhard,
    LabStain.from_dict,
    revision=2,
)
