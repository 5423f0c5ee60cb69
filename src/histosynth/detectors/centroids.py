"""The embedded multi-class detector: weights, card, and how it looks at tissue of any size."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..core.errors import BadWeights, first_line
from ..core.store import atomic_write, sha256_of, write_json
from ..core.tile import Pixels
from .detector import DetectedNuclei
from .info import SHIPPED_DETECTOR, WEIGHTS, DetectorInfo, read_detector_info
from .network import CELL_PX, CentroidNet, find_peaks

WINDOW_PX = 768
"""Largest side looked at in one pass."""


class CentroidDetector:
    """Nuclei with classes by a small network; see `prepare.nuclei.detector.Detector`.

    Args:
        info: what it is.
        network: with its weights.
    """

    halo_px = 64
    """Tissue it must see around a place to judge as it would on the whole slide."""

    def __init__(self, info: DetectorInfo, network: CentroidNet) -> None:
        self.info = info
        self.network = network
        self.mpp = info.mpp
        self.classes = info.classes
        self.lattice_px = network.stride

    @property
    def name(self) -> str:
        """For the record: name and weights."""
        return self.info.full_name

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture at `mpp`; see the protocol."""
        heat, classes = self.maps(pixels)
        xy, class_ids, score = find_peaks(heat, classes, threshold=self.info.threshold)
        height, width = pixels.shape[:2]
        inside = (xy[:, 0] < width - 0.5) & (xy[:, 1] < height - 0.5)
        return DetectedNuclei(
            xy[inside].numpy().astype(np.float32),
            class_ids[inside].numpy().astype(np.uint8),
            score[inside].numpy().astype(np.float32),
        )

    @torch.inference_mode()
    def maps(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Heat (h, w) in [0, 1] and class logits (K, h, w), one value for each 2 x 2 px."""
        height, width = pixels.shape[:2]
        tall, wide = (-(-side // self.lattice_px) * self.lattice_px for side in (height, width))
        padded = np.pad(pixels, ((0, tall - height), (0, wide - width), (0, 0)), mode="edge")
        like = next(self.network.parameters())
        heat = torch.empty(tall // CELL_PX, wide // CELL_PX)
        classes = torch.empty(len(self.classes), tall // CELL_PX, wide // CELL_PX)
        core = WINDOW_PX - 2 * self.halo_px
        for top in range(0, tall, core):
            for left in range(0, wide, core):
                y0 = max(top - self.halo_px, 0)
                x0 = max(left - self.halo_px, 0)
                cut = padded[y0 : top + core + self.halo_px, x0 : left + core + self.halo_px]
                image = picture_to_signal(cut)[None].to(like, memory_format=torch.channels_last)
                one, many = (out.float().cpu() for out in self.network(image))
                bottom = min(top + core, tall)
                right = min(left + core, wide)
                to = np.s_[top // CELL_PX : bottom // CELL_PX, left // CELL_PX : right // CELL_PX]
                here = np.s_[
                    (top - y0) // CELL_PX : (bottom - y0) // CELL_PX,
                    (left - x0) // CELL_PX : (right - x0) // CELL_PX,
                ]
                heat[to] = one[0, 0][here].sigmoid()
                classes[(slice(None), *to)] = many[0][(slice(None), *here)]
        return heat, classes


def picture_to_signal(pixels: Pixels) -> Tensor:
    """(H, W, 3) uint8 as (3, H, W) float32 in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 127.5 - 1


def save_detector(folder: Path, info: DetectorInfo, weights: dict[str, Tensor]) -> None:
    """Write `model.safetensors` (float16) and `detector.json` with its sha256."""
    stored = {key: value.detach().cpu().half().contiguous() for key, value in weights.items()}
    with atomic_write(folder / WEIGHTS) as temporary:
        save_file(stored, temporary)
    values = asdict(info) | {"sha256": sha256_of(folder / WEIGHTS)}
    write_json(folder / "detector.json", values)


@cache
def load_detector(folder: Path = SHIPPED_DETECTOR) -> CentroidDetector:
    """Load a detector's folder, once a process.

    Raises:
        BadWeights: a file is missing, not what it says, or of another shape.
    """
    path = folder / WEIGHTS
    try:
        info = read_detector_info(folder)
        if sha256_of(path) != info.sha256:
            raise BadWeights(path, "its sha256 is not the one that detector.json names")
        network = CentroidNet(len(info.classes), widths=info.widths, blocks=info.blocks)
        network.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadWeights(path, first_line(error)) from error
    network.eval().requires_grad_(False)
    return CentroidDetector(info, network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
