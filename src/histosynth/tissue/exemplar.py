"""Tissue from around a hole, copied into it patch by patch: the ground that completion starts from.

A small diffusion model knows tissue, but not *this* tissue: the direction of its fibres, its mucin,
its grain stand beside the hole. Exemplar-based inpainting (Criminisi et al. 2004, IEEE TIP 13)
carries them in: the most certain patch on the hole's front that a strong line runs into is filled
first, with the known patch that fits best. Here nuclei take part in the fit: they are told inside
the hole too, so that patches with nuclei come to lie where nuclei are asked for, and patches
without where none are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array
from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels

_CELL_PX = 2
"""Patches are compared on a grid of so many pixels; copied are the full pixels."""
PATCH_CELLS = 9
"""Side of a patch, cells."""
MAX_SOURCES = 4000
MIN_SOURCES = 200
"""Known patches to choose from: a random part of more, and nothing is copied from fewer."""
NUCLEI_WEIGHT = 0.225
NUCLEI_SIGMA_PX = 5.4
NUCLEI_PEAK = 4.0
"""How much nuclei count in the fit against colours in [0, 1]; the width of their splats, and how
high these would rise if they were not cut at 1: about 9 px around a centroid count in full."""
_FLAT_PRIORITY = 0.002
"""Priority of a front that no line runs into."""

BREAK = 0.12
BREAK_CELLS = 1
"""Colours of [0, 1] by which a patch may miss what its neighbour's own tissue goes on with; farther
off, it breaks, and so many cells around are said to be broken."""

_HALF = PATCH_CELLS // 2
_Places = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class CopiedTissue:
    """A tile with its hole filled by patches of its known tissue.

    Attributes:
        pixels: (H, W, 3) uint8, equal to the tile outside the hole.
        broken: (H, W) bool, near places where neighbouring patches do not fit each other.
    """

    pixels: Pixels
    broken: Mask


def copy_into(
    pixels: Pixels,
    mask: Mask,
    nuclei: Nuclei | None = None,
    *,
    seed: int = 0,
) -> CopiedTissue | None:
    """Fill the hole of a tile with patches of its known tissue.

    Args:
        pixels: (H, W, 3) uint8 RGB; values inside the hole are not looked at.
        mask: (H, W) bool.
        nuclei: those of the whole tile, inside the hole too; None: not told.
        seed: picks the patches to choose from where there are too many.

    Returns:
        The filled tile; None where too little is known to copy from.
    """
    height, width = mask.shape
    spare = ((0, -height % _CELL_PX), (0, -width % _CELL_PX))
    even = np.pad(pixels, (*spare, (0, 0)), mode="edge")
    missing = np.pad(mask, spare, mode="edge")
    cells = (len(even) // _CELL_PX, _CELL_PX, even.shape[1] // _CELL_PX, _CELL_PX)
    known = np.where(missing[..., None], 0, even).astype(np.float32)
    colours = known.reshape(*cells, 3).mean(axis=(1, 3)) / 255
    empty = np.asarray(missing.reshape(cells).any(axis=(1, 3)))
    if nuclei is not None:
        splats = nuclei.rasterize(cell=_CELL_PX, sigma_px=NUCLEI_SIGMA_PX).transpose(1, 2, 0)
        discs = np.float32(NUCLEI_WEIGHT) * np.minimum(NUCLEI_PEAK * splats, 1)
        colours = np.concatenate([colours, discs.astype(np.float32)], axis=2)
    places = _sources(colours, empty, np.random.default_rng(seed))
    if places is None:
        return None
    gaps = _gaps(colours[..., :3], empty, *places) > BREAK
    broken = ndimage.maximum_filter(gaps & empty, 2 * BREAK_CELLS + 1)
    rows, columns = (
        _CELL_PX * np.repeat(np.repeat(each, _CELL_PX, axis=0), _CELL_PX, axis=1) for each in places
    )
    rows += np.arange(len(rows))[:, None] % _CELL_PX
    columns += np.arange(columns.shape[1]) % _CELL_PX
    out = pixels.copy()
    out[mask] = even[rows, columns][:height, :width][mask]
    return CopiedTissue(
        out, np.repeat(np.repeat(broken, _CELL_PX, axis=0), _CELL_PX, axis=1)[:height, :width]
    )


def _gaps(
    colours: Float32Array,
    empty: Mask,
    rows: _Places,
    columns: _Places,
) -> Float32Array:
    """(h, w) by how much each cell misses what its neighbours' own tissue goes on with, the worst
    of them.
    """
    filled = colours[rows, columns]
    worst = np.zeros(empty.shape, np.float32)
    for axis, side in enumerate(empty.shape):
        first, second = (
            tuple(part if each == axis else slice(None) for each in (0, 1))
            for part in (slice(0, side - 1), slice(1, side))
        )
        missed = []
        for here, beside, step in ((first, second, 1), (second, first, -1)):
            at = [rows[here], columns[here]]
            at[axis] = np.clip(at[axis] + step, 0, side - 1)
            apart = np.abs(colours[tuple(at)] - filled[beside]).mean(axis=-1)
            missed.append(
                np.where(empty[tuple(at)], np.inf, apart)
            )  # what went on there is not known
        least = np.minimum(*missed)
        least[~np.isfinite(least)] = 0
        for cells in (first, second):
            worst[cells] = np.maximum(worst[cells], least)
    return worst


@dataclass(eq=False)
class _Canvas:
    """What is known so far, with a border of half a patch that is not tissue.

    Attributes:
        values: (h, w, C) float32, colours first, then nuclei.
        left: (h, w) True where nothing stands yet.
        trust: (h, w) 1 where tissue is known, less where it was filled in, 0 where nothing stands.
        rank: (h, w) priority of the front, -1 elsewhere.
        rows, columns: (h, w) where each cell's tissue comes from.
        tissue: (h, w) False on the border.
    """

    values: Float32Array
    left: Mask
    trust: Float32Array
    rank: Float32Array
    rows: _Places
    columns: _Places
    tissue: Mask

    def rank_around(
        self,
        y: int,
        x: int,
        reach: int,
    ) -> None:
        """Priorities within `reach` cells of (y, x): trust of the patch, times how strong a line
        runs in.
        """
        height, width = self.left.shape
        wide, near = (
            tuple(
                slice(max(place - far, 0), min(place + far + 1, side))
                for place, side in ((y, height), (x, width))
            )
            for far in (reach + PATCH_CELLS, reach)
        )
        inner = tuple(
            slice(n.start - w.start, n.stop - w.start) for n, w in zip(near, wide, strict=True)
        )
        left = self.left[wide]
        front = left & ~ndimage.binary_erosion(left, border_value=1)
        trust = ndimage.uniform_filter(self.trust[wide], PATCH_CELLS)
        nearest = ndimage.distance_transform_edt(
            left,
            return_distances=False,
            return_indices=True,
        )
        bright = self.values[wide][..., :3].mean(axis=-1)[tuple(nearest)]
        slope_y, slope_x = (
            ndimage.gaussian_filter(bright, 1.0, order=order) for order in ((1, 0), (0, 1))
        )
        normal_y, normal_x = np.gradient(ndimage.gaussian_filter(left.astype(np.float32), 1.0))
        along = np.abs(slope_y * normal_x - slope_x * normal_y) / (
            np.hypot(normal_y, normal_x) + 1e-6
        )
        self.rank[near] = np.where(front, trust * (along + _FLAT_PRIORITY), -1)[inner]


def _sources(
    values: Float32Array, empty: Mask, random: np.random.Generator
) -> tuple[_Places, _Places] | None:
    """For each cell the row and column of the known cell that stands there, itself where it is
    known.
    """
    height, width = empty.shape
    border = ((_HALF, _HALF), (_HALF, _HALF))
    rows, columns = (np.pad(each, border, mode="edge") for each in np.mgrid[:height, :width])
    canvas = _Canvas(
        np.ascontiguousarray(np.pad(values, (*border, (0, 0)), mode="edge")),
        np.pad(empty, border),
        np.pad((~empty).astype(np.float32), border),
        np.full((height + 2 * _HALF, width + 2 * _HALF), -1, np.float32),
        rows,
        columns,
        np.pad(np.ones_like(empty), border),
    )
    patches = _known_patches(canvas, random)
    if patches is None:
        return None
    canvas.rank_around(height // 2, width // 2, max(height, width))
    while canvas.left.any():
        y, x = np.unravel_index(int(canvas.rank.argmax()), canvas.rank.shape)
        _fill(canvas, int(y), int(x), patches)
        canvas.rank_around(int(y), int(x), PATCH_CELLS)
    inside = (slice(_HALF, -_HALF), slice(_HALF, -_HALF))
    return canvas.rows[inside], canvas.columns[inside]


@dataclass(frozen=True, eq=False)
class _Patches:
    """Known patches: first cells (N, 2), values (N, PATCH_CELLS * PATCH_CELLS * C) and their
    squares.
    """

    at: _Places
    values: Float32Array
    squares: Float32Array


def _known_patches(canvas: _Canvas, random: np.random.Generator) -> _Patches | None:
    whole = ~ndimage.maximum_filter(canvas.left | ~canvas.tissue, PATCH_CELLS)
    at = np.argwhere(whole) - _HALF
    if len(at) < MIN_SOURCES:
        return None
    if len(at) > MAX_SOURCES:
        at = at[np.sort(random.choice(len(at), MAX_SOURCES, replace=False))]
    windows = np.lib.stride_tricks.sliding_window_view(
        canvas.values,
        (PATCH_CELLS, PATCH_CELLS),
        axis=(0, 1),
    )
    values = np.ascontiguousarray(
        windows[at[:, 0], at[:, 1]].transpose(0, 2, 3, 1).reshape(len(at), -1)
    )
    return _Patches(at, values, values**2)


def _fill(
    canvas: _Canvas,
    y: int,
    x: int,
    patches: _Patches,
) -> None:
    """Fill what is missing of the patch around (y, x) from the known patch that fits it best."""
    here = (slice(y - _HALF, y + _HALF + 1), slice(x - _HALF, x + _HALF + 1))
    tissue = canvas.tissue[here]
    left = canvas.left[here]
    target = canvas.values[here]
    counts = np.repeat((tissue & ~left)[..., None], target.shape[2], axis=2)
    counts[..., 3:] = tissue[..., None]  # nuclei are told where tissue is missing, too
    weights = counts.reshape(-1).astype(np.float32)
    # squared differences, less the target's own square
    apart = patches.squares @ weights - 2 * (patches.values @ (target.reshape(-1) * weights))
    best = int(apart.argmin())
    new = tissue & left
    target[new, :3] = patches.values[best].reshape(target.shape)[new, :3]
    top, leftmost = (int(place) for place in patches.at[best])
    there = (slice(top, top + PATCH_CELLS), slice(leftmost, leftmost + PATCH_CELLS))
    canvas.rows[here][new] = canvas.rows[there][new]
    canvas.columns[here][new] = canvas.columns[there][new]
    canvas.trust[here][new] = canvas.trust[here].mean()
    canvas.left[here][new] = False
