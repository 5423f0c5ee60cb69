"""How far two annotators agree on regions: cell by cell of a common grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import IndexArray
from ...core.errors import BadOption
from ...core.estimate import Estimate, undefined
from ..regions import Region, Ring, region_mask
from .kappa import Counts, bootstrap, estimate_kappa, without_interval

OUTSIDE = "outside"
BLOCKS = 8
MAX_CELLS = 64_000_000
ClassGrid = NDArray[np.int16]


@dataclass(frozen=True)
class RegionAgreement:
    """Two annotators' regions compared. `n` of the estimates counts cells, which are not
    independent.

    Attributes:
        classes: class names, as in `matrix`, whose last row and column stand for "outside".
        matrix: cells, the first's classes down, the second's across.
        inside: kappa over cells that lie in a region of either annotator.
        whole: kappa over the whole picture. It rises with empty glass on which both agree.
        dice: 2 |A and B| / (|A| + |B|) of each class (Dice 1945).
    """

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]
    inside: Estimate
    whole: Estimate
    dice: dict[str, Estimate]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **asdict(self),
            "inside": self.inside.as_dict(),
            "whole": self.whole.as_dict(),
            "dice": {name: estimate.as_dict() for name, estimate in self.dice.items()},
            "classes": [*self.classes, OUTSIDE],
        }


def region_agreement(
    first: Sequence[Region],
    second: Sequence[Region],
    *,
    size: tuple[int, int],
    cell: float,
    order: Sequence[str] = (),
) -> RegionAgreement:
    """Agreement of two annotators on one picture.

    Neighbouring cells are not independent, so the intervals are computed over 8 x 8 blocks of the
    picture. Regions larger than a block make blocks dependent; the interval is then too narrow.

    Args:
        first: of one annotator, px.
        second: of the other, px of the same picture.
        size: (width, height) of the picture, px.
        cell: side of a cell, px; > 0, and the grid holds at most 64 million.
        order: classes from lowest to topmost where regions overlap; those not named lie below them,
            in the order of their file, later over earlier.

    Raises:
        BadOption: a cell that is not positive, or too small for the picture.
    """
    classes = region_classes(first, second)
    blocks = compare_regions(
        first,
        second,
        classes,
        size=size,
        cell=cell,
        order=order,
    )
    return summarise_regions(
        blocks,
        classes,
        unit="block",
        of=" of one picture",
    )


def region_classes(*annotators: Sequence[Region]) -> tuple[str, ...]:
    """The classes of all, sorted."""
    names: set[str] = set()
    for regions in annotators:
        names.update(region.name for region in regions)
    return tuple(sorted(names))


def compare_regions(
    first: Sequence[Region],
    second: Sequence[Region],
    classes: Sequence[str],
    *,
    size: tuple[int, int],
    cell: float,
    order: Sequence[str] = (),
) -> list[Counts]:
    """Confusion matrices (K + 1, K + 1) of each of 8 x 8 blocks of one picture, "outside" last."""
    shape = _grid_shape(size, cell)
    first_grid = class_grid(first, classes, shape, cell, order)
    second_grid = class_grid(second, classes, shape, cell, order)
    matrices = []
    for rows in np.array_split(np.arange(shape[0]), BLOCKS):
        for columns in np.array_split(np.arange(shape[1]), BLOCKS):
            if len(rows) and len(columns):
                block = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
                counts = pair_counts(
                    first_grid[block],
                    second_grid[block],
                    len(classes) + 1,
                )
                matrices.append(counts.astype(np.float64))
    return matrices


def _grid_shape(size: tuple[int, int], cell: float) -> tuple[int, int]:
    """(rows, columns) of the grid over a picture of size (width, height).

    Raises:
        BadOption: a cell that is not positive, or too small for the picture.
    """
    if not (math.isfinite(cell) and cell > 0):
        raise BadOption("cell", cell, "a number above 0")
    if min(size) < 1:
        raise BadOption("size", size, "at least 1 x 1 px")
    width, height = size
    rows = math.ceil(height / cell)
    columns = math.ceil(width / cell)
    if rows * columns > MAX_CELLS:
        min_cell = math.sqrt(width * height / MAX_CELLS)
        raise BadOption(
            "cell",
            cell,
            f"at least {min_cell:.3g} px for a picture of {width} x {height} px",
        )
    return rows, columns


def pair_counts(
    first: ClassGrid,
    second: ClassGrid,
    count: int,
) -> IndexArray:
    """(count, count) how often two grids hold each pair of values, the first's down."""
    pairs = first.astype(np.int64).ravel() * count + second.ravel()
    return np.bincount(pairs, minlength=count**2).reshape(count, count)


