"""A cheaper network of centroids: it starts at 4 px, and normalises nothing.

Most of the time of `CentroidNet` goes into the layers that have one value for every 2 x 2 px. Here
no layer has: the last one gives each cell of 4 x 4 px the answers of its four quarters.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .network import CELL_PX, FIRST_HEAT_BIAS

_STEM_PX = 4
"""Side of the square of pixels that the first layer takes as one."""
_CELLS_IN_STEM = _STEM_PX // CELL_PX
_FIRST_HEAD_SCALE = 0.3
"""Of the last layer's weights before training."""


class PlainBlock(nn.Module):
    """Two convolutions around a skip connection, without normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        hidden = F.relu_(self.first(x))
        change: Tensor = self.second(hidden)
        return change.add_(x)


class FastCentroidNet(nn.Module):
    """RGB to heat and classes, as `CentroidNet`.

    Args:
        classes: number of nucleus classes.
        widths: channels at strides 4, 8, 16, ...
        blocks: blocks on the way down at each of them; one each on the way up.
    """

    halo_px = 64
    """Tissue needed around a position to give the same answer as on the whole slide."""

    def __init__(
        self,
        classes: int,
        *,
        widths: Sequence[int] = (32, 80, 128),
        blocks: Sequence[int] = (1, 2, 1),
    ) -> None:
        super().__init__()
        self.classes = classes
        self.stride = _STEM_PX * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(
            3 * _STEM_PX**2,
            widths[0],
            3,
            padding=1,
        )
        self.down = nn.ModuleList()
        for width, count in zip(widths, blocks, strict=True):
            level = [PlainBlock(width) for _ in range(count)]
            self.down.append(nn.Sequential(*level))
        steps = list(itertools.pairwise(widths))
        self.coarser = nn.ModuleList(
            nn.Conv2d(
                fine,
                coarse,
                2,
                stride=2,
            )
            for fine, coarse in steps
        )
        self.finer = nn.ModuleList(
            nn.Conv2d(
                coarse,
                fine,
                1,
            )
            for fine, coarse in steps
        )
        self.up = nn.ModuleList(PlainBlock(fine) for fine, _ in steps)
        self.head = nn.Conv2d(
            widths[0],
            (1 + classes) * _CELLS_IN_STEM**2,
            3,
            padding=1,
        )
        with torch.no_grad():
            self.head.weight.mul_(_FIRST_HEAD_SCALE)
            self.head.bias[: _CELLS_IN_STEM**2] = FIRST_HEAT_BIAS  # type: ignore[index]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of heat and of classes.

        Args:
            images: (B, 3, H, W) in [-1, 1], sides multiples of `stride`.

        Returns:
            (B, 1, H / 2, W / 2) and (B, K, H / 2, W / 2).
        """
        x = F.relu_(self.stem(_cells_of(images)))
        skips = []
        for level, blocks in enumerate(self.down):
            # a level without blocks gives back what a gradient still needs
            x = F.relu(blocks(x), inplace=not self.training)
            if level < len(self.coarser):
                skips.append(x)
                x = self.coarser[level](x)
        for level in reversed(range(len(self.up))):
            enlarged = F.interpolate(
                self.finer[level](x),
                scale_factor=2,
                mode="nearest",
            )
            mixed = F.relu_(enlarged.add_(skips.pop()))
            x = F.relu_(self.up[level](mixed))
        out = F.pixel_shuffle(self.head(x), _CELLS_IN_STEM)
        return out[:, :1], out[:, 1:]


def _cells_of(images: Tensor) -> Tensor:
    """(B, 3, H, W) as (B, 48, H / 4, W / 4): the pixels of a cell row by row, colours innermost.

    A third of the time of pixel_unshuffle, where images lie in memory as pictures do.
    """
    batch, colours, height, width = images.shape
    pixels = images.permute(0, 2, 3, 1)
    rows = pixels.reshape(
        batch,
        height // _STEM_PX,
        _STEM_PX,
        width // _STEM_PX,
        _STEM_PX * colours,
    )
    cells = rows.permute(0, 1, 3, 2, 4).flatten(3)
    return cells.permute(0, 3, 1, 2)
