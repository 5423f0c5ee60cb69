"""NIMA (Talebi & Milanfar 2018): a network's guess at how people would rate a photograph; extra
`nima`.

Trained on photographs, not on tissue: only its distance from what real tiles get says anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..core.errors import BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels, check_rgb


def open_nima(weights: Path | str) -> Callable[[Pixels], float]:
    """A function that rates a tile (H, W, 3) uint8 from 1 to 10.

    The package builds its backbone with weights of its own before it reads these; where there is no
    net, timm's cache must hold them.

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
        metric = pyiqa.create_metric("nima", device="cpu", pretrained_model_path=str(path))
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise BadWeights(path, first_line(error)) from error

    def rate(pixels: Pixels) -> float:
        import torch

        check_rgb(pixels, "tile")
        picture = np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32) / 255
        with torch.no_grad():
            return float(metric(torch.from_numpy(picture)))

    return rate
