"""From a condition to the arrays the networks take: the same code in training and in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..core.nuclei import Nuclei
from ..core.tile import Mask
from .autoencoder import to_signal
from .structure import NUCLEI_CELL, StructureMaps


def make_maps(
    nuclei: Sequence[Nuclei | None],
    known: Sequence[NDArray[Any] | None],
    masks: Sequence[Mask | None],
    *,
    classes: int,
    size: tuple[int, int],
    grid_px: int = NUCLEI_CELL,
) -> StructureMaps:
    """Maps of a batch of conditions of one size.

    Args:
        nuclei: per item, or None where they are not told.
        known: per item, (H, W, 3) in [0, 255] in canonical stain, or None where all is hole.
        masks: per item, (H, W) bool, or None where all is hole.
        classes: number of nucleus classes.
        size: (width, height) in pixels.
        grid_px: the maps' sides are rounded up to a multiple of this; what is added is hole without
            nuclei, to be cut off after painting.
    """
    width, height = size
    right = -width % grid_px
    bottom = -height % grid_px
    blank = np.zeros((classes, -(-height // NUCLEI_CELL), -(-width // NUCLEI_CELL)), np.float32)
    splats = np.stack([blank if one is None else one.rasterize(cell=NUCLEI_CELL) for one in nuclei])
    everything = np.ones((height, width), bool)
    canvas = np.zeros((height, width, 3), np.float32)
    stacked = torch.from_numpy(
        np.stack([everything if mask is None else mask for mask in masks])
    ).float()
    seen = to_signal(torch.from_numpy(np.stack([canvas if one is None else one for one in known])))
    mask = F.pad(stacked[:, None], (0, right, 0, bottom), value=1.0)
    added = (
        (width + right) // NUCLEI_CELL - blank.shape[2],
        (height + bottom) // NUCLEI_CELL - blank.shape[1],
    )
    return StructureMaps(
        nuclei=F.pad(torch.from_numpy(splats), (0, added[0], 0, added[1])),
        told=torch.tensor([0.0 if one is None else 1.0 for one in nuclei]),
        known=F.pad(seen * (1 - stacked[:, None]), (0, right, 0, bottom)),
        mask=mask,
    )


def style_length(styles: int, labels: int) -> int:
    """Length of the vector that `style_vector` makes."""
    return styles + 1 + labels


def style_vector(
    style: Tensor | None,
    label: int | None,
    *,
    mean: Tensor,
    std: Tensor,
    labels: int,
) -> Tensor:
    """What joins the time embedding: standardised style, a "told" flag, the label one-hot, (S + 1 +
    L,).

    Values beyond three standard deviations are cut there: the network has seen nothing farther out.
    """
    out = torch.zeros(style_length(len(mean), labels))
    if style is not None:
        out[: len(mean)] = ((style - mean) / std).clamp(-3, 3)
        out[len(mean)] = 1
    if label is not None:
        out[len(mean) + 1 + label] = 1
    return out
