"""The surroundings of a hole's edge, whatever its shape: bands on both sides, cut into pieces
along it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...core.arrays import Float64Array
from ...core.tile import Mask, Pixels
from ...tissue.density import optical_density

STEP_PX = 6
STEP_PIECE_PX = 16
FIBRE_GAP_PX = 4
FIBRE_PX = 14
FIBRE_PIECE_PX = 32
GRADIENT_PX = 1.5
PAD_PX = FIBRE_GAP_PX + FIBRE_PX + 7
"""How far around a hole anything is looked at: the farthest band and the reach of gradients
there."""


@dataclass(frozen=True, eq=False)
class Edge:
    """Where pixels lie about a hole's edge.

    Attributes:
        depth: (H, W) px to the nearest pixel of the other side; negative outside the hole. A pixel
            next to the edge is at 1 or -1.
        y: (H, W) row of the hole's rim pixel that it belongs to.
        x: (H, W) column of it.
    """

    depth: Float64Array
    y: NDArray[np.intp]
    x: NDArray[np.intp]

    @classmethod
    def of(cls, mask: Mask) -> Edge | None:
        """Of a hole (H, W); None where there is no edge: no hole, or nothing else."""
        if not mask.any() or mask.all():
            return None
        deep, known = ndimage.distance_transform_edt(mask, return_indices=True)
        away, rim = ndimage.distance_transform_edt(~mask, return_indices=True)
        # a hole's pixel belongs where its nearest known pixel does, so that both sides share their
        # pieces
        y, x = (np.where(mask, axis[known[0], known[1]], axis) for axis in rim)
        return cls(np.where(mask, deep, -away), y, x)

    def pieces(self, band: Mask, size: int) -> tuple[NDArray[np.intp], int]:
        """For each pixel of a band the piece of edge it lies at, and how many there are.

        Pieces are the rim's pixels within squares of `size` px, counted from the rim's corner.
        """
        y = self.y[band]
        x = self.x[band]
        cells = (y - self.y.min()) // size * (1 + self.x.max() // size) + (x - self.x.min()) // size
        names, index = np.unique(cells, return_inverse=True)
        return index.ravel().astype(np.intp), len(names)


def _two_sides(
    edge: Edge,
    band: Mask,
    size: int,
    values: Float64Array,
) -> tuple[Float64Array, Float64Array, NDArray[np.intp]]:
    """Sums of values (H, W, C) inside and outside, (pieces, C), and pixels of both, (2, pieces)."""
    piece, many = edge.pieces(band, size)
    inside = edge.depth[band] > 0
    picked = values[band]
    sums = []
    for side in (inside, ~inside):
        columns = [np.bincount(piece[side], column[side], minlength=many) for column in picked.T]
        sums.append(np.stack(columns, axis=1))
    counts = np.stack([np.bincount(piece[side], minlength=many) for side in (inside, ~inside)])
    return np.asarray(sums[0], np.float64), np.asarray(sums[1], np.float64), counts.astype(np.intp)


def edge_step(pixels: Pixels, edge: Edge) -> float:
    """How much colours change across a hole's edge, grey levels.

    The mean colour of 6 px inside against 6 px outside, in pieces of the edge of about 16 px: mean
        absolute
    difference over pieces and channels, pieces weighed by the pixels of their smaller side.
    """
    band = np.abs(edge.depth) <= STEP_PX
    inside, outside, counts = _two_sides(
        edge,
        band,
        STEP_PIECE_PX,
        pixels.astype(np.float64),
    )
    weight = counts.min(axis=0)
    kept = weight >= STEP_PX  # corners of pieces hold too few to take a mean of
    if not kept.any():
        return np.nan
    means = inside[kept] / counts[0][kept, None] - outside[kept] / counts[1][kept, None]
    return float(np.average(np.abs(means).mean(axis=1), weights=weight[kept]))


def edge_fibres(pixels: Pixels, edge: Edge) -> tuple[float, float]:
    """How far fibres keep their direction over a hole's edge, as a weighed sum and the sum of
    weights.

    Structure tensors of density (Bigun & Granlund 1987; gradients at 1.5 px) from 4 to 18 px on
    both sides, in pieces of the edge of about 32 px. For each piece the cosine of twice the angle
    between them, 1 for the same direction and -1 for a right angle, times how directed the tissue
    is inside, weighed by how directed it is outside and by the pixels of the smaller side. The
    quotient lies in [-1, 1].
    """
    far = np.abs(edge.depth)
    band = (far > FIBRE_GAP_PX) & (far <= FIBRE_GAP_PX + FIBRE_PX)
    grey = optical_density(pixels).mean(axis=2)
    down, across = (
        np.asarray(ndimage.gaussian_filter(grey, GRADIENT_PX, order=order))
        for order in ((1, 0), (0, 1))
    )
    tensor = np.stack([across**2 - down**2, 2 * across * down, across**2 + down**2], axis=2)
    inside, outside, counts = _two_sides(
        edge,
        band,
        FIBRE_PIECE_PX,
        tensor.astype(np.float64),
    )
    weight = counts.min(axis=0)
    kept = (weight >= FIBRE_PX) & (inside[:, 2] > 0) & (outside[:, 2] > 0)
    if not kept.any():
        return np.nan, np.nan
    one, two = (side[kept, :2] / side[kept, 2:] for side in (inside, outside))
    share = weight[kept] / (FIBRE_PX * FIBRE_PIECE_PX)
    return float(share @ (one * two).sum(axis=1)), float(share @ np.linalg.norm(two, axis=1))
