"""Film grain: the finest texture, which an autoencoder loses, drawn anew after decoding.

What a decoder cannot know it answers with a mean, so that its pictures are softer than tissue. As
in video coding (Norkin and Birkbeck 2018), what is lost is described by its statistics and drawn
anew: noise of the same spectrum, as strong as at pixels of the same brightness and slope, and as
strong altogether as the noise of the reference tile says. It is synthetic texture: it shows no
structure.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from ..core.arrays import Float32Array, IndexArray
from .position_noise import noise_at

KERNEL_PX = 7
"""Side of the filters that give noise its spectrum."""
SMOOTH_PX = 1.0
"""Brightness and slope are measured after a Gaussian of so many pixels."""
PATCH_PX = 3.0
"""Sigma of the patches in which grain is stronger or weaker."""
HALO_PX = 13
"""Pixels beyond a window that decide the grain inside."""
_MAX_LEVELS = 64
_MAX_NUMBER = 1e4
Row = tuple[float, ...]
Rows = tuple[Row, ...]
# standard deviation of white noise after a Gaussian of PATCH_PX
_PATCH_STD = 1 / (2 * np.sqrt(np.pi) * PATCH_PX)
_PATCH_SEED = 0x5EED
_TABLED = 512
"""Entries of the tables in which factors are looked up."""
_BRIGHTNESS_STEPS = 2
_SLOPE_STEPS = 8
"""Entries a grey level, and a grey level per px."""


@dataclass(frozen=True)
class GrainTable:
    """What an autoencoder loses of tissue in canonical stain, in about 200 numbers.

    Attributes:
        brightness: (K,) knots in grey levels, rising.
        slope: (J,) knots in grey levels per px, rising.
        by_brightness: (3, K) for each channel, factor of the strength at each brightness.
        kernels: (3, 7, 7) for each channel, the filter of white noise; of unit power.
        mixing: (3, 3) lower triangle that gives channels their correlation.
        patches: standard deviation of the log of the strength from patch to patch.
        strength: (3, J, 3) for each channel and slope, how the standard deviation of what is lost
            of a tile follows from its noise, grey levels: a constant, a gain of the noise of all
            tissue, a gain of that of even tissue.
        noise: (2, 3) noise of typical tissue, all and even, for tiles whose own cannot be measured.

    Raises:
        ValueError: shapes or numbers that no table has.
    """

    brightness: Row
    slope: Row
    by_brightness: Rows
    kernels: tuple[Rows, ...]
    mixing: Rows
    patches: float
    strength: tuple[Rows, ...]
    noise: Rows

    def __post_init__(self) -> None:
        knots = (len(self.brightness), len(self.slope))
        if not all(2 <= count <= _MAX_LEVELS for count in knots):
            raise ValueError(f"a grain table has 2 to {_MAX_LEVELS} knots, not {knots}")
        shapes = {
            "by_brightness": (3, knots[0]),
            "kernels": (3, KERNEL_PX, KERNEL_PX),
            "mixing": (3, 3),
            "strength": (3, knots[1], 3),
            "noise": (2, 3),
        }
        for name, shape in shapes.items():
            if _shape(getattr(self, name)) != shape:
                raise ValueError(f"{name} of a grain table must have shape {shape}")
        if not all(_is_rising(getattr(self, name)) for name in ("brightness", "slope")):
            raise ValueError("knots of a grain table must rise")
        numbers = [np.ravel(getattr(self, name)) for name in (*shapes, "brightness", "slope")]
        values = np.concatenate([*numbers, [self.patches]])
        if not (np.isfinite(values).all() and np.abs(values).max() <= _MAX_NUMBER):
            raise ValueError(f"numbers of a grain table must lie within {_MAX_NUMBER:,.0f}")
        if not 0 <= self.patches <= 1:
            raise ValueError(f"patches of a grain table must lie in 0..1, not {self.patches}")

    def strength_of(self, noise: Float32Array | None) -> Float32Array:
        """Standard deviation of grain at each slope for a tile of this noise, (3, J) grey levels, 0
        at least.

        Args:
            noise: (2, 3) from `measure_noise`; None: that of typical tissue.
        """
        measured = np.asarray(self.noise if noise is None else noise, np.float32)
        constant, gain, gain_of_even = np.moveaxis(np.asarray(self.strength, np.float32), -1, 0)
        of_all, of_even = measured[:, :, None]
        spread: Float32Array = constant + gain * of_all + gain_of_even * of_even
        return spread.clip(min=0)


def _shape(values: Any) -> tuple[int, ...]:
    """Shape of nested tuples; () where rows are of unequal length."""
    try:
        shape: tuple[int, ...] = np.shape(values)
    except ValueError:
        return ()
    return shape


def _is_rising(knots: Row) -> bool:
    return bool((np.diff(knots) > 0).all())


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
    window = _Window(seed, x, y, width, height)
    noise = _coloured_noise(table, window)
    patches = _patches(table, window)
    brightness, slope = brightness_and_slope(canonical)
    rows = _levels(brightness, _BRIGHTNESS_STEPS)
    columns = _levels(slope, _SLOPE_STEPS)
    grained = np.empty_like(canonical)
    for channel in range(3):
        by_brightness = _tabled(table.brightness, table.by_brightness[channel], _BRIGHTNESS_STEPS)
        by_slope = _tabled(table.slope, strength[channel], _SLOPE_STEPS)
        spread = by_brightness[rows]
        spread *= by_slope[columns]
        spread *= patches
        spread *= noise[channel]
        grained[..., channel] = canonical[..., channel] + spread
    return np.clip(grained, 0, 255, out=grained)


def brightness_and_slope(canonical: Float32Array) -> tuple[Float32Array, Float32Array]:
    """Smoothed mean of channels (H, W), and how steep it is, grey levels per px."""
    grey = canonical @ np.full(3, 1 / 3, np.float32)
    brightness = np.asarray(ndimage.gaussian_filter(grey, SMOOTH_PX), dtype=np.float32)
    padded = np.pad(brightness, 1, mode="edge")
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
    return np.minimum(places, _TABLED - 1, out=places)


def _tabled(knots: Row, factors: Row | Float32Array, steps: int) -> Float32Array:
    """Factors between knots, in a table that is faster than to interpolate for each pixel."""
    values = (np.arange(_TABLED) + 0.5) / steps
    return np.interp(values, knots, factors).astype(np.float32)


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


def _taps(kernel: Rows) -> Iterator[tuple[int, int, float]]:
    """Row, column and weight of each number of a filter.

    Shifted pictures are added in this order: the same bits in every window.
    """
    for row, weights in enumerate(kernel):
        for column, weight in enumerate(weights):
            yield row, column, weight


def _patches(table: GrainTable, window: _Window) -> Float32Array:
    """(H, W) factor by which grain is stronger or weaker from patch to patch; mean square 1."""
    if not table.patches:
        return np.ones((window.height, window.width), np.float32)
    reach = int(4 * PATCH_PX + 0.5)
    white = replace(window, seed=window.seed ^ _PATCH_SEED).noise(reach, 1)[0]
    smooth = ndimage.gaussian_filter(white, PATCH_PX)[reach:-reach, reach:-reach]
    log_strength = smooth * np.float32(table.patches / _PATCH_STD)
    factor: Float32Array = np.exp(log_strength - np.float32(table.patches**2))
    return factor
