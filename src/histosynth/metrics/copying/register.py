"""How much of one picture stands in another, in any pose, at any place, in any stain.

A part of a tile that was copied correlates with its source however it was turned, moved, restained
or compressed; two unrelated tissues do not, whatever their kind. So the score is the largest
normalised cross-correlation of a window of the tile with any place of a training tile, over the
eight poses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from ...core.arrays import Float32Array
from ...core.tile import Pixels
from ...tissue.augment import pose
from ...tissue.density import optical_density

FINE_UM = 1.0
COARSE_UM = 2.0
"""Scales at which places are searched: first all of them coarsely, then about the best ones
finely."""
BROAD_UM = 16.0
"""What changes over more than this is stain and light, and is taken out."""
WINDOWS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.25, 0.25))
"""Corners of the windows, parts of a side; each window is half a side long."""
REFINED = 6
"""Places of each tile that are looked at finely."""
KEPT = 160
"""Spectra of training tiles kept in memory."""
SAMPLED = 64
"""Training tiles that say what contrast is usual."""
FLAT = 0.25
"""A place of less contrast than this part of the usual has nothing to be recognised by."""


@dataclass(frozen=True)
class Match:
    """Where a tile's most alike window was found.

    Attributes:
        score: normalised correlation, in [-1, 1].
        tile: which training tile.
        pose: how the tile was turned for it, 0..7 as in `prepare.augment.pose`.
        x, y: corner of the *whole* turned tile in the training tile, um.
        window: which of `WINDOWS` of the turned tile.
    """

    score: float
    tile: int
    pose: int
    x: float
    y: float
    window: int


def texture(pixels: Pixels, mpp: float) -> Float32Array:
    """(h, w) float32 at 1 um/px: density without what changes slowly.

    Args:
        pixels: (H, W, 3) uint8.
        mpp: its scale, um/px.
    """
    density = optical_density(pixels).mean(axis=2)
    size = tuple(max(round(side * mpp / FINE_UM), 4) for side in density.shape[::-1])
    small = np.asarray(Image.fromarray(density).resize(size, Image.Resampling.BOX), np.float32)
    out: Float32Array = small - ndimage.gaussian_filter(small, BROAD_UM / FINE_UM, mode="reflect")
    return out


def coarser(fine: Float32Array) -> Float32Array:
    """The same at 2 um/px."""
    tall, wide = (side // 2 * 2 for side in fine.shape)
    cells = fine[:tall, :wide].reshape(tall // 2, 2, wide // 2, 2)
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


class Library:
    """Training tiles, ready to be searched. Spectra are made when a tile is first searched; a few
    are kept.

    Args:
        textures: (h, w) of each tile, from `texture`, of any sizes; read one at a time.
        side_um: of the tiles that will be looked for, um.
        shape: (height, width) of the largest texture.
    """

    def __init__(
        self,
        textures: Sequence[NDArray[np.floating]],
        side_um: float,
        shape: tuple[int, int],
    ) -> None:
        self.textures = textures
        self.window = max(int(side_um / COARSE_UM / 2), 4)
        tall, wide = (-(-side // 2) for side in shape)
        self.shape = fft.next_fast_len(tall, real=True), fft.next_fast_len(wide, real=True)
        some = range(0, len(textures), max(len(textures) // SAMPLED, 1))
        spreads = [local_spread(coarser(self.fine(row)), self.window).ravel() for row in some]
        self.least = FLAT * (float(np.median(np.concatenate(spreads))) if spreads else 0.0)
        self._kept: dict[int, tuple[NDArray[np.complex64], Float32Array]] = {}

    def __len__(self) -> int:
        return len(self.textures)

    def fine(self, row: int) -> Float32Array:
        """One tile's texture at 1 um/px."""
        return np.asarray(self.textures[row], np.float32)

    def _ready(self, row: int) -> tuple[NDArray[np.complex64], Float32Array]:
        """Spectrum of a tile, and 1 / its spread at each place (0 where it has no contrast)."""
        if row not in self._kept:
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            small = coarser(self.fine(row))
            spread = local_spread(small, self.window)
            inverse = np.zeros(self.shape, np.float32)
            tall, wide = spread.shape
            inverse[:tall, :wide] = np.where(spread > self.least, 1 / np.maximum(spread, 1e-6), 0)
            self._kept[row] = np.asarray(fft.rfft2(small, self.shape), np.complex64), inverse
        return self._kept[row]

    def find(
        self, pattern: Float32Array, among: Sequence[int] | NDArray[np.intp] | None = None
    ) -> Match | None:
        """The most alike place of all training tiles, or of those in `among`.

        Returns:
            None where the tile has no contrast, or no training tile is as large as a window.
        """
        rows = np.arange(len(self)) if among is None else np.asarray(among, np.intp)
        if not len(rows):
            return None
        small = coarser(pattern)
        ready = [self._ready(int(row)) for row in rows]
        spectra, inverse = (np.stack(each) for each in zip(*ready, strict=True))
        found: list[tuple[float, int, int, int, int, int]] = []
        for turn in range(8):
            turned = np.asarray(pose(small, turn), np.float32)
            for number, window, spread in _windows(turned, self.window):
                if spread <= self.least:
                    continue
                spectrum = np.conj(fft.rfft2(window, self.shape))
                scores = fft.irfft2(spectra * spectrum, self.shape) * inverse
                flat = scores.reshape(len(rows), -1)
                best = flat.argmax(axis=1)
                for row, place in enumerate(best):
                    y, x = divmod(int(place), self.shape[1])
                    score = float(flat[row, place]) / (spread * window.size)
                    found.append((score, int(rows[row]), turn, number, y, x))
        if not found:
            return None
        found.sort(reverse=True)
        best_ones = [self._refined(pattern, each) for each in found[:REFINED]]
        return max(best_ones, key=lambda match: match.score)

    def _refined(self, pattern: Float32Array, at: tuple[float, int, int, int, int, int]) -> Match:
        """The same place at 1 um/px, moved by a few px."""
        _, tile, turn, number, y, x = at
        turned = np.asarray(pose(pattern, turn), np.float32)
        source = self.fine(tile)
        side = 2 * self.window
        top, left = (
            round(part * length)
            for part, length in zip(WINDOWS[number][::-1], turned.shape, strict=True)
        )
        window = turned[top : top + side, left : left + side]
        y, x = (
            min(max(2 * at_coarse - 3, 0), max(length - side - 6, 0))
            for at_coarse, length in zip((y, x), source.shape, strict=True)
        )
        region = source[y : y + side + 6, x : x + side + 6]
        if region.shape[0] < window.shape[0] or region.shape[1] < window.shape[1]:
            return Match(-1.0, tile, turn, 0.0, 0.0, number)
        scores = correlate(region, window)
        dy, dx = np.unravel_index(int(scores.argmax()), scores.shape)
        return Match(
            float(scores.max()),
            tile,
            turn,
            float(x + dx - left),
            float(y + dy - top),
            number,
        )


