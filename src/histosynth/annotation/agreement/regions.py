"""How far two annotators agree on regions: cell by cell of a common grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.errors import BadOption
from ...core.estimate import Estimate
from ..regions import Region, region_mask
from .kappa import Counts, bootstrap, estimate_kappa

OUTSIDE = "outside"
BLOCKS = 8
MAX_CELLS = 64_000_000
Grid = NDArray[np.int16]


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
        dice = {name: each.as_dict() for name, each in self.dice.items()}
        parts = {
            "inside": self.inside.as_dict(),
            "whole": self.whole.as_dict(),
            "dice": dice,
        }
        return {
            **asdict(self),
            **parts,
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

    Neighbouring cells are not independent, so the intervals are drawn over 8 x 8 blocks of the
    picture. Regions larger than a block still tie blocks together; the interval is then too narrow.

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
    classes = classes_of(first, second)
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


def classes_of(*annotators: Sequence[Region]) -> tuple[str, ...]:
    """The classes of all, sorted."""
    return tuple(sorted({each.name for regions in annotators for each in regions}))


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
    if not (math.isfinite(cell) and cell > 0):
        raise BadOption("cell", cell, "a number above 0")
    if min(size) < 1:
        raise BadOption("size", size, "at least 1 x 1 px")
    shape = (math.ceil(size[1] / cell), math.ceil(size[0] / cell))
    if shape[0] * shape[1] > MAX_CELLS:
        least = math.sqrt(size[0] * size[1] / MAX_CELLS)
        raise BadOption(
            "cell", cell, f"at least {least:.3g} px for a picture of {size[0]} x {size[1]} px"
        )
    one, two = (class_grid(each, classes, shape, cell, order) for each in (first, second))
    side = len(classes) + 1
    out = []
    for rows in np.array_split(np.arange(shape[0]), BLOCKS):
        for columns in np.array_split(np.arange(shape[1]), BLOCKS):
            if len(rows) and len(columns):
                block = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
                both = one[block].astype(np.int64).ravel() * side + two[block].ravel()
                out.append(
                    np.bincount(both, minlength=side**2).reshape(side, side).astype(np.float64)
                )
    return out


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
    within = [matrix.copy() for matrix in groups]
    for matrix in within:
        matrix[-1, -1] = 0
    pooled = np.sum(groups, axis=0)
    return RegionAgreement(
        tuple(classes),
        tuple(tuple(int(value) for value in row) for row in pooled),
        _kappa(within, unit, of),
        _kappa(groups, unit, of),
        {name: _dice(groups, index, unit, of) for index, name in enumerate(classes)},
    )


def class_grid(
    regions: Sequence[Region],
    classes: Sequence[str],
    shape: tuple[int, int],
    cell: float,
    order: Sequence[str] = (),
) -> Grid:
    """(H, W) place of each cell's class in `classes`; `len(classes)` where no region lies."""
    out = np.full(shape, len(classes), np.int16)
    rank = {name: place for place, name in enumerate(order)}
    for region in sorted(regions, key=lambda each: rank.get(each.name, -1)):
        (top, bottom, left, right), moved = _near(region, shape, cell)
        mask = region_mask([moved], (bottom - top, right - left), (cell, cell))
        out[top:bottom, left:right][mask] = classes.index(region.name)
    return out


def _near(
    region: Region, shape: tuple[int, int], cell: float
) -> tuple[tuple[int, int, int, int], Region]:
    """The window (top, bottom, left, right) of the grid around a region, and the region in its
    frame.
    """
    xy = np.asarray(region.outline)
    low = np.floor(xy.min(axis=0) / cell) - 1
    high = np.ceil(xy.max(axis=0) / cell) + 1
    if (low < 0).any() or high[0] > shape[1] or high[1] > shape[0]:
        return (0, shape[0], 0, shape[1]), region  # across the edge: drawn on the whole grid
    x = float(low[0] * cell)
    y = float(low[1] * cell)
    rings = [tuple((a - x, b - y) for a, b in ring) for ring in (region.outline, *region.holes)]
    return (int(low[1]), int(high[1]), int(low[0]), int(high[0])), Region(
        region.name, rings[0], tuple(rings[1:])
    )


def _kappa(groups: Sequence[Counts], unit: str, of: str) -> Estimate:
    found = estimate_kappa(groups, unit)
    if found.interval.startswith("asymptotic"):
        # the asymptotic error would take cells as independent
        reason = f"only one {unit} holds regions"
        return Estimate(
            found.value,
            math.nan,
            math.nan,
            found.n,
            "none",
            reason,
        )
    return Estimate(
        found.value,
        found.low,
        found.high,
        found.n,
        found.interval + of,
        found.reason,
    )


def _dice(
    groups: Sequence[Counts],
    index: int,
    unit: str,
    of: str,
) -> Estimate:
    counts = [(m[index, index], m[index].sum() + m[:, index].sum()) for m in groups]
    held = np.array([each for each in counts if each[1]], np.float64).reshape(-1, 2)
    if not len(held):
        return Estimate(
            math.nan,
            math.nan,
            math.nan,
            0,
            "none",
            "no cell of it lies in the picture",
        )
    both, either = held.sum(axis=0)
    value = float(2 * both / either)
    cells = int(either - both)
    if value == 1 or len(held) < 2:
        reason = "nothing disagrees" if value == 1 else f"only one {unit} holds it"
        return Estimate(value, math.nan, math.nan, cells, "none", reason)
    low, high, said = bootstrap(held, lambda sums: 2 * sums[:, 0] / sums[:, 1], unit)
    return Estimate(value, low, high, cells, said + of)
