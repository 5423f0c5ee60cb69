"""The small histology encoder: a few convolutions at strides 4 to 32, averaged over the picture.

Every layer depends on a neighbourhood only and is normalised pixel by pixel. So a tile's features
are the mean of those of its positions, and none of them depends on how the tile was cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

_CELL_PX = 2
"""Side of the square of pixels that becomes channels first."""


class Stage(nn.Module):
    """One residual block: 3 x 3, then two 1 x 1 with a GELU between (after ConvNeXt, Liu et al.
    2022).

    Its attributes are the names of tensors in weight files.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.look = nn.Conv2d(
            width,
            width,
            3,
            padding=1,
        )
        self.wide = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        channels_last = self.look(x).permute(0, 2, 3, 1)
        normalised = F.layer_norm(channels_last, (self.width,))
        hidden = self.wide(normalised.permute(0, 3, 1, 2))
        change: Tensor = self.narrow(F.gelu(hidden))
        return x + change


class HistoNet(nn.Module):
    """Pictures to maps at four scales.

    Args:
        widths: channels at strides 4, 8, 16, ...
        blocks: residual blocks at each.
    """

    def __init__(
        self,
        widths: Sequence[int] = (48, 96, 192, 256),
        blocks: Sequence[int] = (1, 2, 2, 2),
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stride = 2 * _CELL_PX * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(
            3 * _CELL_PX * _CELL_PX,
            widths[0],
            4,
            stride=2,
            padding=1,
        )
        self.stages = nn.ModuleList()
        for width, count in zip(widths, blocks, strict=True):
            level = [Stage(width) for _ in range(count)]
            self.stages.append(nn.Sequential(*level))
        self.coarser = nn.ModuleList(
            nn.Conv2d(
                fine,
                coarse,
                2,
                stride=2,
            )
            for fine, coarse in itertools.pairwise(widths)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps, finest first.

        Args:
            images: (B, 3, H, W) in [-1, 1], sides multiples of `stride`.

        Returns:
            (B, widths[k], H / (4 * 2^k), W / (4 * 2^k)) for each k.
        """
        x = self.stem(F.pixel_unshuffle(images, _CELL_PX))
        maps = []
        for level, stage in enumerate(self.stages):
            if level:
                x = self.coarser[level - 1](x)
            x = stage(x)
            maps.append(x)
        return maps