def local_spread(picture: Float32Array, side: int) -> Float32Array:
    """(h - side + 1, w - side + 1) standard deviation within a square whose corner stands there."""
    sums = []
    for values in (picture.astype(np.float64), picture.astype(np.float64) ** 2):
        total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        sums.append(
            total[side:, side:]
            - total[:-side, side:]
            - total[side:, :-side]
            + total[:-side, :-side]
        )
    mean = sums[0] / side**2
    return np.asarray(np.sqrt(np.maximum(sums[1] / side**2 - mean**2, 0)), np.float32)


def correlate(region: Float32Array, window: Float32Array) -> Float32Array:
    """Normalised cross-correlation at every place where the window lies within the region."""
    shape = region.shape
    centred = window - window.mean()
    norm = float(np.sqrt((centred**2).sum()))
    product = fft.irfft2(fft.rfft2(region, shape) * np.conj(fft.rfft2(centred, shape)), shape)
    tall, wide = (shape[axis] - window.shape[axis] + 1 for axis in (0, 1))
    spread = local_spread(region, window.shape[0]) if window.shape[0] == window.shape[1] else None
    if spread is None:
        raise ValueError("windows are square")
    below = np.maximum(spread * window.shape[0] * norm, 1e-6)
    return np.asarray(product[:tall, :wide] / below, np.float32)


def _windows(turned: Float32Array, side: int) -> list[tuple[int, Float32Array, float]]:
    """(number, window less its mean, its spread) of each window of a tile."""
    out = []
    for number, (x, y) in enumerate(WINDOWS):
        top = round(y * turned.shape[0])
        left = round(x * turned.shape[1])
        window = turned[top : top + side, left : left + side]
        if window.shape == (side, side):
            centred = np.asarray(window - window.mean(), np.float32)
            out.append((number, centred, float(centred.std())))
    return out
