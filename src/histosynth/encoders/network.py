"""The small histology encoder: a few convolutions at strides 4 to 32, averaged over the picture.

Every part looks at a neighbourhood only and is normalised pixel by pixel, so that a tile's features
are the mean of those of its places, and no place's depend on how the tile was cut.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

CELL = 2


class Stage(nn.Module):
    """One residual step: 3 x 3, then two 1 x 1 with a bend between (after ConvNeXt, Liu et al.
    2022).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.wide = nn.Conv2d(width, 2 * width, 1)
        self.narrow = nn.Conv2d(2 * width, width, 1)
        nn.init.zeros_(self.narrow.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        normal = F.layer_norm(self.look(x).permute(0, 2, 3, 1), (self.width,)).permute(
            0,
            3,
            1,
            2,
        )
        out: Tensor = x + self.narrow(F.gelu(self.wide(normal)))
        return out


class HistoNet(nn.Module):
    """Pictures to maps at four scales.

    Args:
        widths: channels at strides 4, 8, 16, ...
        blocks: steps at each.
    """

    def __init__(
        self, widths: Sequence[int] = (48, 96, 192, 256), blocks: Sequence[int] = (1, 2, 2, 2)
    ) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stride = 2 * CELL * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(
            3 * CELL * CELL,
            widths[0],
            4,
            stride=2,
            padding=1,
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(Stage(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )
        self.coarser = nn.ModuleList(
            nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in itertools.pairwise(widths)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps, finest first.

        Args:
            images: (B, 3, H, W) in [-1, 1], sides multiples of `stride`.

        Returns:
            (B, widths[k], H / (4 * 2^k), W / (4 * 2^k)) for each k.
        """
        x = self.stem(F.pixel_unshuffle(images, CELL))
        maps = []
        for level, stage in enumerate(self.stages):
            if level:
                x = self.coarser[level - 1](x)
            x = stage(x)
            maps.append(x)
        return maps
