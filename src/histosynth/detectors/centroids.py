"""The embedded multi-class detector: weights, card, and detection on pictures of any size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.errors import BadWeights, first_line
from ..core.store import write_json
from ..core.tile import Pixels
from ..core.weights_folder import WEIGHTS_FILE, checked_weights, write_weights
from ..tensors.building import build_empty
from ..tensors.faults import BROKEN
from ..tensors.files import read_all_tensors, write_tensors
from .detector import DetectedNuclei
from .fast_network import FastCentroidNet
from .info import (
    DETECTOR_CARD,
    SHIPPED_DETECTOR,
    DetectorInfo,
    NetworkName,
    read_detector_info,
)
from .network import CELL_PX, CentroidNet, find_peaks

_WINDOW_PX = 768
"""Largest side that goes through the network in one pass, where nothing else is stated."""
_LARGE_WINDOW_PX = 1408
"""The same where time counts: a tile of 1,024 px with the tissue around it."""


class CentroidDetector:
    """Nuclei with classes by a small network; see `Detector`.

    Args:
        info: its card.
        network: with its weights.
        window_px: largest side that goes through the network in one pass.
    """

    def __init__(
        self,
        info: DetectorInfo,
        network: CentroidNet | FastCentroidNet,
        *,
        window_px: int = _WINDOW_PX,
    ) -> None:
        self.info = info
        self.network = network
        self.window_px = window_px
        self.mpp = info.mpp
        self.classes = info.classes
        self.halo_px = network.halo_px
        self.lattice_px = network.stride

    @property
    def name(self) -> str:
        """For the record: name and weights."""
        return self.info.full_name

    def with_large_windows(self) -> CentroidDetector:
        """The same; pictures of up to 1,280 px a side take one pass: less time, more memory."""
        return CentroidDetector(
            self.info,
            self.network,
            window_px=_LARGE_WINDOW_PX,
        )

    def __call__(self, pixels: Pixels) -> DetectedNuclei:
        """Nuclei of a picture at `mpp`; see the protocol."""
        heat, classes = self.maps(pixels)
        xy, class_ids, score = find_peaks(
            heat,
            classes,
            threshold=self.info.threshold,
        )
        height, width = pixels.shape[:2]
        inside = (xy[:, 0] < width - 0.5) & (xy[:, 1] < height - 0.5)
        return DetectedNuclei(
            xy[inside].numpy().astype(np.float32),
            class_ids[inside].numpy().astype(np.uint8),
            score[inside].numpy().astype(np.float32),
        )

    @torch.inference_mode()
    def maps(self, pixels: Pixels) -> tuple[Tensor, Tensor]:
        """Heat (h, w) in [0, 1] and class logits (K, h, w), one value for each 2 x 2 px.

        A large picture is processed in windows that overlap by the halo; only their cores are kept.
        """
        padded = self._pad_to_lattice(pixels)
        height, width = padded.shape[:2]
        core = self.window_px - 2 * self.halo_px
        if max(height, width) <= core:
            whole_heat, whole_classes = self._run_network(padded)
            return whole_heat.sigmoid(), whole_classes
        heat = torch.empty(
            height // CELL_PX,
            width // CELL_PX,
        )
        classes = torch.empty(
            len(self.classes),
            height // CELL_PX,
            width // CELL_PX,
        )
        for top in range(0, height, core):
            for left in range(0, width, core):
                window_top = max(top - self.halo_px, 0)
                window_left = max(left - self.halo_px, 0)
                bottom = min(top + core, height)
                right = min(left + core, width)
                window_heat, window_classes = self._run_network(
                    padded[
                        window_top : top + core + self.halo_px,
                        window_left : left + core + self.halo_px,
                    ]
                )
                rows = slice(top // CELL_PX, bottom // CELL_PX)
                columns = slice(left // CELL_PX, right // CELL_PX)
                core_rows = slice(
                    (top - window_top) // CELL_PX,
                    (bottom - window_top) // CELL_PX,
                )
                core_columns = slice(
                    (left - window_left) // CELL_PX,
                    (right - window_left) // CELL_PX,
                )
                heat[rows, columns] = window_heat[core_rows, core_columns].sigmoid()
                classes[:, rows, columns] = window_classes[:, core_rows, core_columns]
        return heat, classes

    def _pad_to_lattice(self, pixels: Pixels) -> Pixels:
        """The picture continued to the right and below, to sides that the network takes."""
        height, width = pixels.shape[:2]
        below = -height % self.lattice_px
        right = -width % self.lattice_px
        return np.pad(
            pixels,
            ((0, below), (0, right), (0, 0)),
            mode="edge",
        )

    def _run_network(self, window: Pixels) -> tuple[Tensor, Tensor]:
        """Logits of heat (h, w) and of classes (K, h, w), float32 on the CPU."""
        like = next(self.network.parameters())
        image = picture_to_signal(window)[None].to(
            like,
            memory_format=torch.channels_last,
        )
        heat, classes = self.network(image)
        return heat.float().cpu()[0, 0], classes.float().cpu()[0]


def build_network(
    name: NetworkName,
    classes: int,
    widths: Sequence[int],
    blocks: Sequence[int],
) -> CentroidNet | FastCentroidNet:
    """An untrained network of that name; see the classes for the arguments."""
    network_type = FastCentroidNet if name == "fast" else CentroidNet
    return network_type(
        classes,
        widths=widths,
        blocks=blocks,
    )


def picture_to_signal(pixels: Pixels) -> Tensor:
    """(H, W, 3) uint8 as (3, H, W) float32 in [-1, 1]."""
    # a copy: torch warns of pixels that are read-only, as those of tiles are
    values = torch.from_numpy(np.array(pixels, order="C"))
    return values.permute(2, 0, 1).float().div_(127.5).sub_(1)


def save_detector(
    folder: Path,
    info: DetectorInfo,
    weights: dict[str, Tensor],
) -> None:
    """Write `model.safetensors` (float16) and `detector.json` with its sha256."""
    stored = {key: value.detach().cpu().half().contiguous() for key, value in weights.items()}
    sha256 = write_weights(
        folder,
        lambda path: write_tensors(path, stored),
    )
    write_json(
        folder / DETECTOR_CARD,
        asdict(replace(info, sha256=sha256)),
    )


@cache
def load_detector(folder: Path = SHIPPED_DETECTOR) -> CentroidDetector:
    """Load a detector's folder, once a process.

    Raises:
        BadWeights: a file is missing, not what it should be, or of another shape.
    """
    try:
        info = read_detector_info(folder)
        path = checked_weights(
            folder,
            info.sha256,
            card=DETECTOR_CARD,
        )
        tensors, _ = read_all_tensors(path)
        stored = {key: value.to(torch.float32, copy=True) for key, value in tensors.items()}
        network = build_empty(
            lambda: build_network(info.network, len(info.classes), info.widths, info.blocks),
            numbers=sum(value.numel() for value in stored.values()),
            tensors=len(stored),
        )
        network.load_state_dict(stored, assign=True)
    except BROKEN as error:
        raise BadWeights(
            folder / WEIGHTS_FILE,
            first_line(error),
        ) from error
    network.eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return CentroidDetector(info, network)
