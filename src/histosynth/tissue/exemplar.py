"""Tissue from around a mask, copied into it patch by patch: the start that completion begins from.

A small diffusion model has learned tissue in general, but not *this* tissue: the direction of its
fibres, its mucin and its grain are next to the mask. Exemplar-based inpainting (Criminisi et al.
2004, IEEE TIP 13) carries them in: of the patches on the edge of what is filled, the most certain
one that a strong line runs into is filled first, with the known patch that fits best. Nuclei take
part in the fit: they are known inside the mask too, so that patches with nuclei are put where
nuclei are requested, and patches without nuclei where none are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from ..core.arrays import Float32Array, IndexArray, Scalar
from ..core.nuclei import Nuclei
from ..core.tile import Mask, Pixels

_CELL_PX = 2
"""Patches are compared on a grid of cells of so many pixels; all of their pixels are copied."""
PATCH_CELLS = 9
"""Side of a patch, cells."""
MAX_SOURCES = 4000
MIN_SOURCES = 200
"""Known patches to choose from: a random part of more, and nothing is copied from fewer."""
NUCLEI_WEIGHT = 0.225
NUCLEI_SIGMA_PX = 5.4
NUCLEI_PEAK = 4.0
"""Weight of nuclei in the fit against colours in [0, 1]; the width of their splats, and how high
these would rise if they were not cut at 1: about 9 px around a centroid count in full."""
_FLAT_PRIORITY = 0.002
"""Priority of an edge that no line runs into."""

BREAK = 0.12
BREAK_CELLS = 1
"""Difference of colours in [0, 1] above which a patch does not continue its neighbour's own tissue;
so many cells around such a break count as broken too."""

_HALF = PATCH_CELLS // 2
_COLOURS = 3
_Window = tuple[slice, slice]
"""Rows and columns of a part of an array."""


@dataclass(frozen=True, eq=False)
class CopiedTissue:
    """A tile with its mask filled by patches of its known tissue.

    Attributes:
        pixels: (H, W, 3) uint8, equal to the tile outside the mask.
        broken: (H, W) bool, near pixels where neighbouring patches do not fit each other.
    """

    pixels: Pixels
    broken: Mask


@dataclass(frozen=True, eq=False)
class _Sources:
    """For each cell (h, w) the row and column of the cell that is copied to it.

    A known cell is its own source.
    """

    rows: IndexArray
    columns: IndexArray


def copy_into(
    pixels: Pixels,
    mask: Mask,
    nuclei: Nuclei | None = None,
    *,
    seed: int = 0,
) -> CopiedTissue | None:
    """Fill the mask of a tile with patches of its known tissue.

    Args:
        pixels: (H, W, 3) uint8 RGB; values inside the mask are not used.
        mask: (H, W) bool.
        nuclei: those of the whole tile, inside the mask too; None: not known.
        seed: chooses the patches to copy from where there are too many.

    Returns:
        The filled tile; None where too little is known to copy from.
    """
    height, width = mask.shape
    spare = ((0, -height % _CELL_PX), (0, -width % _CELL_PX))
    even_pixels = np.pad(pixels, (*spare, (0, 0)), mode="edge")
    even_mask = np.pad(mask, spare, mode="edge")
    values, empty = _to_cells(even_pixels, even_mask)
    if nuclei is not None:
        values = np.concatenate([values, _nuclei_values(nuclei)], axis=2)
    sources = _find_sources(
        values,
        empty,
        np.random.default_rng(seed),
    )
    if sources is None:
        return None
    breaks = _mismatch(values[..., :3], empty, sources) > BREAK
    broken = ndimage.maximum_filter(breaks & empty, 2 * BREAK_CELLS + 1)
    copied = _copy_pixels(even_pixels, sources)
    out = pixels.copy()
    out[mask] = copied[:height, :width][mask]
    return CopiedTissue(out, _enlarge(broken)[:height, :width])


def _to_cells(
    pixels: Pixels,
    mask: Mask,
) -> tuple[Float32Array, Mask]:
    """Mean colours of cells, (h, w, 3) in [0, 1], and the cells that the mask touches, (h, w)."""
    height, width = mask.shape
    grid = (
        height // _CELL_PX,
        _CELL_PX,
        width // _CELL_PX,
        _CELL_PX,
    )
    known = np.where(mask[..., None], 0, pixels).astype(np.float32)
    colours = known.reshape(*grid, 3).mean(axis=(1, 3)) / 255
    empty = mask.reshape(grid).any(axis=(1, 3))
    return colours, np.asarray(empty)


def _nuclei_values(nuclei: Nuclei) -> Float32Array:
    """Discs around centroids on the grid of cells, one channel a class, (h, w, K)."""
    splats = nuclei.rasterize(cell=_CELL_PX, sigma_px=NUCLEI_SIGMA_PX)
    discs = np.minimum(NUCLEI_PEAK * splats.transpose(1, 2, 0), 1)
    weighted: Float32Array = np.float32(NUCLEI_WEIGHT) * discs
    return weighted.astype(np.float32)


def _copy_pixels(
    pixels: Pixels,
    sources: _Sources,
) -> Pixels:
    """Each cell's pixels (H, W, 3) from the cell that is its source."""
    rows = _CELL_PX * _enlarge(sources.rows)
    columns = _CELL_PX * _enlarge(sources.columns)
    height, width = rows.shape
    rows += np.arange(height)[:, None] % _CELL_PX
    columns += np.arange(width) % _CELL_PX
    return pixels[rows, columns]


