"""Stain as two dyes in optical density, and Macenko's way of finding them.

Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI 2009.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import StainNotFound
from ...core.tile import Pixels

WHITE = 240.0
"""Grey level taken for clear glass, as in the paper's own code."""
LEAST_OD = 0.15
"""Pixels with any channel thinner than this are glass."""
PALE_SHARE = 0.02
"""Fewer such pixels than this, and the tissue is pale."""
LEAST_PIXELS = 500
LEAST_ANGLE_DEG = 8.0
"""Haematoxylin and eosin stand 20 to 45 degrees apart; nearer than this it is one dye twice."""
LEAST_REACH = 0.2
"""Weakest dye believed, optical density of its 99th percentile."""


@dataclass(frozen=True)
class DyeStain:
    """Haematoxylin and eosin of a slide.

    Attributes:
        dyes: two unit vectors (R, G, B) in optical density, haematoxylin first.
        reach: 99th percentile of each dye's amount.
        method: who found them.
    """

    dyes: tuple[tuple[float, float, float], tuple[float, float, float]]
    reach: tuple[float, float]
    method: str = "macenko"

    @property
    def angle_deg(self) -> float:
        """Between the dyes."""
        first, second = np.array(self.dyes)
        return float(np.degrees(np.arccos(np.clip(first @ second, -1, 1))))

    def features(self) -> NDArray[np.float64]:
        """What two stains are compared by, (8,)."""
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

    def __init__(self, matrix: NDArray[np.float64]) -> None:
        self.matrix = matrix
        levels = -np.log((np.arange(256) + 1) / WHITE)
        # density is a table of 256 values, so each channel's share of the sum is one too
        self._tables = (levels[:, None, None] * -matrix[None]).astype(np.float32)  # (256, in, out)

    def __call__(self, pixels: Pixels) -> Pixels:
        """(H, W, 3) uint8 to the same."""
        flat = pixels.reshape(-1, 3)
        out: Pixels = np.empty_like(flat)
        for start in range(0, len(flat), 1 << 16):  # a slice that stays in the processor's cache
            rows = flat[start : start + (1 << 16)]
            total = np.take(self._tables[:, 0], rows[:, 0], axis=0)
            total += np.take(self._tables[:, 1], rows[:, 1], axis=0)
            total += np.take(self._tables[:, 2], rows[:, 2], axis=0)
            np.exp(total, out=total)
            total *= WHITE
            np.minimum(total, 255, out=total)
            out[start : start + (1 << 16)] = total
        return out.reshape(pixels.shape)


def fit_macenko(pixels: Pixels, name: str = "the picture") -> DyeStain:
    """Find the dyes as the extreme directions in the plane of most variance.

    Args:
        pixels: (..., 3) uint8 of tissue; glass in it is left out.
        name: whose they are, for refusals.

    Raises:
        StainNotFound: too little tissue, one dye only, or directions that no dye has.
    """
    density = stained_density(pixels, name)
    _, vectors = np.linalg.eigh(np.cov(density.T))
    plane = vectors[:, 1:]
    angles = np.arctan2(*(density @ plane).T[::-1])
    extremes = [plane @ [np.cos(a), np.sin(a)] for a in np.percentile(angles, [1, 99])]
    first, second = sorted(extremes, key=lambda vector: -vector[0])  # haematoxylin takes more red
    return measured(
        np.array([first, second]),
        density,
        name,
        "macenko",
        every=pixels,
    )


def stained_density(pixels: Pixels, name: str) -> NDArray[np.float64]:
    """Optical density (N, 3) of the pixels that are no glass.

    Raises:
        StainNotFound: there are too few.
    """
    density = np.take(-np.log((np.arange(256) + 1) / WHITE), pixels.reshape(-1, 3))
    stained = density[(density >= LEAST_OD).all(axis=1)]
    if len(stained) < PALE_SHARE * len(density):
        # in pale tissue hardly a pixel takes light from all three channels; one is then enough
        stained = density[(density >= LEAST_OD).any(axis=1) & (density > -LEAST_OD).all(axis=1)]
    if len(stained) < LEAST_PIXELS:
        reason = (
            f"only {len(stained):,} of {len(density):,} pixels are stained, "
            f"{LEAST_PIXELS} are needed"
        )
        raise StainNotFound(name, reason)
    return np.asarray(stained)


def measured(
    dyes: NDArray[np.float64],
    stained: NDArray[np.float64],
    name: str,
    method: str,
    *,
    every: Pixels,
) -> DyeStain:
    """A stain from its dyes (2, 3), with their amounts measured, if they can be dyes.

    Raises:
        StainNotFound: they cannot.
    """
    dyes = dyes * np.where(dyes.sum(axis=1, keepdims=True) < 0, -1, 1)
    dyes = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    if not np.isfinite(dyes).all() or (dyes < -0.25).any():
        shown = "; ".join(" ".join(f"{value:.2f}" for value in dye) for dye in dyes)
        raise StainNotFound(name, f"a dye cannot give light, and these do ({shown})")
    if (dyes < -0.1).any():  # glass brighter than `WHITE` makes a little light of none
        dyes = np.maximum(dyes, 0)
        dyes = dyes / np.linalg.norm(dyes, axis=1, keepdims=True)
    density = np.take(-np.log((np.arange(256) + 1) / WHITE), every.reshape(-1, 3))
    high, low = np.percentile(density @ np.linalg.pinv(dyes), 99, axis=0)
    first, second = (tuple(map(float, dye)) for dye in dyes)
    found = DyeStain((first, second), (float(high), float(low)), method)  # type: ignore[arg-type]
    if found.angle_deg < LEAST_ANGLE_DEG:
        reason = f"its dyes are {found.angle_deg:.1f} degrees apart, {LEAST_ANGLE_DEG:g} are needed"
        raise StainNotFound(name, f"{reason}; it holds one dye, or none")
    if min(found.reach) < LEAST_REACH:
        weak = "haematoxylin" if high < low else "eosin"
        reason = (
            f"its {weak} reaches an optical density of {min(found.reach):.2f}, "
            f"{LEAST_REACH} is needed"
        )
        raise StainNotFound(name, reason)
    return found
