"""The embedded histology encoder: its weights, its card, its features and its distance."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.arrays import Float32Array
from ..core.errors import BadWeights, first_line
from ..core.store import write_json
from ..core.tile import Mask, Pixels
from ..core.weights_folder import WEIGHTS_FILE, checked_weights, write_weights
from ..tensors.building import build_empty
from ..tensors.faults import BROKEN
from ..tensors.files import read_all_tensors, write_tensors
from .encoder import Embedded
from .feature_maps import channel_distance, spatial_features
from .info import ENCODER_CARD, SHIPPED_ENCODER, EncoderInfo, read_encoder_info
from .network import HistoNet
from .precision import autocast

_BATCH = 16
_FEATURE_WIDTH = 256
_MEAN_KEY = "frame.mean"
_MATRIX_KEY = "frame.matrix"


class Whitening(NamedTuple):
    """Leads raw features onto directions in which tissue varies about alike."""

    mean: Tensor
    """(R,) mean of the raw features of training tissue."""
    matrix: Tensor
    """(R, D)."""

    def apply(self, raw: Tensor) -> Tensor:
        """(N, R) to (N, D)."""
        return (raw - self.mean) @ self.matrix


class HistoEncoder:
    """See `Encoder` and `Perceptual`.

    Features are means and spreads of all maps, whitened; spatial ones the first channels of the map
    at stride 8 on a 7 x 7 grid. Distances are LPIPS-like (Zhang et al. 2018): unit-norm channels of
    all maps, squared differences. They are called `perceptual_histo`, never LPIPS.

    Args:
        info: its card.
        network: with its weights.
        whitening: see `fit_whitening`.
    """

    def __init__(
        self,
        info: EncoderInfo,
        network: HistoNet,
        whitening: Whitening,
    ) -> None:
        self.info = info
        self.network = network
        self.whitening = whitening
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
        below = -height % self.network.stride
        right = -width % self.network.stride
        if below or right:
            can_mirror = below < height and right < width
            signal = F.pad(
                signal,
                (0, right, 0, below),
                mode="reflect" if can_mirror else "replicate",
            )
        with autocast(self.bf16):
            maps = self.network(signal.contiguous(memory_format=torch.channels_last))
        return [each.float() for each in maps]

    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), _BATCH):
            maps = self.maps(pictures[start : start + _BATCH])
            features.append(self.whitening.apply(raw_features(maps)))
            stride_8 = maps[min(1, len(maps) - 1)]
            spatial.append(spatial_features(stride_8))
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
        rows = [self._distance_of_pair(*pair) for pair in zip(first, second, masks, strict=True)]
        return np.stack(rows).astype(np.float32)

    def _distance_of_pair(
        self,
        first: Pixels,
        second: Pixels,
        masks: Mask,
    ) -> Float32Array:
        """(M,) distances of two pictures (H, W, 3) within masks (M, H, W)."""
        inside = torch.from_numpy(np.ascontiguousarray(masks)).float()[None]
        total = torch.zeros(len(masks))
        first_maps = self.maps(first[None])
        second_maps = self.maps(second[None])
        for left, right in zip(first_maps, second_maps, strict=True):
            apart = channel_distance(left, right)
            share = _share_of_cells(inside, apart)
            total = total + (apart * share).sum((1, 2)) / share.sum((1, 2))
        result: Float32Array = total.numpy()
        return result


def _share_of_cells(inside: Tensor, cells: Tensor) -> Tensor:
    """(M, h, w): part of each cell of a map (1, h, w) that lies inside masks (1, M, H, W)."""
    height, width = inside.shape[-2:]
    scale = round(width / cells.shape[-1]) or 1
    below = cells.shape[-2] * scale - height
    right = cells.shape[-1] * scale - width
    padded = F.pad(
        inside,
        (0, right, 0, below),
    )
    return F.avg_pool2d(padded, scale)[0]


def raw_features(maps: list[Tensor]) -> Tensor:
    """(B, R): mean and spread over the picture of every channel of every map."""
    parts = []
    for each in maps:
        flat = each.flatten(2)
        parts.append(flat.mean(2))
        parts.append(flat.std(2, unbiased=False))
    return torch.cat(parts, dim=1)


def fit_whitening(
    raw: Tensor,
    width: int = _FEATURE_WIDTH,
) -> Whitening:
    """The whitening of raw features (N, R) of training tissue.

    Each raw feature is brought to spread 1; of the principal directions the first `width` are kept,
    each divided by its spread, less where that is small: a ridge of the mean variance. Without
    this, one or two directions (how much haematoxylin there is) would decide every distance.
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
    return Whitening(mean.float(), matrix.float())


@cache
def load_encoder(folder: Path = SHIPPED_ENCODER) -> HistoEncoder:
    """Load an encoder's folder, once a process.

    Raises:
        BadWeights: a file is missing, not what it should be, or of another shape.
    """
    try:
        info = read_encoder_info(folder)
        path = checked_weights(
            folder,
            info.sha256,
            card=ENCODER_CARD,
        )
        tensors, _ = read_all_tensors(path)
        stored = {key: value.to(torch.float32, copy=True) for key, value in tensors.items()}
        whitening = Whitening(
            stored.pop(_MEAN_KEY),
            stored.pop(_MATRIX_KEY),
        )
        network = build_empty(
            lambda: HistoNet(info.widths, info.blocks),
            numbers=sum(value.numel() for value in stored.values()),
            tensors=len(stored),
        )
        network.load_state_dict(stored, assign=True)
        _check_whitening(whitening, info, path)
    except BROKEN as error:
        raise BadWeights(folder / WEIGHTS_FILE, first_line(error)) from error
    network.eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return HistoEncoder(info, network, whitening)


def _check_whitening(
    whitening: Whitening,
    info: EncoderInfo,
    path: Path,
) -> None:
    """Refuse a whitening of another number of raw features."""
    count = 2 * sum(info.widths)
    shape = tuple(whitening.matrix.shape)
    if whitening.mean.shape != (count,) or len(shape) != 2 or shape[0] != count:
        raise BadWeights(path, f"its frame is {shape}, but it has {count} raw features")


def pictures_to_signal(pictures: Pixels) -> Tensor:
    """(N, H, W, 3) uint8 as (N, 3, H, W) float32 in [-1, 1]."""
    values = torch.from_numpy(np.array(pictures))
    return values.permute(0, 3, 1, 2).float() / 127.5 - 1


def save_encoder(
    folder: Path,
    info: EncoderInfo,
    weights: dict[str, Tensor],
    whitening: Whitening,
) -> None:
    """Write `model.safetensors` (float16, the whitening float32) and `encoder.json`."""
    stored = {key: value.detach().cpu().half().contiguous() for key, value in weights.items()}
    stored[_MEAN_KEY] = whitening.mean.contiguous()
    stored[_MATRIX_KEY] = whitening.matrix.contiguous()
    sha256 = write_weights(
        folder,
        lambda path: write_tensors(path, stored),
    )
    write_json(
        folder / ENCODER_CARD,
        asdict(
            replace(
                info,
                sha256=sha256,
            )
        ),
    )
