"""The centroid network: a small U-Net with one answer for every 2 x 2 px: is a nucleus there?

Every layer depends on a neighbourhood only: channels are normalised pixel by pixel, never over the
picture. So the result at a position does not depend on how the slide was cut into tiles.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL_PX = 2
"""Side of the square of pixels that one output value is for."""
FIRST_HEAT_BIAS = -2.5
"""Logit that an untrained network starts from: most of a picture is no nucleus."""
_PEAK_REACH = 2
"""Cells on each side among which a peak is the highest."""
_MIN_HEAT = 1e-6
"""Heat below which its logarithm is not taken."""
_FLATTEST_PEAK = -1e-6
"""Second difference of logarithms above which the position inside a cell is not refined."""


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each pixel (as in ConvNeXt, Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        channels_last = x.permute(0, 2, 3, 1)
        normalised: Tensor = self.norm(channels_last)
        return normalised.permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """Two convolutions around a skip connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same."""
        hidden = self.first(self.norm(x))
        change: Tensor = self.second(F.gelu(hidden))
        return change.add_(x)


class CentroidNet(nn.Module):
    """RGB to heat and classes.

    Args:
        classes: number of nucleus classes.
        widths: channels at strides 2, 4, 8, ...
        blocks: blocks on the way down at each of them; one each on the way up.
    """

    halo_px = 64
    """Tissue needed around a position to give the same answer as on the whole slide."""

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
        self.stem = nn.Conv2d(
            3 * CELL_PX * CELL_PX,
            widths[0],
            3,
            padding=1,
        )
        self.down = nn.ModuleList()
        for width, count in zip(widths, blocks, strict=True):
            level = [ResidualBlock(width) for _ in range(count)]
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
                fine + coarse,
                fine,
                1,
            )
            for fine, coarse in steps
        )
        self.up = nn.ModuleList(ResidualBlock(fine) for fine, _ in steps)
        last = nn.Conv2d(widths[0], 1 + classes, 1)
        with torch.no_grad():
            last.bias[0] = FIRST_HEAT_BIAS  # type: ignore[index]
        self.head = nn.Sequential(
            ChannelNorm(widths[0]),
            last,
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of heat and of classes.

        Args:
            images: (B, 3, H, W) in [-1, 1], sides multiples of `stride`.

        Returns:
            (B, 1, H / 2, W / 2) and (B, K, H / 2, W / 2).
        """
        x = self.stem(F.pixel_unshuffle(images, CELL_PX))
        skips = []
        for level, blocks in enumerate(self.down):
            x = blocks(x)
            if level < len(self.coarser):
                skips.append(x)
                x = self.coarser[level](x)
        for level in reversed(range(len(self.up))):
            mix = cast(nn.Conv2d, self.finer[level])
            x = self.up[level](_mix_levels(mix, skips.pop(), x))
        out = self.head(x)
        return out[:, :1], out[:, 1:]


def _mix_levels(
    mix: nn.Conv2d,
    fine: Tensor,
    coarse: Tensor,
) -> Tensor:
    """`mix` of `fine` and the enlarged `coarse`, as if their channels were concatenated.

    A 1 x 1 convolution of concatenated channels is the sum of two, and the coarse one's can be
    computed before it is enlarged: a quarter of the work, and no memory for the concatenation.
    """
    weight = mix.weight
    width = fine.shape[1]
    from_coarse = F.conv2d(coarse, weight[:, width:])
    enlarged = F.interpolate(
        from_coarse,
        scale_factor=2,
        mode="nearest",
    )
    return F.conv2d(
        fine,
        weight[:, :width],
        mix.bias,
    ).add_(enlarged)


def find_peaks(
    heat: Tensor,
    classes: Tensor,
    *,
    threshold: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Nuclei of one picture: where heat is highest among its neighbours.

    Args:
        heat: (h, w) in [0, 1], one value a cell.
        classes: (K, h, w) class logits.
        threshold: least heat of a nucleus.

    Returns:
        (N, 2) x and y in pixels, to a part of a cell (a parabola through the logarithms of the
        neighbours); (N,) the class; (N,) the heat.
    """
    image = heat[None, None]
    # a slight blur separates ties of neighbouring cells, and moves a peak by less than noise does
    level = image + 0.25 * _mean_of_neighbours(image)
    highest = _highest_along(level, -1)
    highest = _highest_along(highest, -2)
    is_maximum = (highest == level)[0, 0]
    is_peak = is_maximum & (heat >= threshold)
    y, x = torch.nonzero(is_peak, as_tuple=True)
    cell = torch.stack([x, y], dim=1)
    position = cell + _subcell_offset(level, y, x)
    xy = position * CELL_PX + (CELL_PX - 1) / 2
    class_ids = _shares_around(classes, y, x).argmax(0)
    return xy, class_ids, heat[y, x]


def _highest_along(level: Tensor, axis: int) -> Tensor:
    """(1, 1, h, w): the highest of 5 cells along an axis, 2 on each side; of fewer at the border.

    A twentieth of the time of max_pool2d, which compares 25 cells and stores where each maximum is.
    """
    margins = (_PEAK_REACH, _PEAK_REACH, 0, 0)
    if axis == -2:
        margins = (0, 0, _PEAK_REACH, _PEAK_REACH)
    padded = F.pad(level, margins, value=-torch.inf)
    length = level.shape[axis]
    highest = padded.narrow(axis, 0, length).clone()
    for start in range(1, 2 * _PEAK_REACH + 1):
        torch.maximum(
            highest,
            padded.narrow(axis, start, length),
            out=highest,
        )
    return highest


def _shares_around(classes: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(K, N): sums of the classes' shares over the 3 x 3 cells around the cells (x, y)."""
    padded = F.pad(classes.softmax(0), (1, 1, 1, 1))
    total = torch.zeros_like(padded[:, y, x])
    for dy in range(3):
        for dx in range(3):
            total += padded[:, y + dy, x + dx]
    return total


def _mean_of_neighbours(maps: Tensor) -> Tensor:
    """(B, C, h, w): mean over 3 x 3 cells, of fewer at the border."""
    return F.avg_pool2d(
        maps,
        3,
        1,
        1,
        count_include_pad=False,
    )


def _subcell_offset(level: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """(N, 2): how far the true peak lies from the cell (x, y) of `level` (1, 1, h, w), in cells."""
    padded = F.pad(
        level.clamp_min(_MIN_HEAT).log(),
        (1, 1, 1, 1),
        mode="replicate",
    )
    logs = padded[0, 0]
    centre = logs[y + 1, x + 1]
    left = logs[y + 1, x]
    right = logs[y + 1, x + 2]
    above = logs[y, x + 1]
    below = logs[y + 2, x + 1]
    dx = _vertex(left, centre, right)
    dy = _vertex(above, centre, below)
    return torch.stack([dx, dy], dim=1)


def _vertex(before: Tensor, at: Tensor, after: Tensor) -> Tensor:
    """Where the parabola through three values at -1, 0 and 1 is highest, in [-0.5, 0.5]."""
    curvature = before + after - 2 * at
    divisor = 2 * curvature.clamp_max(_FLATTEST_PEAK)
    peak = (before - after) / divisor
    shift = torch.where(
        curvature < _FLATTEST_PEAK,
        peak,
        torch.zeros_like(at),
    )
    return shift.clamp(-0.5, 0.5)
