"""How much of one picture is contained in another, in any pose, at any place, in any stain.

A part of a tile that was copied correlates with its source however it was rotated, shifted,
restained or compressed; two unrelated tissues do not, whatever their type. So the score is the
largest normalised cross-correlation of a window of the tile with any place of a training tile, over
the eight poses.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from ...core.arrays import Float32Array, Float64Array, FloatArray, IndexArray
from ...core.tile import Pixels
from ...tissue.augment import pose
from ...tissue.density import optical_density
from .align import align, correlation
from .layout import correlation_beyond_layout

FINE_UM = 1.0
"""Sample spacing at which the best places are refined."""
COARSE_UM = 2.0
"""Sample spacing at which all places are searched."""
BROAD_UM = 16.0
"""Density that changes over more than this is stain and light, and is removed."""
WINDOWS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (0.25, 0.25))
"""Corners (x, y) of the windows, fractions of a side; each window is half a side long."""
REFINED_PLACES = 6
"""Places of each tile that are refined."""
CACHED_SPECTRA = 160
"""Spectra of training tiles kept in memory."""
CONTRAST_SAMPLE = 64
"""Training tiles from which the usual contrast is estimated."""
MIN_CONTRAST = 0.25
"""A place with less than this fraction of the usual contrast has nothing to be recognised by."""
NOT_SEARCHED = -1.0
"""Score where no training tile is as large as a window; no correlation found is so low."""
_MARGIN_PX = 3
"""A refined place may be so far from the coarse one, samples of `FINE_UM`."""
_POSES = 8
_Spectrum = NDArray[np.complex64]


@dataclass(frozen=True)
class Match:
    """Where a window of a tile was found.

    Attributes:
        score: normalised correlation, in [-1, 1].
        tile: which training tile.
        pose: how the tile was rotated for it, 0..7 as in `tissue.augment.pose`.
        x, y: corner of the *whole* rotated tile in the training tile, um.
        window: which of `WINDOWS` of the rotated tile.
        aligned: correlation after the place was turned, enlarged and sheared to fit; not below the
            score, but for rounding.
        beyond_layout: correlation, so aligned, of what the places of nuclei do not explain; nan
            where nothing is left.
    """

    score: float
    tile: int
    pose: int
    x: float
    y: float
    window: int
    aligned: float
    beyond_layout: float

    @property
    def likeness(self) -> float:
        """The lower of both aligned correlations: a copy has both."""
        if math.isnan(self.beyond_layout):
            return self.aligned
        return min(self.aligned, self.beyond_layout)


@dataclass(frozen=True, order=True)
class _CoarsePlace:
    """A place found at `COARSE_UM`; ordered by score, then by the rest.

    Attributes:
        score: correlation there.
        tile: which training tile.
        pose: how the tile was rotated.
        window: which of `WINDOWS`.
        y, x: corner of the window in the training tile, coarse samples.
    """

    score: float
    tile: int
    pose: int
    window: int
    y: int
    x: int


@dataclass(frozen=True, eq=False)
class _Window:
    """A square part of a tile: its index in `WINDOWS`, samples minus their mean, and spread."""

    index: int
    centred: Float32Array
    spread: float


def texture(pixels: Pixels, mpp: float) -> Float32Array:
    """(h, w) float32 at 1 um/px: density without what changes slowly.

    Args:
        pixels: (H, W, 3) uint8.
        mpp: its scale, um/px.
    """
    density = optical_density(pixels).mean(axis=2)
    height, width = density.shape
    fine_width = max(round(width * mpp / FINE_UM), 4)
    fine_height = max(round(height * mpp / FINE_UM), 4)
    picture = Image.fromarray(density)
    picture = picture.resize(
        (fine_width, fine_height),
        Image.Resampling.BOX,
    )
    fine = np.asarray(picture, np.float32)
    broad = ndimage.gaussian_filter(
        fine,
        BROAD_UM / FINE_UM,
        mode="reflect",
    )
    out: Float32Array = fine - broad
    return out


def coarse_texture(fine: Float32Array) -> Float32Array:
    """The same at 2 um/px."""
    height = fine.shape[0] // 2
    width = fine.shape[1] // 2
    whole_cells = fine[: 2 * height, : 2 * width]
    cells = whole_cells.reshape(
        height,
        2,
        width,
        2,
    )
    return np.asarray(cells.mean(axis=(1, 3)), np.float32)


class Library:
    """Training tiles, ready to be searched.

    The spectrum of a tile is computed when the tile is first searched; the latest are kept.

    Args:
        textures: (h, w) of each tile, from `texture`, of any sizes; read one at a time.
        side_um: of the tiles that will be searched for, um.
        shape: (height, width) of the largest texture.
    """

    def __init__(
        self,
        textures: Sequence[FloatArray],
        side_um: float,
        shape: tuple[int, int],
    ) -> None:
        self.textures = textures
        half_side = int(side_um / COARSE_UM / 2)
        self.window = max(half_side, 4)
        height = -(-shape[0] // 2)
        width = -(-shape[1] // 2)
        self.shape = (
            fft.next_fast_len(height, real=True),
            fft.next_fast_len(width, real=True),
        )
        self.min_spread = MIN_CONTRAST * self._usual_spread()
        self._kept: dict[int, tuple[_Spectrum, Float32Array]] = {}

    def __len__(self) -> int:
        return len(self.textures)

    def fine(self, row: int) -> Float32Array:
        """One tile's texture at 1 um/px."""
        return np.asarray(self.textures[row], np.float32)

    def _usual_spread(self) -> float:
        count = len(self.textures)
        step = max(count // CONTRAST_SAMPLE, 1)
        spreads = []
        for row in range(0, count, step):
            coarse = coarse_texture(self.fine(row))
            spread = local_spread(coarse, self.window)
            spreads.append(spread.ravel())
        pooled = np.concatenate(spreads) if spreads else np.zeros(0)
        return float(np.median(pooled)) if len(pooled) else 0.0

    def _prepared(self, row: int) -> tuple[_Spectrum, Float32Array]:
        """Spectrum of a tile, and 1 / its spread at each place (0 where it has no contrast)."""
        if row not in self._kept:
            if len(self._kept) >= CACHED_SPECTRA:
                oldest = next(iter(self._kept))
                self._kept.pop(oldest)
            coarse = coarse_texture(self.fine(row))
            spread = local_spread(coarse, self.window)
            inverse = np.zeros(self.shape, np.float32)
            height, width = spread.shape
            inverse[:height, :width] = np.where(
                spread > self.min_spread,
                1 / np.maximum(spread, 1e-6),
                0,
            )
            spectrum = fft.rfft2(coarse, self.shape)
            packed = np.asarray(spectrum, np.complex64)
            self._kept[row] = packed, inverse
        return self._kept[row]

    def find(
        self,
        pattern: Float32Array,
        candidates: Sequence[int] | IndexArray | None = None,
    ) -> Match | None:
        """The place of all training tiles, or of `candidates`, that is most like a tile.

        Args:
            pattern: (h, w) texture of the tile.
            candidates: rows of training tiles; None: all.

        Returns:
            None where the tile or all candidates have no contrast, or there are no candidates; a
            score of -1 where no candidate is as large as a window.
        """
        found = self.find_places(pattern, candidates)
        return max(found, key=lambda match: match.score, default=None)

    def find_places(
        self,
        pattern: Float32Array,
        candidates: Sequence[int] | IndexArray | None = None,
        owners: Sequence[Hashable] | None = None,
    ) -> list[Match]:
        """The places that are most like a tile; the first argument and the second as of `find`.

        Args:
            pattern: (h, w) texture of the tile.
            candidates: rows of training tiles; None: all.
            owners: of the training tiles: places in the tissue of other owners than that of the
                best place are added.

        Returns:
            Empty where `find` gives None.
        """
        if candidates is None:
            candidates = np.arange(len(self))
        rows = np.asarray(candidates, np.intp)
        if not len(rows):
            return []
        coarse = coarse_texture(pattern)
        places = self._coarse_places(coarse, rows)
        places.sort(reverse=True)
        chosen = places[:REFINED_PLACES]
        if owners is not None and chosen:
            first_owner = owners[chosen[0].tile]
            others = [
                place for place in places[REFINED_PLACES:] if owners[place.tile] != first_owner
            ]
            chosen += others[:REFINED_PLACES]
        return [self._refined(pattern, place) for place in chosen]

    def _coarse_places(
        self,
        pattern: Float32Array,
        rows: IndexArray,
    ) -> list[_CoarsePlace]:
        """The best place in each training tile of each window in each pose."""
        prepared = [self._prepared(int(row)) for row in rows]
        spectra = np.stack([spectrum for spectrum, _ in prepared])
        inverse = np.stack([each for _, each in prepared])
        if not inverse.any() and self._hold_windows(rows):
            return []
        places = []
        for pose_index in range(_POSES):
            posed = np.asarray(pose(pattern, pose_index), np.float32)
            for window in _windows(posed, self.window):
                if window.spread <= self.min_spread:
                    continue
                spectrum = np.conj(fft.rfft2(window.centred, self.shape))
                scores = fft.irfft2(spectra * spectrum, self.shape) * inverse
                flat = scores.reshape(len(rows), -1)
                norm = window.spread * window.centred.size
                for row, best in enumerate(flat.argmax(axis=1)):
                    score = float(flat[row, best]) / norm
                    y, x = divmod(int(best), self.shape[1])
                    place = _CoarsePlace(
                        score,
                        int(rows[row]),
                        pose_index,
                        window.index,
                        y,
                        x,
                    )
                    places.append(place)
        return places

    def _hold_windows(self, rows: IndexArray) -> bool:
        """Whether all these tiles are as large as a window."""
        sides = []
        for row in rows:
            fine = self.fine(int(row))
            height, width = fine.shape
            sides += [height // 2, width // 2]
        return bool(min(sides) >= self.window)

    def _refined(
        self,
        pattern: Float32Array,
        place: _CoarsePlace,
    ) -> Match:
        """The same place at 1 um/px, shifted by a few samples."""
        posed = np.asarray(pose(pattern, place.pose), np.float32)
        source = self.fine(place.tile)
        side = 2 * self.window
        part_x, part_y = WINDOWS[place.window]
        height, width = posed.shape
        top = round(part_y * height)
        left = round(part_x * width)
        window = posed[top : top + side, left : left + side]
        source_height, source_width = source.shape
        y = _first_searched(place.y, source_height, side)
        x = _first_searched(place.x, source_width, side)
        reach = side + 2 * _MARGIN_PX
        region = source[y : y + reach, x : x + reach]
        region_height, region_width = region.shape
        window_height, window_width = window.shape
        if region_height < window_height or region_width < window_width:
            return Match(
                NOT_SEARCHED,
                place.tile,
                place.pose,
                0.0,
                0.0,
                place.window,
                math.nan,
                math.nan,
            )
        scores = correlate(region, window)
        best = int(scores.argmax())
        dy, dx = np.unravel_index(best, scores.shape)
        aligned = align(
            window,
            source,
            int(y + dy),
            int(x + dx),
        )
        return Match(
            float(scores.max()),
            place.tile,
            place.pose,
            float(x + dx - left),
            float(y + dy - top),
            place.window,
            correlation(aligned, window),
            correlation_beyond_layout(window, aligned),
        )


def _first_searched(
    coarse: int,
    length: int,
    side: int,
) -> int:
    """First fine sample that is searched along one axis."""
    first = max(2 * coarse - _MARGIN_PX, 0)
    last = max(length - side - 2 * _MARGIN_PX, 0)
    return min(first, last)


def local_spread(picture: Float32Array, side: int) -> Float32Array:
    """(h - side + 1, w - side + 1) standard deviation in the square with its corner at a place."""
    values = picture.astype(np.float64)
    samples = side**2
    mean = _window_sums(values, side) / samples
    mean_of_squares = _window_sums(values**2, side) / samples
    variance = np.maximum(mean_of_squares - mean**2, 0)
    return np.asarray(np.sqrt(variance), np.float32)


def _window_sums(values: Float64Array, side: int) -> Float64Array:
    """Sums over squares of `side`, from a summed-area table."""
    padded = np.pad(values, ((1, 0), (1, 0)))
    total = padded.cumsum(0).cumsum(1)
    upper = total[:-side]
    lower = total[side:]
    right = lower[:, side:] - upper[:, side:]
    sums = right - lower[:, :-side] + upper[:, :-side]
    return np.asarray(sums)


def correlate(region: Float32Array, window: Float32Array) -> Float32Array:
    """Normalised cross-correlation at every place where the square window lies in the region."""
    side = window.shape[0]
    if window.shape[1] != side:
        raise ValueError("windows are square")
    centred = window - window.mean()
    squares = (centred**2).sum()
    norm = float(np.sqrt(squares))
    shape = region.shape
    region_spectrum = fft.rfft2(region, shape)
    window_spectrum = fft.rfft2(centred, shape)
    spectrum = region_spectrum * np.conj(window_spectrum)
    product = fft.irfft2(spectrum, shape)
    height = shape[0] - side + 1
    width = shape[1] - side + 1
    inside = product[:height, :width]
    scale = local_spread(region, side) * side * norm
    scale = np.maximum(scale, 1e-6)
    return np.asarray(inside / scale, np.float32)


def _windows(posed: Float32Array, side: int) -> Iterator[_Window]:
    """The windows of a tile that have the full size."""
    height, width = posed.shape
    for index, (x, y) in enumerate(WINDOWS):
        top = round(y * height)
        left = round(x * width)
        window = posed[top : top + side, left : left + side]
        if window.shape != (side, side):
            continue
        difference = window - window.mean()
        centred = np.asarray(difference, np.float32)
        spread = float(centred.std())
        yield _Window(index, centred, spread)
