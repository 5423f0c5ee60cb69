"""Validation sheets of several tasks: rows of pictures of one size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...core.tile import Pixels


def stack_rows(rows: Sequence[Sequence[Pixels]]) -> Pixels:
    """One picture of rows of pictures, all (H, W, 3) uint8 of one size, as many in each row."""
    strips = [np.concatenate(list(row), axis=1) for row in rows]
    sheet: Pixels = np.concatenate(strips)
    return sheet