def summarise_regions(
    groups: Sequence[Counts],
    classes: Sequence[str],
    *,
    unit: str,
    of: str = "",
) -> RegionAgreement:
    """Agreement over confusion matrices (K + 1, K + 1), one for each group (block, file or
    patient).
    """
    inside = []
    for matrix in groups:
        without_glass = matrix.copy()
        without_glass[-1, -1] = 0
        inside.append(without_glass)
    pooled = np.sum(groups, axis=0)
    dice = {name: _dice(groups, index, unit, of) for index, name in enumerate(classes)}
    return RegionAgreement(
        tuple(classes),
        tuple(tuple(int(value) for value in row) for row in pooled),
        _kappa(inside, unit, of),
        _kappa(groups, unit, of),
        dice,
    )


def class_grid(
    regions: Sequence[Region],
    classes: Sequence[str],
    shape: tuple[int, int],
    cell: float,
    order: Sequence[str] = (),
) -> ClassGrid:
    """(H, W) index of each cell's class in `classes`; `len(classes)` where no region lies."""
    out = np.full(shape, len(classes), np.int16)
    rank = {name: position for position, name in enumerate(order)}
    for region in sorted(regions, key=lambda each: rank.get(each.name, -1)):
        window, moved = _near(region, shape, cell)
        mask = region_mask([moved], window.shape, (cell, cell))
        out[window.slices][mask] = classes.index(region.name)
    return out


@dataclass(frozen=True)
class _Window:
    """A rectangle of the grid, in cells."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def _near(
    region: Region,
    shape: tuple[int, int],
    cell: float,
) -> tuple[_Window, Region]:
    """The window of the grid around a region, and the region in the window's frame."""
    outline = np.asarray(region.outline)
    left, top = np.floor(outline.min(axis=0) / cell) - 1
    right, bottom = np.ceil(outline.max(axis=0) / cell) + 1
    rows, columns = shape
    if min(left, top) < 0 or right > columns or bottom > rows:
        # across the edge: drawn on the whole grid
        return _Window(0, rows, 0, columns), region
    window = _Window(
        int(top),
        int(bottom),
        int(left),
        int(right),
    )
    x = float(left * cell)
    y = float(top * cell)
    moved = [_moved(ring, -x, -y) for ring in region.rings]
    return window, Region(region.name, moved[0], tuple(moved[1:]))


def _moved(
    ring: Ring,
    dx: float,
    dy: float,
) -> Ring:
    return tuple((x + dx, y + dy) for x, y in ring)


def _kappa(
    groups: Sequence[Counts],
    unit: str,
    of: str,
) -> Estimate:
    found = estimate_kappa(groups, unit)
    if found.interval.startswith("asymptotic"):
        # the asymptotic error would take cells as independent
        return without_interval(found.value, found.n, f"only one {unit} holds regions")
    if found.interval == "none":
        return found
    return replace(found, interval=found.interval + of)


def _dice(
    groups: Sequence[Counts],
    index: int,
    unit: str,
    of: str,
) -> Estimate:
    """Dice of one class over all groups."""
    rows = []
    for matrix in groups:
        both = matrix[index, index]
        sum_of_sizes = matrix[index].sum() + matrix[:, index].sum()
        if sum_of_sizes:
            rows.append((both, sum_of_sizes))
    if not rows:
        return undefined("no cell of it lies in the picture")
    sums = np.array(rows, np.float64)
    both, sum_of_sizes = sums.sum(axis=0)
    value = float(2 * both / sum_of_sizes)
    cells = int(sum_of_sizes - both)
    if value == 1:
        return without_interval(value, cells, "nothing disagrees")
    if value == 0:
        return without_interval(value, cells, "nothing agrees")
    if len(rows) < 2:
        return without_interval(value, cells, f"only one {unit} holds it")
    interval = bootstrap(sums, _dice_of_sums, unit)
    return Estimate(
        value,
        interval.low,
        interval.high,
        cells,
        interval.method + of,
    )


def _dice_of_sums(sums: Counts) -> Counts:
    """Dice of each of (R, 2) sums of common cells and of both sides' cells."""
    values: Counts = 2 * sums[:, 0] / sums[:, 1]
    return values
