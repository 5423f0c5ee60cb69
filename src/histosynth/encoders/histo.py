"""The embedded histology encoder: its weights, its card, and how it looks at tissue."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..core.errors import BadWeights, first_line
from ..core.store import atomic_write, sha256_of, write_json
from ..core.tile import Mask, Pixels
from .encoder import Embedded, Features
from .info import SHIPPED_ENCODER, WEIGHTS, EncoderInfo, read_encoder_info
from .network import HistoNet
from .precision import autocast

FRAME = "frame"
BATCH = 16
GRID = 7
"""Places a side of the spatial features."""
WIDTH = 256
"""Of the features."""
CHANNELS = 8
"""Channels of the spatial features, as few as sFID takes."""


class HistoEncoder:
    """See `Encoder` and `Perceptual`.

    Features are means and spreads of all maps, led by a fixed matrix onto directions in which real
    tissue varies about alike; spatial ones the first channels of the map at stride 8 on a 7 x 7
    grid. Distances are LPIPS-like (Zhang et al. 2018): unit-norm channels of all maps, squared
    differences. They are called `perceptual_histo`, never LPIPS.

    Args:
        info: what it is.
        network: with its weights.
        frame: mean (R,) of the raw features of training tissue, and the matrix (R, D); see
            `fit_whitening`.
    """

    def __init__(
        self,
        info: EncoderInfo,
        network: HistoNet,
        frame: tuple[Tensor, Tensor],
    ) -> None:
        self.info = info
        self.network = network
        self.frame = frame
        self.name = info.name
        self.bf16 = False
        self.about = {
            "encoder": info.name,
            "weights_sha256": info.sha256,
            "trained_at_mpp": f"{info.mpp:g}",
            "resize": "none",
            "input": "RGB in [-1, 1]",
            "numbers": "float32",
        }

    @torch.inference_mode()
    def maps(self, pictures: Pixels) -> list[Tensor]:
        """Maps of (N, H, W, 3) pictures, finest first; sides are mirrored up to a multiple of the
        stride.
        """
        height, width = pictures.shape[1:3]
        signal = pictures_to_signal(pictures)
        down, right = (-side % self.network.stride for side in (height, width))
        if down or right:
            mode = "reflect" if down < height and right < width else "replicate"
            signal = F.pad(signal, (0, right, 0, down), mode=mode)
        with autocast(self.bf16):
            maps = self.network(signal.contiguous(memory_format=torch.channels_last))
        return [each.float() for each in maps]

    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), BATCH):
            maps = self.maps(pictures[start : start + BATCH])
            features.append((raw_features(maps) - self.frame[0]) @ self.frame[1])
            fine = F.adaptive_avg_pool2d(maps[min(1, len(maps) - 1)][:, :CHANNELS], GRID)
            spatial.append(fine.flatten(1))
        return Embedded(torch.cat(features).numpy(), torch.cat(spatial).numpy())

    def distance(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Features:
        """See `Perceptual.distance`."""
        out = []
        for one, other, inside in zip(first, second, masks, strict=True):
            weight = torch.from_numpy(np.ascontiguousarray(inside)).float()[None]
            total = torch.zeros(len(inside))
            for left, right in zip(self.maps(one[None]), self.maps(other[None]), strict=True):
                apart = ((_unit(left) - _unit(right)) ** 2).sum(1)
                scale = round(weight.shape[-1] / apart.shape[-1]) or 1
                tall, wide = (side * scale for side in apart.shape[-2:])
                padded = F.pad(weight, (0, wide - weight.shape[-1], 0, tall - weight.shape[-2]))
                share = F.avg_pool2d(padded, scale)[0]
                total = total + (apart * share).sum((1, 2)) / share.sum((1, 2))
            out.append(total.numpy())
        return np.stack(out).astype(np.float32)


def raw_features(maps: list[Tensor]) -> Tensor:
    """(B, R): mean and spread over the picture of every channel of every map."""
    flat = [each.flatten(2) for each in maps]
    return torch.cat(
        [part for each in flat for part in (each.mean(2), each.std(2, unbiased=False))], dim=1
    )


def fit_whitening(raw: Tensor, width: int = WIDTH) -> tuple[Tensor, Tensor]:
    """Mean and matrix that lead raw features (N, R) onto directions in which tissue varies about
    alike.

    Each raw feature is brought to spread 1; of the principal directions the first `width` are kept,
    each divided by its spread, less where that is small: a ridge of the mean variance. Left as they
        are, one or
    two directions (how much haematoxylin there is) would decide every distance.
    """
    x = raw.double()
    mean = x.mean(0)
    spread = x.std(0).clamp_min(1e-6)
    scaled = (x - mean) / spread
    covariance = scaled.T @ scaled / (len(x) - 1)
    values, vectors = torch.linalg.eigh(covariance)
    values = values.flip(0)[:width].clamp_min(0)
    vectors = vectors.flip(1)[:, :width]
    ridge = float(covariance.diagonal().mean())
    matrix = vectors / (values + ridge).sqrt() / spread[:, None]
    return mean.float(), matrix.float()


def _unit(x: Tensor) -> Tensor:
    out: Tensor = x / (x.norm(dim=1, keepdim=True) + 1e-8)
    return out


@cache
def load_encoder(folder: Path = SHIPPED_ENCODER) -> HistoEncoder:
    """Load an encoder's folder, once a process.

    Raises:
        BadWeights: a file is missing, not what it says, or of another shape.
    """
    path = folder / WEIGHTS
    try:
        info = read_encoder_info(folder)
        if sha256_of(path) != info.sha256:
            raise BadWeights(path, "its sha256 is not the one that encoder.json names")
        network = HistoNet(info.widths, info.blocks)
        stored = {key: value.float() for key, value in load_file(path).items()}
        frame = stored.pop(f"{FRAME}.mean"), stored.pop(f"{FRAME}.matrix")
        network.load_state_dict(stored)
        raw = 2 * sum(info.widths)
        if frame[0].shape != (raw,) or frame[1].ndim != 2 or frame[1].shape[0] != raw:
            raise BadWeights(
                path, f"its frame is {tuple(frame[1].shape)}, but it has {raw} raw features"
            )
    except (OSError, KeyError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadWeights(path, first_line(error)) from error
    network.eval().requires_grad_(False)
    return HistoEncoder(info, network.to(memory_format=torch.channels_last), frame)  # type: ignore[call-overload]


def pictures_to_signal(pictures: Pixels) -> Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def save_encoder(
    folder: Path,
    info: EncoderInfo,
    weights: dict[str, Tensor],
    frame: tuple[Tensor, Tensor],
) -> None:
    """Write `model.safetensors` (float16, the frame float32) and `encoder.json` with its sha256."""
    stored = {key: value.detach().cpu().half().contiguous() for key, value in weights.items()}
    stored |= {f"{FRAME}.mean": frame[0].contiguous(), f"{FRAME}.matrix": frame[1].contiguous()}
    with atomic_write(folder / WEIGHTS) as temporary:
        save_file(stored, temporary)
    write_json(folder / "encoder.json", asdict(info) | {"sha256": sha256_of(folder / WEIGHTS)})
