"""The artefact classifier: how likely a tile is spoilt, from a ResNet (He et al. 2016) on crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..core.errors import BadOption, BadWeights, first_line
from ..core.resampling import resample_rgb
from ..core.store import write_json
from ..core.tile import Pixels, check_rgb
from ..core.weights_folder import WEIGHTS_FILE, checked_weights, read_card, write_weights
from ..tensors.building import build_empty
from ..tensors.faults import BROKEN
from ..tensors.files import read_all_tensors, write_tensors
from .artefact_info import ARTEFACT_CARD, ArtefactInfo
from .artefact_network import build_artefact_network, crops_to_input

MAX_SCALE_RATIO = 1.25
"""Tiles may be coarser than the classifier's scale by this: enlarged further, they look blurred."""
_BATCH = 16


class ArtefactClassifier:
    """Chance of an artefact in a tile; see `detectors.opening.ArtefactGate`.

    Args:
        info: its card.
        network: with its weights, in evaluation mode.
    """

    def __init__(
        self,
        info: ArtefactInfo,
        network: nn.Module,
    ) -> None:
        self.info = info
        self.network = network

    @property
    def name(self) -> str:
        """For the record: name and weights."""
        return f"{self.info.name} {self.info.sha256[:12]}"

    def __call__(self, pixels: Pixels, mpp: float) -> float:
        """Chance in [0, 1] of an artefact in (H, W, 3) uint8 at `mpp`, if half of all tiles had
        one.

        Raises:
            BadOption: the tile is too coarse to be classified.
        """
        logit = torch.tensor(
            self.logit(pixels, mpp),
            dtype=torch.float64,
        )
        return float(logit.sigmoid())

    @torch.inference_mode()
    def logit(self, pixels: Pixels, mpp: float) -> float:
        """Log odds of an artefact: those of the tile's worst crop.

        The worst, not the mean: a fold across one corner spoils a tile, and a mean over its other
        crops would hide it.
        """
        check_rgb(pixels, "tile")
        limit_mpp = MAX_SCALE_RATIO * self.info.mpp
        if mpp > limit_mpp:
            wanted = f"at most {limit_mpp:g} um/px for a classifier of {self.info.mpp:g}"
            raise BadOption("the scale of the tile", f"{mpp:g} um/px", wanted)
        resampled = resample_rgb(
            pixels,
            mpp / self.info.mpp,
        )
        crops = cut_crops(resampled, self.info.size_px)
        like = next(self.network.parameters())
        logits = []
        for start in range(0, len(crops), _BATCH):
            batch = crops_to_input(crops[start : start + _BATCH])
            batch = batch.to(like, memory_format=torch.channels_last)
            output = self.network(batch)
            logits.append(output.logits)
        return float(torch.cat(logits).float().max())


def cut_crops(pixels: Pixels, side: int) -> Pixels:
    """(N, side, side, 3): the fewest crops that cover a tile, spread evenly.

    A tile smaller than a crop is continued by its mirror image, which is as sharp as the tile is.
    """
    below = max(side - pixels.shape[0], 0)
    right = max(side - pixels.shape[1], 0)
    if below or right:
        padding = [
            (0, below),
            (0, right),
            (0, 0),
        ]
        pixels = np.pad(
            pixels,
            padding,
            mode="symmetric",
        )
    tops = _crop_starts(pixels.shape[0], side)
    lefts = _crop_starts(pixels.shape[1], side)
    crops = [pixels[top : top + side, left : left + side] for top in tops for left in lefts]
    return np.stack(crops)


def _crop_starts(length: int, side: int) -> list[int]:
    """Where crops begin along one axis, the first at 0 and the last at `length - side`."""
    count = -(-length // side)
    return [int(start) for start in np.linspace(0, length - side, count).round()]


def save_artefact(
    folder: Path,
    info: ArtefactInfo,
    weights: Mapping[str, Tensor],
) -> ArtefactInfo:
    """Write `model.safetensors` and `artefact.json`; returns `info` with the weights' sha256.

    Weights stay float32: the variances of batch norm reach below what float16 can hold.
    """
    stored = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    sha256 = write_weights(
        folder,
        lambda path: write_tensors(path, stored),
    )
    info = replace(info, sha256=sha256)
    write_json(folder / ARTEFACT_CARD, asdict(info))
    return info


def load_artefact(folder: Path) -> ArtefactClassifier:
    """Load a classifier's folder, once a process, onto the CPU.

    Raises:
        BadWeights: a file is missing, not what it should be, or of another shape.
        NeedsExtra: transformers is not installed.
    """
    return _load_classifier(
        folder,
        read_card(folder / ARTEFACT_CARD, ArtefactInfo),
    )


@cache
def _load_classifier(
    folder: Path,
    info: ArtefactInfo,
) -> ArtefactClassifier:
    try:
        path = checked_weights(
            folder,
            info.sha256,
            card=ARTEFACT_CARD,
        )
        tensors, _ = read_all_tensors(path)
        stored = {key: _own_copy(value) for key, value in tensors.items()}
        network = build_empty(
            lambda: build_artefact_network(info.widths, info.depths),
            numbers=sum(value.numel() for value in stored.values()),
            tensors=len(stored),
        )
        network.load_state_dict(stored, assign=True)
    except BROKEN as error:
        raise BadWeights(folder / WEIGHTS_FILE, first_line(error)) from error
    network.eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return ArtefactClassifier(info, network)


def _own_copy(value: Tensor) -> Tensor:
    """A tensor in memory of its own, weights as float32; counters of batches stay whole."""
    dtype = torch.float32 if value.is_floating_point() else value.dtype
    return value.to(dtype, copy=True)
