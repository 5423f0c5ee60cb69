"""SqueezeNet 1.1 (Iandola et al. 2016), trained on ImageNet: small, and it has never seen tissue.

Its distances are LPIPS-like (Zhang et al. 2018), not LPIPS: they are called `perceptual_squeezenet`
and `FD_squeezenet`, never LPIPS or FID.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import BadWeights
from ..core.tile import Mask, Pixels
from .encoder import Embedded, Features
from .precision import autocast
from .weight_files import read_tensors

BGR_MEAN = (103.939, 116.779, 123.68)
POOLS = {2, 5, 8}
FIRES = {
    3: 16,
    4: 16,
    6: 32,
    7: 32,
    9: 48,
    10: 48,
    11: 64,
    12: 64,
}
"""Squeezed channels; each half of what comes out has four times as many."""
TAPS = (1, 4, 7, 9, 10, 11, 12)
BATCH = 16
GRID = 7
"""Places a side of the spatial features."""
CHANNELS = 8
"""Channels of the spatial features, about as few as sFID takes."""


class SqueezeNet:
    """See `Encoder` and `Perceptual`.

    Features are the last maps, averaged over the picture; spatial ones the first channels of the
    maps at stride 8 on a 7 x 7 grid. Distances: unit-norm channels of all maps, squared
    differences.

    Args:
        weights: by torchvision's names of layers.
        sha256: of their file.
    """

    name = "squeezenet"

    def __init__(self, weights: dict[str, Tensor], sha256: str) -> None:
        self.weights = weights
        self.bf16 = False
        self.about = {
            "encoder": "SqueezeNet 1.1, ImageNet",
            "weights_sha256": sha256,
            "resize": "none",
            "input": f"BGR in 0..255 less {BGR_MEAN}",
            "numbers": "float32",
        }

    def _conv(self, name: str, x: Tensor, **how: Any) -> Tensor:
        return F.relu(
            F.conv2d(
                x,
                self.weights[f"{name}.weight"],
                self.weights[f"{name}.bias"],
                **how,
            )
        )

    @torch.inference_mode()
    def maps(self, pictures: Pixels) -> list[Tensor]:
        """Activations at seven depths, finest first, of (N, H, W, 3) pictures."""
        x = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1])).float() - torch.tensor(
            BGR_MEAN
        )
        x = self._conv("features.0", x.permute(0, 3, 1, 2), stride=2)
        taps = [x]
        for layer in range(2, 13):
            if layer in POOLS:
                x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
            elif layer in FIRES:
                squeezed = self._conv(f"features.{layer}.squeeze", x)
                wide = self._conv(f"features.{layer}.expand3x3", squeezed, padding=1)
                x = torch.cat([self._conv(f"features.{layer}.expand1x1", squeezed), wide], dim=1)
                if layer in TAPS or layer + 1 in POOLS:
                    taps.append(x)
        return taps

    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), BATCH):
            with autocast(self.bf16):
                maps = [each.float() for each in self.maps(pictures[start : start + BATCH])]
            features.append(maps[-1].mean(dim=(2, 3)))
            spatial.append(F.adaptive_avg_pool2d(maps[2][:, :CHANNELS], GRID).flatten(1))
        return Embedded(torch.cat(features).numpy(), torch.cat(spatial).numpy())

    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Features:
        """See `Perceptual.distance`."""
        out = []
        for start in range(0, len(first), BATCH):
            here = slice(start, start + BATCH)
            inside = torch.from_numpy(np.ascontiguousarray(masks[here])).float()
            total = torch.zeros(inside.shape[:2])
            for one, other in zip(self.maps(first[here]), self.maps(second[here]), strict=True):
                apart = ((_unit(one) - _unit(other)) ** 2).sum(1, keepdim=True)
                weight = F.interpolate(inside, size=apart.shape[-2:], mode="area")
                total = total + (apart * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))
            out.append(total)
        return torch.cat(out).numpy()


def _unit(x: Tensor) -> Tensor:
    out: Tensor = x / (x.norm(dim=1, keepdim=True) + 1e-8)
    return out


def _shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of all weights, by name."""
    convs = {"features.0": (64, 3, 3, 3)}
    channels = 64
    for layer, width in FIRES.items():
        convs[f"features.{layer}.squeeze"] = (width, channels, 1, 1)
        convs[f"features.{layer}.expand1x1"] = (4 * width, width, 1, 1)
        convs[f"features.{layer}.expand3x3"] = (4 * width, width, 3, 3)
        channels = 8 * width
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in convs.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def load_squeezenet(path: Path) -> SqueezeNet:
    """The network with weights of a `.safetensors` file, by torchvision's names.

    Raises:
        BadWeights: it cannot be read, or does not fit.
    """
    if path.suffix != ".safetensors":
        raise BadWeights(
            path,
            "its name does not end in .safetensors",
            "Give its weights as .safetensors.",
        )
    tensors, sha256 = read_tensors(path, ())
    wrong = [
        n for n, shape in _shapes().items() if n not in tensors or tuple(tensors[n].shape) != shape
    ]
    if wrong:
        reason = f"{len(wrong)} tensors are absent or of another shape, first {wrong[0]}"
        raise BadWeights(
            path,
            reason,
            "Give weights of SqueezeNet 1.1 with torchvision's names.",
        )
    return SqueezeNet({name: tensors[name].float() for name in _shapes()}, sha256)
