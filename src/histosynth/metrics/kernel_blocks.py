"""The cubic kernel of KID on a block of products, and its sums by group."""

from __future__ import annotations

import numpy as np

from ..core.arrays import Float64Array, FloatArray, IndexArray


def cubic_kernel(products: FloatArray, dimensions: int) -> FloatArray:
    """(x.y / D + 1)^3 of products x.y, in place."""
    products /= dimensions
    products += 1
    products *= products * products
    return products


def group_sums(
    block: FloatArray,
    rows: IndexArray,
    columns: IndexArray,
    shape: tuple[int, ...],
) -> Float64Array:
    """(G1, G2) sums of a block; its rows and columns are sorted by group."""
    row_starts = np.flatnonzero(np.diff(rows, prepend=-1))
    column_starts = np.flatnonzero(np.diff(columns, prepend=-1))
    wide = np.add.reduceat(
        block,
        column_starts,
        axis=1,
        dtype=np.float64,
    )
    sums = np.add.reduceat(wide, row_starts, axis=0)
    out = np.zeros(shape)
    out[np.ix_(rows[row_starts], columns[column_starts])] += sums
    return out
