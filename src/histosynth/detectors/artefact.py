"""The artefact classifier: a ResNet that says how likely a tile is spoilt; weights, card, and use
as a gate.

Its network is transformers' ResNet in the layout of ResNet-18 (He et al. 2016), extra
`histosynth[quality]`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..core import recipe as recipes
from ..core.errors import BadOption, BadRecipe, BadWeights, NeedsExtra, first_line
from ..core.store import atomic_write, sha256_of, write_json
from ..core.tile import Pixels, check_rgb
from ..core.units import is_mpp

GOOD_CLASS = "good"
"""Name of the folder, and class, of tiles without artefacts."""
WEIGHTS = "model.safetensors"
ARTEFACT_CARD = "artefact.json"
MAX_SCALE_RATIO = 1.25
"""Tiles may be coarser than the classifier's scale by this: enlarged further, they look blurred."""
BATCH = 16
MEAN = (0.485, 0.456, 0.406)
SPREAD = (0.229, 0.224, 0.225)
"""Of the channels, in [0, 1]: those that published ResNets were trained with."""


@dataclass(frozen=True)
class TileCounts:
    """So many patients and tiles."""

    patients: int
    good: int
    artefact: int


@dataclass(frozen=True)
class AucInterval:
    """AucInterval under the ROC curve on held-out patients, with its 95 % interval over them."""

    value: float
    low: float
    high: float
    n: int
    """Held-out patients."""


@dataclass(frozen=True)
class ArtefactInfo:
    """`artefact.json`: what a classifier is, in plain values."""

    name: str
    mpp: float
    """Scale it works at, um/px."""
    size_px: int
    """Side of the crops it was trained on."""
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    classes: tuple[str, ...]
    """Folders it learned from: `good`, then those that count as artefact."""
    trained: TileCounts | None = None
    held_out: TileCounts | None = None
    auc: AucInterval | None = None
    sha256: str = ""
    """Of the weights file."""

    def __post_init__(self) -> None:
        if not is_mpp(self.mpp) or not 32 <= self.size_px <= 4096:
            raise ValueError("mpp must lie in [0.05, 20] and size_px in 32..4096")
        check_network_layout(self.widths, self.depths)


def check_network_layout(widths: tuple[int, ...], depths: tuple[int, ...]) -> None:
    """Refuse a network that cannot be built, or not in memory."""
    if len(widths) != len(depths) or not 1 <= len(widths) <= 6:
        raise ValueError("widths and depths must be as many, 1 to 6")
    if not all(0 < width <= 2048 for width in widths) or not all(
        0 < depth <= 64 for depth in depths
    ):
        raise ValueError("widths must lie in 1..2048 and depths in 1..64")


class ArtefactClassifier:
    """Chance of an artefact in a tile; see `prepare.rows.Tools.artefact`.

    Args:
        info: what it is.
        network: with its weights, in evaluation mode.
    """

    def __init__(self, info: ArtefactInfo, network: nn.Module) -> None:
        self.info = info
        self.network = network

    @property
    def name(self) -> str:
        """For the record: name and weights."""
        return f"{self.info.name} {self.info.sha256[:12]}"

    def __call__(self, pixels: Pixels, mpp: float) -> float:
        """Chance in [0, 1] of an artefact in (H, W, 3) uint8 at `mpp`, as if half of all tiles had
        one.

        Raises:
            BadOption: the tile is too coarse to be judged.
        """
        return float(torch.tensor(self.logit(pixels, mpp), dtype=torch.float64).sigmoid())

    @torch.inference_mode()
    def logit(self, pixels: Pixels, mpp: float) -> float:
        """The chance's log odds: those of the tile's worst crop.

        The worst, not the mean: a fold across one corner spoils a tile, and a mean over its other
        crops would hide it.
        """
        check_rgb(pixels, "tile")
        if mpp > MAX_SCALE_RATIO * self.info.mpp:
            limit_mpp = MAX_SCALE_RATIO * self.info.mpp
            most = f"at most {limit_mpp:g} um/px for a classifier of {self.info.mpp:g}"
            raise BadOption("the scale of the tile", f"{mpp:g} um/px", most)
        crops = cut_crops(resize_to_scale(pixels, mpp / self.info.mpp), self.info.size_px)
        like = next(self.network.parameters())
        found = [
            self.network(
                crops_to_input(crops[at : at + BATCH]).to(like, memory_format=torch.channels_last)
            ).logits
            for at in range(0, len(crops), BATCH)
        ]
        return float(torch.cat(found).float().max())


def resize_to_scale(pixels: Pixels, factor: float) -> Pixels:
    """A tile `factor` times as large: area averaging, or Lanczos where it enlarges."""
    height, width = pixels.shape[:2]
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    if size == (width, height):
        return pixels
    method = Image.Resampling.BOX if factor < 1 else Image.Resampling.LANCZOS
    return np.array(
        Image.fromarray(np.ascontiguousarray(pixels)).resize(size, method), dtype=np.uint8
    )


