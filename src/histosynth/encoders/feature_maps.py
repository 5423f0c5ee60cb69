"""What several encoders do with their feature maps."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

SPATIAL_CHANNELS = 8
"""Channels of the spatial features, about as few as sFID takes."""
_SPATIAL_GRID = 7
"""Positions a side of the spatial features."""


def spatial_features(maps: Tensor) -> Tensor:
    """(B, 8 * 7 * 7): the first channels of maps (B, C, h, w), averaged on a 7 x 7 grid."""
    channels = maps[:, :SPATIAL_CHANNELS]
    return F.adaptive_avg_pool2d(channels, _SPATIAL_GRID).flatten(1)


def channel_distance(first: Tensor, second: Tensor) -> Tensor:
    """(B, h, w): squared distance of the unit-norm channels of two maps (B, C, h, w).

    This is the distance of one layer in LPIPS (Zhang et al. 2018), without its learned weights.
    """
    difference = _unit_norm(first) - _unit_norm(second)
    return (difference**2).sum(1)


def _unit_norm(maps: Tensor) -> Tensor:
    norm: Tensor = maps.norm(
        dim=1,
        keepdim=True,
    )
    return maps / (norm + 1e-8)
