"""NIMA (Talebi & Milanfar 2018): predicts how people would rate a photograph; extra `nima`.

It was trained on photographs, not on tissue: only the difference from ratings of real tiles counts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.errors import BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels, check_rgb


def open_nima(weights: Path | str) -> Callable[[Pixels], float]:
    """A function that rates a tile (H, W, 3) uint8 from 1 to 10.

    The package pyiqa builds its backbone with weights of its own before it reads these; without a
    network connection they must be in timm's cache.

    Args:
        weights: file of the whole network, as the package offers it for `nima`.

    Raises:
        NeedsExtra: pyiqa is not installed.
        BadWeights: there is no such file, or it cannot be read.
    """
    path = Path(weights)
    try:
        import pyiqa
    except ImportError as error:
        raise NeedsExtra("NIMA", "nima") from error
    if not path.is_file():
        raise BadWeights(path, "there is no such file")
    try:
        metric = pyiqa.create_metric(
            "nima",
            device="cpu",
            pretrained_model_path=str(path),
        )
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise BadWeights(path, first_line(error)) from error

    def rate(pixels: Pixels) -> float:
        import torch

        check_rgb(pixels, "tile")
        batch = pixels.transpose(2, 0, 1)[None]
        picture = np.ascontiguousarray(batch, np.float32) / 255
        with torch.no_grad():
            rating = metric(torch.from_numpy(picture))
        return float(rating)

    return rate