def cut_crops(pixels: Pixels, side: int) -> Pixels:
    """(N, side, side, 3): the fewest crops that cover a tile, spread evenly.

    A tile smaller than a crop is continued by its mirror image, which is as sharp as the tile is.
    """
    lacks = [max(side - length, 0) for length in pixels.shape[:2]]
    if any(lacks):
        pixels = np.pad(pixels, [(0, lacks[0]), (0, lacks[1]), (0, 0)], mode="symmetric")
    tops, lefts = (
        np.linspace(0, length - side, -(-length // side)).round().astype(int)
        for length in pixels.shape[:2]
    )
    return np.stack([pixels[y : y + side, x : x + side] for y in tops for x in lefts])


def crops_to_input(crops: np.ndarray) -> Tensor:
    """(N, H, W, 3) in 0..255 as (N, 3, H, W) float32 in standard deviations of the channels."""
    images = (
        torch.from_numpy(np.ascontiguousarray(crops))
        .permute(
            0,
            3,
            1,
            2,
        )
        .float()
        / 255
    )
    return (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(SPREAD).view(3, 1, 1)


def build_artefact_network(widths: tuple[int, ...], depths: tuple[int, ...]) -> nn.Module:
    """A new ResNet of basic blocks with one logit.

    Raises:
        NeedsExtra: transformers is not installed.
    """
    try:
        from transformers import ResNetConfig, ResNetForImageClassification
    except ImportError as error:
        raise NeedsExtra("transformers", "quality") from error
    configure: Any = ResNetConfig  # its own types do not know what it inherits
    make: Any = ResNetForImageClassification
    layout = {
        "embedding_size": widths[0],
        "hidden_sizes": list(widths),
        "depths": list(depths),
    }
    made: nn.Module = make(
        configure(
            layer_type="basic",
            num_labels=1,
            **layout,
        )
    )
    return made


def load_published_weights(network: nn.Module, folder: Path) -> None:
    """Give a network the weights of a published ResNet on disk, all but the last layer's.

    Args:
        network: as `build_artefact_network` makes it.
        folder: holds `model.safetensors` as the model hub names its tensors.

    Raises:
        BadWeights: there is no such file, or it is of another layout.
    """
    path = folder / WEIGHTS
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise BadWeights(path, first_line(error)) from error
    own = {key: value for key, value in network.state_dict().items() if _is_shared(key)}
    named = {
        key if key.startswith("resnet.") else f"resnet.{key}": value
        for key, value in stored.items()
    }
    wrong = [
        key for key, value in own.items() if key not in named or named[key].shape != value.shape
    ]
    extra = [key for key in named.keys() - own.keys() if _is_shared(key.removeprefix("resnet."))]
    if wrong or extra:
        first = (wrong or sorted(extra))[0]
        reason = f"it is of another layout than model.widths and model.depths say, first at {first}"
        raise BadWeights(path, reason)
    network.load_state_dict({key: named[key].float() for key in own}, strict=False)


def _is_shared(key: str) -> bool:
    """Whether networks of one layout share it: the last layer's classes and batch norm's counts
    are own.
    """
    return not key.startswith("classifier.") and not key.endswith("num_batches_tracked")


def save_artefact(folder: Path, info: ArtefactInfo, weights: Mapping[str, Tensor]) -> ArtefactInfo:
    """Write `model.safetensors` and `artefact.json`; returns `info` with the weights' sha256.

    Weights stay float32: the variances of batch norm reach below what float16 can hold.
    """
    stored = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
    with atomic_write(folder / WEIGHTS) as temporary:
        save_file(stored, temporary)
    info = replace(info, sha256=sha256_of(folder / WEIGHTS))
    write_json(folder / ARTEFACT_CARD, asdict(info))
    return info


def load_artefact(folder: Path) -> ArtefactClassifier:
    """Load a classifier's folder, once a process, onto the CPU.

    Raises:
        BadWeights: a file is missing, not what it says, or of another shape.
        NeedsExtra: transformers is not installed.
    """
    path = folder / ARTEFACT_CARD
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _open(folder, recipes.build(values, ArtefactInfo, name=str(path)))
    except (OSError, ValueError, BadRecipe) as error:
        raise BadWeights(path, first_line(error)) from error


@cache
def _open(folder: Path, info: ArtefactInfo) -> ArtefactClassifier:
    path = folder / WEIGHTS
    try:
        if sha256_of(path) != info.sha256:
            raise BadWeights(path, f"its sha256 is not the one that {ARTEFACT_CARD} names")
        network = build_artefact_network(info.widths, info.depths)
        network.load_state_dict(load_file(path))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise BadWeights(path, first_line(error)) from error
    network.eval().requires_grad_(False)
    return ArtefactClassifier(info, network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