def _enlarge(cells: NDArray[Scalar]) -> NDArray[Scalar]:
    """Cells (h, w) as pixels (H, W)."""
    tall = np.repeat(cells, _CELL_PX, axis=0)
    return np.repeat(tall, _CELL_PX, axis=1)


def _mismatch(
    colours: Float32Array,
    empty: Mask,
    sources: _Sources,
) -> Float32Array:
    """(h, w) difference of each cell from what its neighbours' own tissue continues with.

    Of each pair of neighbours the better direction counts, of a cell's neighbours the worst.
    """
    worst = np.zeros(empty.shape, np.float32)
    for axis in (0, 1):
        before = _along(axis, slice(None, -1))
        after = _along(axis, slice(1, None))
        forward = _continuation_error(
            colours,
            empty,
            sources,
            before,
            after,
            axis=axis,
            step=1,
        )
        backward = _continuation_error(
            colours,
            empty,
            sources,
            after,
            before,
            axis=axis,
            step=-1,
        )
        least = np.minimum(forward, backward)
        least[~np.isfinite(least)] = 0
        for cells in (before, after):
            worst[cells] = np.maximum(worst[cells], least)
    return worst


def _along(axis: int, part: slice) -> _Window:
    if axis == 0:
        return part, slice(None)
    return slice(None), part


def _continuation_error(
    colours: Float32Array,
    empty: Mask,
    sources: _Sources,
    cells: _Window,
    neighbours: _Window,
    *,
    axis: int,
    step: int,
) -> Float32Array:
    """Difference of `neighbours` from what follows, `step` along `axis`, the sources of `cells`.

    Infinite where what follows is not known.
    """
    following = [sources.rows[cells], sources.columns[cells]]
    last = empty.shape[axis] - 1
    following[axis] = np.clip(following[axis] + step, 0, last)
    rows, columns = following
    filled = colours[sources.rows[neighbours], sources.columns[neighbours]]
    difference = np.abs(colours[rows, columns] - filled).mean(axis=-1)
    return np.where(
        empty[rows, columns],
        np.inf,
        difference,
    )


