"""SqueezeNet 1.1 (Iandola et al. 2016), trained on ImageNet: small, and never trained on tissue.

Its distances are LPIPS-like (Zhang et al. 2018), not LPIPS: they are called `perceptual_squeezenet`
and `FD_squeezenet`, never LPIPS or FID.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.arrays import Float32Array
from ..core.errors import BadWeights
from ..core.tile import Mask, Pixels
from .encoder import Embedded
from .feature_maps import channel_distance, spatial_features
from .precision import autocast
from .weight_files import read_tensors

_BGR_MEAN = (103.939, 116.779, 123.68)
_POOL_LAYERS = {2, 5, 8}
_SQUEEZED_CHANNELS = {
    3: 16,
    4: 16,
    6: 32,
    7: 32,
    9: 48,
    10: 48,
    11: 64,
    12: 64,
}
"""By layer; each half of the layer's output has four times as many."""
_OUTPUT_LAYERS = (4, 7, 9, 10, 11, 12)
"""Layers whose output is a map, besides the first convolution's."""
_LAST_LAYER = 12
_STRIDE_8_MAP = 2
_BATCH = 16


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
            "input": f"BGR in 0..255 less {_BGR_MEAN}",
            "numbers": "float32",
        }

    def _conv(
        self,
        name: str,
        x: Tensor,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> Tensor:
        """A convolution of that name, then ReLU."""
        output = F.conv2d(
            x,
            self.weights[f"{name}.weight"],
            self.weights[f"{name}.bias"],
            stride=stride,
            padding=padding,
        )
        return F.relu(output)

    def _fire(self, layer: int, x: Tensor) -> Tensor:
        """A fire module: few channels, then a 1 x 1 and a 3 x 3 convolution of them."""
        name = f"features.{layer}"
        squeezed = self._conv(f"{name}.squeeze", x)
        wide = self._conv(f"{name}.expand3x3", squeezed, padding=1)
        narrow = self._conv(f"{name}.expand1x1", squeezed)
        return torch.cat([narrow, wide], dim=1)

    @torch.inference_mode()
    def maps(self, pictures: Pixels) -> list[Tensor]:
        """Activations at seven depths, finest first, of (N, H, W, 3) pictures."""
        bgr = np.ascontiguousarray(pictures[..., ::-1])
        signal = torch.from_numpy(bgr).float() - torch.tensor(_BGR_MEAN)
        x = self._conv(
            "features.0",
            signal.permute(0, 3, 1, 2),
            stride=2,
        )
        maps = [x]
        for layer in range(2, _LAST_LAYER + 1):
            if layer in _POOL_LAYERS:
                x = F.max_pool2d(x, 3, stride=2, ceil_mode=True)
                continue
            x = self._fire(layer, x)
            if layer in _OUTPUT_LAYERS:
                maps.append(x)
        return maps

    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), _BATCH):
            batch = pictures[start : start + _BATCH]
            with autocast(self.bf16):
                maps = [each.float() for each in self.maps(batch)]
            features.append(maps[-1].mean(dim=(2, 3)))
            spatial.append(spatial_features(maps[_STRIDE_8_MAP]))
        return Embedded(
            torch.cat(features).numpy(),
            torch.cat(spatial).numpy(),
        )

    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Float32Array:
        """See `Perceptual.distance`."""
        rows = []
        for start in range(0, len(first), _BATCH):
            batch = slice(start, start + _BATCH)
            inside = torch.from_numpy(np.ascontiguousarray(masks[batch])).float()
            first_maps = self.maps(first[batch])
            second_maps = self.maps(second[batch])
            total = torch.zeros(inside.shape[:2])
            for one, other in zip(first_maps, second_maps, strict=True):
                apart = channel_distance(one, other)[:, None]
                share = F.interpolate(
                    inside,
                    size=apart.shape[-2:],
                    mode="area",
                )
                total = total + (apart * share).sum(dim=(2, 3)) / share.sum(dim=(2, 3))
            rows.append(total)
        result: Float32Array = torch.cat(rows).numpy()
        return result


def _weight_shapes() -> dict[str, tuple[int, ...]]:
    """Shapes of all weights, by name."""
    convolutions = {"features.0": (64, 3, 3, 3)}
    channels = 64
    for layer, width in _SQUEEZED_CHANNELS.items():
        name = f"features.{layer}"
        convolutions[f"{name}.squeeze"] = (width, channels, 1, 1)
        convolutions[f"{name}.expand1x1"] = (4 * width, width, 1, 1)
        convolutions[f"{name}.expand3x3"] = (4 * width, width, 3, 3)
        channels = 8 * width
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in convolutions.items():
        shapes[f"{name}.weight"] = shape
        shapes[f"{name}.bias"] = shape[:1]
    return shapes


def load_squeezenet(path: Path) -> SqueezeNet:
    """The network with weights of a `.safetensors` file, by torchvision's names.

    Raises:
        BadWeights: it cannot be read, or does not fit.
    """
    if path.suffix != ".safetensors":
        reason = "its name does not end in .safetensors"
        raise BadWeights(path, reason, "Give its weights as .safetensors.")
    tensors, sha256 = read_tensors(path, ())
    shapes = _weight_shapes()
    wrong = []
    for name, shape in shapes.items():
        if name not in tensors or tuple(tensors[name].shape) != shape:
            wrong.append(name)
    if wrong:
        reason = f"{len(wrong)} tensors are absent or of another shape, first {wrong[0]}"
        remedy = "Give weights of SqueezeNet 1.1 with torchvision's names."
        raise BadWeights(path, reason, remedy)
    return SqueezeNet(
        {name: tensors[name].float() for name in shapes},
        sha256,
    )
