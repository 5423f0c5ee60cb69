"""InceptionV3 (Szegedy et al. 2016) as FID uses it: the network of TensorFlow's 2015 release.

It differs from the one of the paper, and from the usual one in torch, in three places (see
pytorch-fid, Seitzer 2020): average pools do not count their padding; the last block takes a maximum
where the others average; weights are those of 2015-12-05. Names of parameters are those of
pytorch-fid's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

INPUT_SIDE_PX = 299
"""Side of the pictures that it was trained on."""
FEATURE_WIDTH = 2048
_SPATIAL_CHANNELS = 7

Kernel = int | tuple[int, int]
ConvSpec = tuple[int, Kernel] | tuple[int, Kernel, int]
"""(channels out, kernel) keeps the size; (channels out, kernel, stride) has no padding."""
Pool = Callable[[Tensor], Tensor]


def _average(x: Tensor) -> Tensor:
    return F.avg_pool2d(
        x,
        3,
        stride=1,
        padding=1,
        count_include_pad=False,
    )


def _greatest(x: Tensor) -> Tensor:
    return F.max_pool2d(
        x,
        3,
        stride=1,
        padding=1,
    )


def _halve(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 3, stride=2)


class Conv(nn.Module):
    """Convolution without bias, batch norm at its stored statistics, ReLU."""

    def __init__(self, channels: int, spec: ConvSpec) -> None:
        super().__init__()
        width = spec[0]
        kernel = spec[1]
        sides = (kernel, kernel) if isinstance(kernel, int) else kernel
        if len(spec) == 3:
            stride = spec[2]
            padding = (0, 0)
        else:
            stride = 1
            padding = (sides[0] // 2, sides[1] // 2)
        self.conv = nn.Conv2d(
            channels,
            width,
            sides,
            stride=stride,
            padding=padding,
            bias=False,
        )
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, width, H', W')."""
        return F.relu(
            self.bn(self.conv(x)),
            inplace=True,
        )


class Mixed(nn.Module):
    """Branches side by side, their channels joined in order; the pooled one comes last.

    Args:
        channels: of the input.
        branches: name to convolutions. A branch of one has that name, of more `<name>_1`,
            `<name>_2` and so on.
        pool: the pooling of the last branch.
        pooled: channels of the convolution after it; 0: none.
    """

    def __init__(
        self,
        channels: int,
        branches: Mapping[str, Sequence[ConvSpec]],
        pool: Pool,
        pooled: int = 0,
    ) -> None:
        super().__init__()
        self.pool = pool
        self.order = []
        for branch, steps in branches.items():
            names = [branch]
            if len(steps) > 1:
                names = [f"{branch}_{number}" for number in range(1, len(steps) + 1)]
            width = channels
            for name, spec in zip(names, steps, strict=True):
                self.add_module(
                    name,
                    Conv(width, spec),
                )
                width = spec[0]
            self.order.append(names)
        self.branch_pool: nn.Module = nn.Identity()
        if pooled:
            self.branch_pool = Conv(
                channels,
                (pooled, 1),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, channels of all branches, H', W')."""
        outputs = []
        for names in self.order:
            y = x
            for name in names:
                y = self.get_submodule(name)(y)
            outputs.append(y)
        outputs.append(self.branch_pool(self.pool(x)))
        return torch.cat(outputs, dim=1)


class Forked(nn.Module):
    """Mixed_7b and Mixed_7c: two branches end in a horizontal and a vertical kernel side by
    side.
    """

    def __init__(self, channels: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = Conv(channels, (320, 1))
        self.branch3x3_1 = Conv(channels, (384, 1))
        self.branch3x3_2a = Conv(384, (384, (1, 3)))
        self.branch3x3_2b = Conv(384, (384, (3, 1)))
        self.branch3x3dbl_1 = Conv(channels, (448, 1))
        self.branch3x3dbl_2 = Conv(448, (384, 3))
        self.branch3x3dbl_3a = Conv(384, (384, (1, 3)))
        self.branch3x3dbl_3b = Conv(384, (384, (3, 1)))
        self.branch_pool = Conv(channels, (192, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to (B, 2048, H, W)."""
        single = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [
            self.branch1x1(x),
            self.branch3x3_2a(single),
            self.branch3x3_2b(single),
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(self.pool(x)),
        ]
        return torch.cat(parts, dim=1)


