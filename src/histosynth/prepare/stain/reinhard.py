"""Stain as means and spreads in CIE Lab (Reinhard et al., "Color transfer between images",
2001).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float32Array
from ...core.errors import StainNotFound
from ...core.tile import Pixels

LEAST_SPREAD = 0.5
"""A channel of Lab that varies less than this is flat: dividing by it blows noise up."""

_TO_XYZ = np.array(
    [[0.412453, 0.35758, 0.180423], [0.212671, 0.71516, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_D65 = np.array([0.95047, 1.0, 1.08883])
STEPS = 1 << 16
"""Of the tables below, for each unit of light: finer than a hundredth of a grey level."""
_levels = np.arange(256) / 255
_light = (np.arange(STEPS * 9 // 8) + 0.5) / STEPS
_LINEAR = np.where(_levels > 0.04045, ((_levels + 0.055) / 1.055) ** 2.4, _levels / 12.92).astype(
    np.float32
)
"""sRGB level to linear light (IEC 61966-2-1)."""
_ROOT = np.where(_light > 0.008856, np.cbrt(_light), 7.787 * _light + 16 / 116).astype(np.float32)
"""Light over white to CIE's root."""
_bent = np.where(
    _light > 0.0031308,
    1.055 * _light ** (1 / 2.4) - 0.055,
    12.92 * _light,
)
_LEVEL = (255 * _bent.clip(0, 1)).astype(np.uint8)
"""Linear light to sRGB level."""
_TO_SCALED = (_TO_XYZ.T / _D65).astype(np.float32)
_FROM_SCALED = np.linalg.inv(_TO_XYZ.T / _D65).astype(np.float32)
_ROOT_TO_LAB = np.array([[0.0, 500, 0], [116, -500, 200], [0, 0, -200]])
_LAB_OFFSET = np.array([-16.0, 0, 0])


@dataclass(frozen=True)
class LabStain:
    """Means and standard deviations of L (0 to 100), a and b."""

    mean: tuple[float, float, float]
    spread: tuple[float, float, float]
    method: str = "reinhard"

    def features(self) -> NDArray[np.float64]:
        """What two stains are compared by, (6,)."""
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
    """Standardise each channel of Lab, then scale and shift it as the target's."""

    def __init__(self, source: LabStain, target: LabStain) -> None:
        gain = np.array(target.spread) / np.array(source.spread)
        self.gain = gain.astype(np.float32)
        self.shift = (np.array(target.mean) - np.array(source.mean) * gain).astype(np.float32)

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 to the same."""
        flat = pixels.reshape(-1, 3)
        out: Pixels = np.empty_like(flat)
        for start in range(0, len(flat), 1 << 14):  # a slice that stays in the processor's cache
            rows = flat[start : start + (1 << 14)]
            out[start : start + (1 << 14)] = _from_root(_to_root(rows) @ self._turn + self._move)
        return out.reshape(pixels.shape)

    @cached_property
    def _turn(self) -> Float32Array:
        """Lab is linear in the roots, so scaling it is one matrix between roots."""
        turn: Float32Array = (_ROOT_TO_LAB * self.gain @ np.linalg.inv(_ROOT_TO_LAB)).astype(
            np.float32
        )
        return turn

    @cached_property
    def _move(self) -> Float32Array:
        offset = _LAB_OFFSET * self.gain + self.shift - _LAB_OFFSET
        move: Float32Array = (offset @ np.linalg.inv(_ROOT_TO_LAB)).astype(np.float32)
        return move


def fit_reinhard(pixels: Pixels, name: str = "the picture") -> LabStain:
    """Means and spreads of all pixels given.

    Raises:
        StainNotFound: a channel is flat.
    """
    lab = to_lab(pixels.reshape(-1, 3)).astype(np.float64)
    mean = lab.mean(axis=0)
    spread = lab.std(axis=0)
    if spread.min() < LEAST_SPREAD:
        flat = "Lab"[int(spread.argmin())]
        reason = f"its {flat} of Lab varies by {spread.min():.2f}, {LEAST_SPREAD} is needed"
        raise StainNotFound(name, reason)
    return LabStain(tuple(mean), tuple(spread))


def to_lab(pixels: Pixels) -> Float32Array:
    """(N, 3) uint8 sRGB to L, a, b under D65 (CIE 1976)."""
    lab: Float32Array = (_to_root(pixels) @ _ROOT_TO_LAB + _LAB_OFFSET).astype(np.float32)
    return lab


def _to_root(pixels: Pixels) -> Float32Array:
    """(N, 3) uint8 to the cube roots that Lab is made of, X, Y and Z over white."""
    scaled = np.take(_LINEAR, pixels) @ _TO_SCALED
    out: Float32Array = np.take(_ROOT, (scaled * np.float32(STEPS)).astype(np.int32), mode="clip")
    return out


def _from_root(root: Float32Array) -> Pixels:
    """The way back, (N, 3) uint8, rounded down."""
    scaled = np.where(
        root > 0.2068966,
        root * root * root,
        (root - np.float32(16 / 116)) / np.float32(7.787),
    )
    linear = scaled @ _FROM_SCALED
    out: Pixels = np.take(_LEVEL, (linear * np.float32(STEPS)).astype(np.int32), mode="clip")
    return out
