"""How pictures are brought to the size that a network was trained at: always whole, never
cropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ..core.tile import Pixels


def clean_resize(picture: Pixels, side: int) -> NDArray[np.float32]:
    """Bicubic with antialiasing, channel by channel in floats, as clean-fid does (Parmar et al.
    2022).

    Libraries differ most in how they make pictures smaller; this is the way that FID is compared
    by.

    Args:
        picture: (H, W, 3) uint8.
        side: of the result, px.

    Returns:
        (side, side, 3) float32 in [0, 255]; what the filter overshoots is clipped, nothing is
        rounded.
    """
    channels = [
        Image.fromarray(picture[..., k].astype(np.float32)).resize(
            (side, side), Image.Resampling.BICUBIC
        )
        for k in range(3)
    ]
    return np.stack([np.asarray(each) for each in channels], axis=-1).clip(0, 255)


def whole_signal(
    pictures: Pixels,
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Pictures as transformers see them: resized (PIL, bicubic, antialiased, 8 bits), then
    normalized.

    Their own processors resize a little larger and cut the middle out. A judge must see the border
    of a tile too, so the whole picture is resized here.

    Args:
        pictures: (N, H, W, 3) uint8.
        size: (height, width) of the result, px.
        mean: of the three channels, in [0, 1].
        std: of the three channels, in [0, 1].

    Returns:
        (N, 3, height, width) float32.
    """
    resized = [
        np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BICUBIC))
        for picture in pictures
    ]
    level, spread = (np.array(each, np.float32) for each in (mean, std))
    signal = (np.stack(resized).astype(np.float32) / 255 - level) / spread
    return torch.from_numpy(signal).permute(0, 3, 1, 2).contiguous()