def _fine(channels: int, pooled: int) -> Mixed:
    """Blocks at 35 x 35."""
    branches: dict[str, list[ConvSpec]] = {
        "branch1x1": [(64, 1)],
        "branch5x5": [(48, 1), (64, 5)],
        "branch3x3dbl": [
            (64, 1),
            (96, 3),
            (96, 3),
        ],
    }
    return Mixed(
        channels,
        branches,
        _average,
        pooled,
    )


def _middle(width: int) -> Mixed:
    """Blocks at 17 x 17."""
    row = (1, 7)
    column = (7, 1)
    branches: dict[str, list[ConvSpec]] = {
        "branch1x1": [(192, 1)],
        "branch7x7": [
            (width, 1),
            (width, row),
            (192, column),
        ],
        "branch7x7dbl": [
            (width, 1),
            (width, column),
            (width, row),
            (width, column),
            (192, row),
        ],
    }
    return Mixed(768, branches, _average, 192)


def _to_middle() -> Mixed:
    """35 x 35 to 17 x 17."""
    branches: dict[str, list[ConvSpec]] = {
        "branch3x3": [(384, 3, 2)],
        "branch3x3dbl": [
            (64, 1),
            (96, 3),
            (96, 3, 2),
        ],
    }
    return Mixed(288, branches, _halve)


def _to_coarse() -> Mixed:
    """17 x 17 to 8 x 8."""
    branches: dict[str, list[ConvSpec]] = {
        "branch3x3": [(192, 1), (320, 3, 2)],
        "branch7x7x3": [
            (192, 1),
            (192, (1, 7)),
            (192, (7, 1)),
            (192, 3, 2),
        ],
    }
    return Mixed(768, branches, _halve)


class InceptionNet(nn.Module):
    """Pictures to pooled and spatial features; the classifier is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, (32, 3, 2))
        self.Conv2d_2a_3x3 = Conv(32, (32, 3, 1))
        self.Conv2d_2b_3x3 = Conv(32, (64, 3))
        self.Conv2d_3b_1x1 = Conv(64, (80, 1))
        self.Conv2d_4a_3x3 = Conv(80, (192, 3, 1))
        self.Mixed_5b = _fine(192, 32)
        self.Mixed_5c = _fine(256, 64)
        self.Mixed_5d = _fine(288, 64)
        self.Mixed_6a = _to_middle()
        self.Mixed_6b = _middle(128)
        self.Mixed_6c = _middle(160)
        self.Mixed_6d = _middle(160)
        self.Mixed_6e = _middle(192)
        self.Mixed_7a = _to_coarse()
        self.Mixed_7b = Forked(1280, _average)
        self.Mixed_7c = Forked(2048, _greatest)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of pictures.

        Args:
            x: (B, 3, 299, 299) in [-1, 1).

        Returns:
            (B, 2048), the last map averaged; (B, 7, 17, 17), the first channels of Mixed_6d.
        """
        x = self.Conv2d_1a_3x3(x)
        x = self.Conv2d_2a_3x3(x)
        x = self.Conv2d_2b_3x3(x)
        x = _halve(x)
        x = self.Conv2d_3b_1x1(x)
        x = self.Conv2d_4a_3x3(x)
        x = _halve(x)
        x = self.Mixed_5b(x)
        x = self.Mixed_5c(x)
        x = self.Mixed_5d(x)
        x = self.Mixed_6a(x)
        x = self.Mixed_6b(x)
        x = self.Mixed_6c(x)
        x = self.Mixed_6d(x)
        spatial = x[:, :_SPATIAL_CHANNELS]
        x = self.Mixed_6e(x)
        x = self.Mixed_7a(x)
        x = self.Mixed_7b(x)
        x = self.Mixed_7c(x)
        return x.mean(dim=(2, 3)), spatial
