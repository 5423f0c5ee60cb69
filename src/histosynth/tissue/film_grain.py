"""Film grain: the finest texture, which an autoencoder loses, drawn anew after decoding.

What a decoder cannot know it answers with a mean, so that its pictures are softer than tissue. As
in video coding (Norkin and Birkbeck 2018), what is lost is described by its statistics and drawn
anew: noise of the same spectrum, as strong as at pixels of the same brightness and slope, and as
strong altogether as the noise of the reference tile says, times `DRAWN_SHARE`, which is the
caller's to apply. It is synthetic texture: it shows no structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, IndexArray
from .grain_table import KERNEL_PX, GrainTable, NumberRow, NumberRows
from .position_noise import noise_at

_SMOOTH_PX = 1.0
"""Brightness and slope are measured after a Gaussian of so many pixels."""
_PATCH_PX = 3.0
"""Sigma of the patches in which grain is stronger or weaker."""
DRAWN_SHARE = 0.45
"""Share of what is lost that is drawn. All of it has the noise of tissue, but not its texture: that
is what SqueezeNet sees from a half on (docs/log.md)."""
HALO_PX = 13
"""Pixels beyond a window that decide the grain inside."""
# standard deviation of white noise after a Gaussian of _PATCH_PX
_PATCH_STD = 1 / (2 * np.sqrt(np.pi) * _PATCH_PX)
_PATCH_SEED = 0x5EED
_TABLED = 512
"""Entries of the tables in which factors are looked up."""
_BRIGHTNESS_STEPS = 2
_SLOPE_STEPS = 8
"""Entries a grey level, and a grey level per px."""


def add_grain(
    canonical: Float32Array,
    table: GrainTable,
    strength: Float32Array,
    *,
    seed: int,
    x: int = 0,
    y: int = 0,
) -> Float32Array:
    """A decoded picture with grain.

    Grain depends on the seed, the position and the picture within `HALO_PX`: windows of one picture
    get the same where they overlap by more than that.

    Args:
        canonical: (H, W, 3) float32 in [0, 255], canonical stain.
        table: statistics of what is lost.
        strength: (3, J) from `GrainTable.strength_of`.
        seed: of the noise.
        x: position of the first column on the slide, or in the tile.
        y: of the first row.

    Returns:
        (H, W, 3) float32 in [0, 255].
    """
    height, width = canonical.shape[:2]
    window = _Window(
        seed,
        x,
        y,
        width,
        height,
    )
    noise = _coloured_noise(table, window)
    patches = _patches(table, window)
    brightness, slope = brightness_and_slope(canonical)
    rows = _levels(brightness, _BRIGHTNESS_STEPS)
    columns = _levels(slope, _SLOPE_STEPS)
    grained = np.empty_like(canonical)
    for channel in range(3):
        by_brightness = _tabled(
            table.brightness,
            table.by_brightness[channel],
            _BRIGHTNESS_STEPS,
        )
        by_slope = _tabled(
            table.slope,
            strength[channel],
            _SLOPE_STEPS,
        )
        spread = by_brightness[rows]
        spread *= by_slope[columns]
        spread *= patches
        spread *= noise[channel]
        grained[..., channel] = canonical[..., channel] + spread
    return np.clip(
        grained,
        0,
        255,
        out=grained,
    )


def brightness_and_slope(canonical: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Smoothed mean of channels (H, W), and how steep it is, grey levels per px."""
    grey = canonical @ np.full(
        3,
        1 / 3,
        np.float32,
    )
    brightness = np.asarray(ndimage.gaussian_filter(grey, _SMOOTH_PX), dtype=np.float32)
    padded = np.pad(
        brightness,
        1,
        mode="edge",
    )
    across = padded[1:-1, 2:] - padded[1:-1, :-2]
    down = padded[2:, 1:-1] - padded[:-2, 1:-1]
    slope = np.hypot(across, down).astype(np.float32) / 2
    return brightness, slope


@dataclass(frozen=True)
class _Window:
    """Where a picture lies, and the seed of its noise."""

    seed: int
    x: int
    y: int
    width: int
    height: int

    def noise(self, reach: int, channels: int) -> Float32Array:
        """Noise (channels, H + 2 reach, W + 2 reach) of the window and of pixels around it."""
        return noise_at(
            self.seed,
            self.x - reach,
            self.y - reach,
            width=self.width + 2 * reach,
            height=self.height + 2 * reach,
            channels=channels,
        )


def _levels(values: Float32Array, steps: int) -> IndexArray:
    """Values as places of a table of `steps` entries a unit."""
    places = (values * np.float32(steps)).astype(np.intp)
    return np.minimum(
        places,
        _TABLED - 1,
        out=places,
    )


def _tabled(knots: NumberRow, factors: NumberRow | Float32Array, steps: int) -> Float32Array:
    """Factors between knots, in a table that is faster than to interpolate for each pixel."""
    values = (np.arange(_TABLED) + 0.5) / steps
    return np.interp(
        values,
        knots,
        factors,
    ).astype(np.float32)


def _coloured_noise(table: GrainTable, window: _Window) -> Float32Array:
    """(3, H, W) noise of variance 1 with the table's spectrum and correlation."""
    radius = KERNEL_PX // 2
    white = window.noise(radius, 3)
    size = white.shape[1:]
    mixing = np.asarray(table.mixing, np.float32)
    mixed = (mixing @ white.reshape(3, -1)).reshape(3, *size)
    out = np.zeros((3, window.height, window.width), np.float32)
    for channel in range(3):
        for row, column, weight in _taps(table.kernels[channel]):
            part = mixed[channel, row : row + window.height, column : column + window.width]
            out[channel] += np.float32(weight) * part
    return out


def _taps(kernel: NumberRows) -> Iterator[tuple[int, int, float]]:
    """NumberRow, column and weight of each number of a filter.

    Shifted pictures are added in this order: the same bits in every window.
    """
    for row, weights in enumerate(kernel):
        for column, weight in enumerate(weights):
            yield row, column, weight


def _patches(table: GrainTable, window: _Window) -> Float32Array:
    """(H, W) factor by which grain is stronger or weaker from patch to patch; mean square 1."""
    if not table.patches:
        return np.ones((window.height, window.width), np.float32)
    reach = int(4 * _PATCH_PX + 0.5)
    white = replace(window, seed=window.seed ^ _PATCH_SEED).noise(reach, 1)[0]
    smooth = ndimage.gaussian_filter(white, _PATCH_PX)[reach:-reach, reach:-reach]
    log_strength = smooth * np.float32(table.patches / _PATCH_STD)
    factor: Float32Array = np.exp(log_strength - np.float32(table.patches**2))
    return factor
