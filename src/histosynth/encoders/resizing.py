"""How pictures get the size that a network was trained at: always whole, never cropped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..core.arrays import Float32Array
from ..core.tile import Pixels

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the channels of ImageNet, in [0, 1]."""
IMAGENET_SIDE_PX = 224

_MAX_SIDE_PX = 2048


@dataclass(frozen=True)
class Preprocessing:
    """How a network takes pictures.

    Attributes:
        size: (height, width) in px.
        mean: of the three channels, in [0, 1].
        std: of the three channels, in [0, 1].
    """

    size: tuple[int, int] = (IMAGENET_SIDE_PX, IMAGENET_SIDE_PX)
    mean: Sequence[float] = IMAGENET_MEAN
    std: Sequence[float] = IMAGENET_STD

    def __post_init__(self) -> None:
        size_is_valid = all(0 < side <= _MAX_SIDE_PX for side in self.size)
        if not size_is_valid or len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError("its size, mean or std is impossible")

    def apply(self, pictures: Pixels) -> Tensor:
        """(N, H, W, 3) uint8 to (N, 3, height, width) float32; see `whole_signal`."""
        return whole_signal(
            pictures,
            self.size,
            self.mean,
            self.std,
        )

    def description(self) -> dict[str, str]:
        """In words, for an encoder's `about`."""
        height, width = self.size
        mean = ", ".join(f"{value:g}" for value in self.mean)
        std = ", ".join(f"{value:g}" for value in self.std)
        resize = f"{width} x {height}, whole picture, PIL bicubic with antialiasing in 8 bits"
        return {
            "resize": resize,
            "input": f"RGB in [0, 1], less ({mean}), by ({std})",
            "numbers": "float32",
        }


def clean_resize(picture: Pixels, side: int) -> Float32Array:
    """Bicubic with antialiasing, channel by channel in floats, as clean-fid does (Parmar et al.
    2022).

    Libraries differ most in how they reduce pictures; published FIDs are compared with this one.

    Args:
        picture: (H, W, 3) uint8.
        side: of the result, px.

    Returns:
        (side, side, 3) float32 in [0, 255]; where the filter overshoots the values are clipped;
        nothing is rounded.
    """
    channels = []
    for channel in range(3):
        image = Image.fromarray(picture[..., channel].astype(np.float32))
        resized = image.resize(
            (side, side),
            Image.Resampling.BICUBIC,
        )
        channels.append(np.asarray(resized))
    return np.stack(channels, axis=-1).clip(0, 255)


def whole_signal(
    pictures: Pixels,
    size: tuple[int, int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Pictures as transformers' networks take them: resized (PIL, bicubic, antialiased, 8 bits),
    then normalized.

    Their own processors resize a little larger and cut the middle out. A metric must depend on the
    border of a tile too, so the whole picture is resized here.

    Args:
        pictures: (N, H, W, 3) uint8.
        size: (height, width) of the result, px.
        mean: of the three channels, in [0, 1].
        std: of the three channels, in [0, 1].

    Returns:
        (N, 3, height, width) float32.
    """
    height, width = size
    resized = []
    for picture in pictures:
        image = Image.fromarray(picture)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
        resized.append(np.asarray(image))
    level = np.array(mean, np.float32)
    spread = np.array(std, np.float32)
    scaled = np.stack(resized).astype(np.float32) / 255
    signal = (scaled - level) / spread
    return torch.from_numpy(signal).permute(0, 3, 1, 2).contiguous()
