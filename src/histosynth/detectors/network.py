"""The centroid network: a small U-Net that says for every 2 x 2 px whether a nucleus stands there.

Every part looks at a neighbourhood only: channels are normalised pixel by pixel, never over the
picture. So what it finds at a place does not depend on how the slide was cut into tiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL_PX = 2
"""Pixels a side of one answer."""


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel (as in ConvNeXt, Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        out: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class Block(nn.Module):
    """Two convolutions beside a straight path."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        out: Tensor = x + self.second(F.gelu(self.first(self.norm(x))))
        return out


class CentroidNet(nn.Module):
    """RGB to heat and classes.

    Args:
        classes: number of nucleus classes.
        widths: channels at strides 2, 4, 8, ...
        blocks: blocks on the way down at each of them; one each on the way up.
    """

    def __init__(
        self,
        classes: int,
        *,
        widths: Sequence[int] = (24, 64, 112, 160),
        blocks: Sequence[int] = (1, 2, 2, 1),
    ) -> None:
        super().__init__()
        self.classes = classes
        self.stride = CELL_PX * 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(3 * CELL_PX * CELL_PX, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(*(Block(width) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )
        steps = list(itertools.pairwise(widths))
        self.coarser = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.finer = nn.ModuleList(nn.Conv2d(fine + coarse, fine, 1) for fine, coarse in steps)
        self.up = nn.ModuleList(Block(fine) for fine, _ in steps)
        last = nn.Conv2d(widths[0], 1 + classes, 1)
        with torch.no_grad():
            last.bias[0] = -2.5  # type: ignore[index]  # most of a picture is no nucleus
        self.head = nn.Sequential(ChannelNorm(widths[0]), last)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of heat and of classes.

        Args:
            images: (B, 3, H, W) in [-1, 1], sides multiples of `stride`.

        Returns:
            (B, 1, H / 2, W / 2) and (B, K, H / 2, W / 2).
        """
        x = self.stem(F.pixel_unshuffle(images, CELL_PX))
        passed = []
        for level, blocks in enumerate(self.down):
            x = blocks(x)
            if level < len(self.coarser):
                passed.append(x)
                x = self.coarser[level](x)
        for level in reversed(range(len(self.up))):
            x = self.up[level](_joined(cast(nn.Conv2d, self.finer[level]), passed.pop(), x))
        out = self.head(x)
        return out[:, :1], out[:, 1:]


def _joined(mix: nn.Conv2d, fine: Tensor, coarse: Tensor) -> Tensor:
    """`mix` of `fine` and the enlarged `coarse` side by side, without ever putting them side by
    side.

    A 1 x 1 convolution of a sum of channels is the sum of two, and the coarse one's can be taken
    before it is enlarged: a quarter of the work, and none of the memory.
    """
    weight = mix.weight
    width = fine.shape[1]
    wide = F.interpolate(
        F.conv2d(coarse, weight[:, width:]),
        scale_factor=2,
        mode="nearest",
    )
    return F.conv2d(fine, weight[:, :width], mix.bias).add_(wide)


def find_peaks(heat: Tensor, classes: Tensor, *, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Nuclei of one picture: where heat is highest among its neighbours.

    Args:
        heat: (h, w) in [0, 1], one value a cell.
        classes: (K, h, w) class logits.
        threshold: least heat of a nucleus.

    Returns:
        (N, 2) x and y in pixels, to a part of a cell (a parabola through the logarithms of the
        neighbours); (N,) the class; (N,) the heat.
    """
    # the slightest blur parts ties of neighbouring cells, and never moves a peak by more than noise
    # does
    smooth = F.avg_pool2d(
        heat[None, None],
        3,
        1,
        1,
        count_include_pad=False,
    )
    level = heat[None, None] + 0.25 * smooth
    top = (F.max_pool2d(level, 5, 1, 2) == level)[0, 0] & (heat >= threshold)
    y, x = torch.nonzero(top, as_tuple=True)
    score = heat[y, x]
    logs = F.pad(level.clamp_min(1e-6).log(), (1, 1, 1, 1), mode="replicate")[0, 0]
    centre = logs[y + 1, x + 1]
    left = logs[y + 1, x]
    right = logs[y + 1, x + 2]
    above = logs[y, x + 1]
    below = logs[y + 2, x + 1]
    dx = _vertex(left, centre, right)
    dy = _vertex(above, centre, below)
    xy = torch.stack([x + dx, y + dy], dim=1) * CELL_PX + (CELL_PX - 1) / 2
    around = F.avg_pool2d(
        classes.softmax(0)[None],
        3,
        1,
        1,
        count_include_pad=False,
    )[0]
    return xy, around[:, y, x].argmax(0), score


def _vertex(before: Tensor, at: Tensor, after: Tensor) -> Tensor:
    bend = before + after - 2 * at
    shift = torch.where(
        bend < -1e-6,
        (before - after) / (2 * bend.clamp_max(-1e-6)),
        torch.zeros_like(at),
    )
    return shift.clamp(-0.5, 0.5)