@dataclass(eq=False)
class _Canvas:
    """What is known so far, with a border of half a patch that is not tissue.

    Attributes:
        values: (h, w, C) float32, colours first, then nuclei.
        left: (h, w) True where nothing is filled in yet.
        trust: (h, w) 1 where tissue is known, less where it was filled in, 0 where it is left.
        priority: (h, w) priority on the edge of what is left, -1 elsewhere.
        rows, columns: (h, w) the source of each cell.
        tissue: (h, w) False on the border.
    """

    values: Float32Array
    left: Mask
    trust: Float32Array
    priority: Float32Array
    rows: IndexArray
    columns: IndexArray
    tissue: Mask

    def update_priority(
        self,
        y: int,
        x: int,
        reach: int,
    ) -> None:
        """Set priorities within `reach` cells of (y, x): trust of the patch times line strength."""
        wide = self._window(y, x, reach + PATCH_CELLS)
        near = self._window(y, x, reach)
        left = self.left[wide]
        edge = left & ~ndimage.binary_erosion(left, border_value=1)
        trust = ndimage.uniform_filter(self.trust[wide], PATCH_CELLS)
        strength = _line_strength(self.values[wide][..., :3], left)
        priority = np.where(
            edge,
            trust * (strength + _FLAT_PRIORITY),
            -1,
        )
        self.priority[near] = priority[_relative(near, wide)]

    def _window(
        self,
        y: int,
        x: int,
        reach: int,
    ) -> _Window:
        height, width = self.left.shape
        rows = slice(max(y - reach, 0), min(y + reach + 1, height))
        columns = slice(max(x - reach, 0), min(x + reach + 1, width))
        return rows, columns


def _relative(inner: _Window, outer: _Window) -> _Window:
    """A window in the frame of another that holds it."""
    rows, columns = inner
    top = outer[0].start
    left = outer[1].start
    return (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )


def _line_strength(
    colours: Float32Array,
    left: Mask,
) -> Float32Array:
    """How strong lines run into what is left (h, w): slope of brightness along the edge."""
    nearest = ndimage.distance_transform_edt(
        left,
        return_distances=False,
        return_indices=True,
    )
    brightness = colours.mean(axis=-1)[tuple(nearest)]
    slope_y = ndimage.gaussian_filter(
        brightness,
        1.0,
        order=(1, 0),
    )
    slope_x = ndimage.gaussian_filter(
        brightness,
        1.0,
        order=(0, 1),
    )
    smooth_left = ndimage.gaussian_filter(left.astype(np.float32), 1.0)
    normal_y, normal_x = np.gradient(smooth_left)
    along_edge = np.abs(slope_y * normal_x - slope_x * normal_y)
    length = np.hypot(normal_y, normal_x) + 1e-6
    return np.asarray(along_edge / length)


def _find_sources(
    values: Float32Array,
    empty: Mask,
    random: Generator,
) -> _Sources | None:
    """Where each cell is copied from; None where too little is known."""
    height, width = empty.shape
    canvas = _new_canvas(values, empty)
    patches = _known_patches(canvas, random)
    if patches is None:
        return None
    canvas.update_priority(
        height // 2,
        width // 2,
        max(height, width),
    )
    while canvas.left.any():
        first = int(canvas.priority.argmax())
        y, x = np.unravel_index(first, canvas.priority.shape)
        _fill(canvas, int(y), int(x), patches)
        canvas.update_priority(
            int(y),
            int(x),
            PATCH_CELLS,
        )
    inside = (slice(_HALF, -_HALF), slice(_HALF, -_HALF))
    return _Sources(canvas.rows[inside], canvas.columns[inside])


def _new_canvas(
    values: Float32Array,
    empty: Mask,
) -> _Canvas:
    height, width = empty.shape
    border = ((_HALF, _HALF), (_HALF, _HALF))
    rows, columns = np.mgrid[:height, :width]
    padded_values = np.pad(values, (*border, (0, 0)), mode="edge")
    known = (~empty).astype(np.float32)
    shape = (height + 2 * _HALF, width + 2 * _HALF)
    return _Canvas(
        values=np.ascontiguousarray(padded_values),
        left=np.pad(empty, border),
        trust=np.pad(known, border),
        priority=np.full(shape, -1, np.float32),
        rows=np.pad(rows, border, mode="edge"),
        columns=np.pad(columns, border, mode="edge"),
        tissue=np.pad(np.ones_like(empty), border),
    )


