"""Stain as means and spreads in CIE Lab (Reinhard et al., "Color transfer between images", 2001)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StainNotFound
from ...core.tile import Pixels

Floats = NDArray[np.float32]
LEAST_SPREAD = 0.5
"""A channel of Lab that varies less than this is flat: dividing by it blows noise up."""

_TO_XYZ = np.array([[0.412453, 0.35758, 0.180423], [0.212671, 0.71516, 0.072169], [0.019334, 0.119193, 0.950227]])  # fmt: skip  # noqa: E501
_D65 = np.array([0.95047, 1.0, 1.08883])
_values = np.arange(256) / 255
_LINEAR = np.where(_values > 0.04045, ((_values + 0.055) / 1.055) ** 2.4, _values / 12.92).astype(np.float32)
"""sRGB level to linear light (IEC 61966-2-1)."""


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
        return {"method": self.method, "mean": list(self.mean), "spread": list(self.spread)}


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
        for start in range(0, len(flat), 1 << 15):
            rows = flat[start : start + (1 << 15)]
            out[start : start + (1 << 15)] = from_lab(to_lab(rows) * self.gain + self.shift) * 255
        return out.reshape(pixels.shape)


def fit_reinhard(pixels: Pixels, name: str = "the picture") -> LabStain:
    """Means and spreads of all pixels given.

    Raises:
        StainNotFound: a channel is flat.
    """
    lab = to_lab(pixels.reshape(-1, 3)).astype(np.float64)
    mean, spread = lab.mean(axis=0), lab.std(axis=0)
    if spread.min() < LEAST_SPREAD:
        flat = "Lab"[int(spread.argmin())]
        reason = f"its {flat} of Lab varies by {spread.min():.2f}, {LEAST_SPREAD} is needed"
        raise StainNotFound(name, reason)
    return LabStain(tuple(mean), tuple(spread))


def to_lab(pixels: Pixels) -> Floats:
    """(N, 3) uint8 sRGB to L, a, b under D65 (CIE 1976)."""
    scaled = np.take(_LINEAR, pixels) @ (_TO_XYZ.T / _D65).astype(np.float32)
    root = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + np.float32(16 / 116))
    x, y, z = root.T
    lab: Floats = np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)
    return lab


def from_lab(lab: Floats) -> Floats:
    """The way back, (N, 3) float32 in [0, 1]."""
    y = (lab[:, 0] + 16) / 116
    root = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=1)
    scaled = np.where(root > 0.2068966, root**3, (root - np.float32(16 / 116)) / np.float32(7.787))
    linear = scaled @ (np.linalg.inv(_TO_XYZ / _D65[:, None]).T).astype(np.float32)
    bent = 1.055 * np.power(np.maximum(linear, 0.0031308), np.float32(1 / 2.4)) - 0.055
    out: Floats = np.clip(np.where(linear > 0.0031308, bent, 12.92 * linear), 0, 1)
    return out
