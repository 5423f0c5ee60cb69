"""An embedder that has never seen this project: SqueezeNet 1.1 (Iandola et al. 2016), trained on ImageNet.

Its distances are LPIPS-like (Zhang et al. 2018), not LPIPS: they are called `perceptual_squeezenet` and
`FD_squeezenet`, never LPIPS or FID.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

BGR_MEAN = (103.939, 116.779, 123.68)
POOLS = {2, 5, 8}
FIRES = {3, 4, 6, 7, 9, 10, 11, 12}
TAPS = (1, 4, 7, 9, 10, 11, 12)


class SqueezeNet:
    """Feature maps of (B, H, W, 3) uint8 pictures."""

    def __init__(self, weights: Path) -> None:
        self.weights = load_file(weights)

    def _conv(self, name: str, x: torch.Tensor, **how) -> torch.Tensor:
        return F.relu(F.conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **how))

    @torch.inference_mode()
    def maps(self, pictures: np.ndarray) -> list[torch.Tensor]:
        """Activations at seven depths."""
        x = torch.from_numpy(np.ascontiguousarray(pictures[..., ::-1])).float() - torch.tensor(BGR_MEAN)
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

    def embed(self, pictures: np.ndarray, batch: int = 16) -> np.ndarray:
        """(N, 512) float64: the last maps, averaged over the picture."""
        rows = [
            self.maps(pictures[i : i + batch])[-1].mean(dim=(2, 3)) for i in range(0, len(pictures), batch)
        ]
        return torch.cat(rows).double().numpy()

    def distance(self, first: np.ndarray, second: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """(N,) perceptual distance inside a mask (H, W): unit-norm channels, squared, averaged, summed."""
        total = 0.0
        inside = torch.from_numpy(mask).float()[None, None]
        for one, other in zip(self.maps(first), self.maps(second), strict=True):
            apart = ((_unit(one) - _unit(other)) ** 2).sum(1)
            weight = F.interpolate(inside, size=apart.shape[-2:], mode="area")[:, 0]
            total = total + (apart * weight).sum(dim=(1, 2)) / weight.sum()
        return total.numpy()


def _unit(x: torch.Tensor) -> torch.Tensor:
    return x / (x.norm(dim=1, keepdim=True) + 1e-8)