@dataclass(frozen=True, eq=False)
class _Patches:
    """Known patches.

    Attributes:
        corners: (N, 2) row and column of their first cells.
        colours: (N, PATCH_CELLS * PATCH_CELLS * 3).
        nuclei: (K, N, PATCH_CELLS * PATCH_CELLS), by class.
        colour_squares: (N, PATCH_CELLS * PATCH_CELLS) sum of squares of each cell's colours.
        nuclei_squares: the same of its nuclei.
        nuclei_squares_sum: (N,) of all cells.
    """

    corners: IndexArray
    colours: Float32Array
    nuclei: Float32Array
    colour_squares: Float32Array
    nuclei_squares: Float32Array
    nuclei_squares_sum: Float32Array


def _known_patches(
    canvas: _Canvas,
    random: Generator,
) -> _Patches | None:
    unknown = canvas.left | ~canvas.tissue
    whole = ~ndimage.maximum_filter(unknown, PATCH_CELLS)
    corners = np.argwhere(whole) - _HALF
    count = len(corners)
    if count < MIN_SOURCES:
        return None
    if count > MAX_SOURCES:
        chosen = random.choice(count, MAX_SOURCES, replace=False)
        corners = corners[np.sort(chosen)]
    windows = np.lib.stride_tricks.sliding_window_view(
        canvas.values,
        (PATCH_CELLS, PATCH_CELLS),
        axis=(0, 1),
    )
    patches = windows[corners[:, 0], corners[:, 1]].transpose(
        0,
        2,
        3,
        1,
    )
    values = patches.reshape(len(corners), PATCH_CELLS**2, -1)
    colours = values[..., :_COLOURS].reshape(len(corners), -1)
    nuclei = values[..., _COLOURS:].transpose(2, 0, 1)
    squares = values**2
    nuclei_squares = squares[..., _COLOURS:].sum(axis=2)
    return _Patches(
        corners,
        np.ascontiguousarray(colours),
        np.ascontiguousarray(nuclei),
        colour_squares=squares[..., :_COLOURS].sum(axis=2),
        nuclei_squares=nuclei_squares,
        nuclei_squares_sum=nuclei_squares.sum(axis=1),
    )


def _fill(
    canvas: _Canvas,
    y: int,
    x: int,
    patches: _Patches,
) -> None:
    """Fill what is missing of the patch around (y, x) from the known patch that fits it best."""
    here = _patch_window(y - _HALF, x - _HALF)
    tissue = canvas.tissue[here]
    left = canvas.left[here]
    target = canvas.values[here]
    best = _best_patch(target, tissue, left, patches)
    new = tissue & left
    colours = patches.colours[best].reshape(PATCH_CELLS, PATCH_CELLS, _COLOURS)
    target[new, :_COLOURS] = colours[new]
    top, leftmost = patches.corners[best]
    source = _patch_window(int(top), int(leftmost))
    canvas.rows[here][new] = canvas.rows[source][new]
    canvas.columns[here][new] = canvas.columns[source][new]
    canvas.trust[here][new] = canvas.trust[here].mean()
    canvas.left[here][new] = False


def _best_patch(
    target: Float32Array,
    tissue: Mask,
    left: Mask,
    patches: _Patches,
) -> int:
    """Index of the patch with the least squared difference from what is known of the target."""
    has_colour = (tissue & ~left).astype(np.float32)
    # nuclei are known where tissue is missing, too
    wanted = target[..., :_COLOURS] * has_colour[..., None]
    # squared differences, less the target's own square, which is the same for all patches
    products = patches.colours @ wanted.reshape(-1)
    for number, of_class in enumerate(patches.nuclei):
        discs = np.where(tissue, target[..., _COLOURS + number], np.float32(0))
        if discs.any():
            products += of_class @ discs.reshape(-1)
    distances = patches.colour_squares @ has_colour.reshape(-1)
    if tissue.all():
        distances += patches.nuclei_squares_sum
    else:
        distances += patches.nuclei_squares @ tissue.reshape(-1).astype(np.float32)
    distances -= 2 * products
    return int(distances.argmin())


def _patch_window(top: int, left: int) -> _Window:
    return slice(top, top + PATCH_CELLS), slice(left, left + PATCH_CELLS)
