"""The surroundings of a mask's boundary, whatever its shape: bands on both sides, cut into
pieces.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...core.arrays import Float64Array, IndexArray
from ...core.tile import Mask, Pixels
from ...tissue.density import optical_density

STEP_BAND_PX = 6
STEP_PIECE_PX = 16
FIBRE_GAP_PX = 4
FIBRE_BAND_PX = 14
FIBRE_PIECE_PX = 32
GRADIENT_PX = 1.5
MIN_ENERGY = 1e-20
"""Squared gradients below it are rounding: even colour has no direction."""
PAD_PX = FIBRE_GAP_PX + FIBRE_BAND_PX + 7
"""How far around a mask pixels are used: the farthest band and the reach of gradients there."""


@dataclass(frozen=True, eq=False)
class Boundary:
    """Where pixels lie relative to a mask's boundary.

    Attributes:
        depth: (H, W) px to the nearest pixel of the other side; negative outside the mask. A pixel
            next to the boundary is at 1 or -1.
        y: (H, W) row of the mask's rim pixel to which it belongs.
        x: (H, W) column of it.
    """

    depth: Float64Array
    y: IndexArray
    x: IndexArray

    @classmethod
    def of(cls, mask: Mask) -> Boundary | None:
        """Of a mask (H, W); None where there is no boundary: nothing or everything is masked."""
        if not mask.any() or mask.all():
            return None
        inner, known = ndimage.distance_transform_edt(mask, return_indices=True)
        outer, rim = ndimage.distance_transform_edt(~mask, return_indices=True)
        rim_y, rim_x = rim
        # a masked pixel belongs where its nearest known pixel does, so that both sides share pieces
        y = np.where(mask, rim_y[known[0], known[1]], rim_y)
        x = np.where(mask, rim_x[known[0], known[1]], rim_x)
        return cls(np.where(mask, inner, -outer), y, x)

    def pieces(
        self,
        band: Mask,
        size: int,
    ) -> tuple[IndexArray, int]:
        """For each pixel of a band the piece of boundary at which it lies, and how many there are.

        Pieces are the rim's pixels within squares of `size` px, counted from the rim's corner.
        """
        y = self.y[band]
        x = self.x[band]
        columns = 1 + self.x.max() // size
        row = (y - self.y.min()) // size
        column = (x - self.x.min()) // size
        names, index = np.unique(row * columns + column, return_inverse=True)
        return index.ravel().astype(np.intp), len(names)


@dataclass(frozen=True, eq=False)
class _PieceSums:
    """Sums over the pieces of a band.

    Attributes:
        inside: (pieces, C) sums of values inside the mask.
        outside: (pieces, C) sums outside.
        inside_count: (pieces,) pixels.
        outside_count: (pieces,) pixels.
    """

    inside: Float64Array
    outside: Float64Array
    inside_count: IndexArray
    outside_count: IndexArray

    @property
    def smaller_count(self) -> IndexArray:
        """(pieces,) pixels of the side with fewer."""
        return np.minimum(self.inside_count, self.outside_count)


def _sum_pieces(
    boundary: Boundary,
    band: Mask,
    size: int,
    values: Float64Array,
) -> _PieceSums:
    """Sums of values (H, W, C) over the pieces of a band, on both sides."""
    piece, pieces = boundary.pieces(band, size)
    inside = boundary.depth[band] > 0
    outside = ~inside
    picked = values[band]
    return _PieceSums(
        _sums_by_piece(
            piece[inside],
            picked[inside],
            pieces,
        ),
        _sums_by_piece(
            piece[outside],
            picked[outside],
            pieces,
        ),
        np.bincount(piece[inside], minlength=pieces).astype(np.intp),
        np.bincount(piece[outside], minlength=pieces).astype(np.intp),
    )


def _sums_by_piece(
    piece: IndexArray,
    values: Float64Array,
    pieces: int,
) -> Float64Array:
    """(N, C) values => (pieces, C)."""
    columns = [np.bincount(piece, column, minlength=pieces) for column in values.T]
    return np.asarray(np.stack(columns, axis=1), np.float64)


def boundary_step(pixels: Pixels, boundary: Boundary) -> float:
    """How much colours change across a mask's boundary, grey levels.

    The mean colour of 6 px inside against 6 px outside, in pieces of the boundary of about 16 px:
    mean absolute difference over pieces and channels, pieces weighted by the pixels of their
    smaller side.
    """
    band = np.abs(boundary.depth) <= STEP_BAND_PX
    sums = _sum_pieces(
        boundary,
        band,
        STEP_PIECE_PX,
        pixels.astype(np.float64),
    )
    weight = sums.smaller_count
    kept = weight >= STEP_BAND_PX  # pieces at corners have too few pixels for a mean
    if not kept.any():
        return np.nan
    inside = sums.inside[kept] / sums.inside_count[kept, None]
    outside = sums.outside[kept] / sums.outside_count[kept, None]
    steps = np.abs(inside - outside).mean(axis=1)
    return float(np.average(steps, weights=weight[kept]))


def boundary_fibres(pixels: Pixels, boundary: Boundary) -> tuple[float, float]:
    """How far fibres keep their direction across a mask's boundary: a weighted sum and the sum of
    weights.

    Structure tensors of density (Bigun & Granlund 1987; gradients at 1.5 px) from 4 to 18 px on
    both sides, in pieces of the boundary of about 32 px. For each piece the cosine of twice the
    angle between them, 1 for the same direction and -1 for a right angle, times how directed the
    tissue is inside, weighted by how directed it is outside and by the pixels of the smaller side.
    The quotient lies in [-1, 1].
    """
    distance = np.abs(boundary.depth)
    band = (distance > FIBRE_GAP_PX) & (distance <= FIBRE_GAP_PX + FIBRE_BAND_PX)
    sums = _sum_pieces(
        boundary,
        band,
        FIBRE_PIECE_PX,
        _structure_tensor(pixels),
    )
    weight = sums.smaller_count
    energy = (sums.inside[:, 2] > MIN_ENERGY) & (sums.outside[:, 2] > MIN_ENERGY)
    kept = (weight >= FIBRE_BAND_PX) & energy
    if not kept.any():
        return np.nan, np.nan
    inside = sums.inside[kept, :2] / sums.inside[kept, 2:]
    outside = sums.outside[kept, :2] / sums.outside[kept, 2:]
    share = weight[kept] / (FIBRE_BAND_PX * FIBRE_PIECE_PX)
    agreement = share @ (inside * outside).sum(axis=1)
    directedness = share @ np.linalg.norm(outside, axis=1)
    return float(agreement), float(directedness)


def _structure_tensor(pixels: Pixels) -> Float64Array:
    """(H, W, 3): energy along x minus along y, twice their product, and their sum."""
    grey = optical_density(pixels).mean(axis=2)
    down = np.asarray(
        ndimage.gaussian_filter(
            grey,
            GRADIENT_PX,
            order=(1, 0),
        )
    )
    across = np.asarray(
        ndimage.gaussian_filter(
            grey,
            GRADIENT_PX,
            order=(0, 1),
        )
    )
    channels = [across**2 - down**2, 2 * across * down, across**2 + down**2]
    return np.stack(channels, axis=2).astype(np.float64)
