"""DINOv2 (Oquab et al. 2023) and its kin, by transformers; extra `histosynth[quality]`.

Stein et al. (2023) found that distances between its features follow people's judgement better than
those of Inception. Networks of the same make that learned from histology (Phikon) load the same
way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels
from .encoder import Embedded
from .precision import autocast
from .repository import CONFIG, INDEX, folder_of, read_json, weights_sha256
from .resizing import whole_signal

DEFAULT = "facebook/dinov2-base"
CLASSES = ("dinov2", "dinov2_with_registers", "vit")
"""Makes of network whose first token stands for the picture, by transformers' names."""
PROCESSOR = "preprocessor_config.json"
BATCH = 16
GRID = 7
"""Places a side of the spatial features."""
CHANNELS = 8
"""Channels of the spatial features, about as few as sFID takes."""
SIDE = 224
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet, in [0, 1]."""


@dataclass(frozen=True)
class Seen:
    """How a network sees pictures: (height, width) in px, mean and spread of channels in [0, 1]."""

    size: tuple[int, int] = (SIDE, SIDE)
    mean: Sequence[float] = MEAN
    std: Sequence[float] = STD

    def told(self) -> dict[str, str]:
        """For `about`."""
        mean, std = (", ".join(f"{value:g}" for value in each) for each in (self.mean, self.std))
        height, width = self.size
        resize = f"{width} x {height}, whole picture, PIL bicubic with antialiasing in 8 bits"
        return {
            "resize": resize,
            "input": f"RGB in [0, 1], less ({mean}), by ({std})",
            "numbers": "float32",
        }


class DinoEncoder:
    """See `Encoder`.

    Features are the class token of the last layer, after its norm. Spatial ones are the first 8
    channels of its patch tokens, averaged on a 7 x 7 grid.

    Args:
        model: gives `last_hidden_state` (B, 1 + registers + patches, D) of `pixel_values`.
        name: short.
        about: what must be said beside its numbers.
        seen: how it wants to see pictures.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        about: Mapping[str, str],
        seen: Seen,
    ) -> None:
        self.model = model
        self.name = name
        self.seen = seen
        self.bf16 = False
        self.about = {**seen.told(), **about}
        self.skip = 1 + int(getattr(model.config, "num_register_tokens", 0) or 0)

    @torch.inference_mode()
    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features = []
        spatial = []
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            signal = whole_signal(
                batch,
                self.seen.size,
                self.seen.mean,
                self.seen.std,
            )
            with autocast(self.bf16):
                tokens: Tensor = self.model(pixel_values=signal).last_hidden_state.float()
            features.append(tokens[:, 0])
            patches = tokens[:, self.skip :, :CHANNELS]
            side = math.isqrt(patches.shape[1])
            places = patches.transpose(1, 2).reshape(
                len(batch),
                CHANNELS,
                side,
                side,
            )
            spatial.append(F.adaptive_avg_pool2d(places, GRID).flatten(1))
        return Embedded(torch.cat(features).numpy(), torch.cat(spatial).numpy())


def load_dinov2(source: str = "") -> DinoEncoder:
    """A network of transformers by its folder or its name on the hub.

    Args:
        source: a folder with `config.json` and `model.safetensors`, or `owner/name[@revision]` on
            the hub;
            empty: `facebook/dinov2-base`.

    Raises:
        NeedsExtra: transformers is not installed.
        BadWeights: the network is neither here nor to be had, or of another make.
    """
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise NeedsExtra("transformers", "quality") from error
    source = source or DEFAULT
    wanted = (CONFIG, PROCESSOR, INDEX, "model*.safetensors")
    folder = folder_of(source, wanted, option="dinov2:FOLDER, or --weights FOLDER")
    kind = str(read_json(folder / CONFIG).get("model_type"))
    if kind not in CLASSES:
        other = f"Give a model of one of these makes: {', '.join(CLASSES)}."
        raise BadWeights(
            folder,
            f"it is a {kind}, whose tokens this encoder does not know",
            other,
        )
    sha256 = weights_sha256(folder)
    seen = _seen(read_json(folder / PROCESSOR, absent={}), folder)
    try:
        model, told = AutoModel.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise BadWeights(folder, first_line(error)) from error
    absent = [
        key for key in told["missing_keys"] if "pooler" not in key and "mask_token" not in key
    ]
    if absent or told["mismatched_keys"]:
        count = len(absent) + len(told["mismatched_keys"])
        raise BadWeights(folder, f"{count} of its tensors are absent or of another shape")
    model.eval().requires_grad_(False)
    short = source.partition("@")[0].rstrip("/").rpartition("/")[2]
    name = (
        short
        if short.startswith("dinov2")
        else f"dinov2-{short}"
        if kind != "vit"
        else f"vit-{short}"
    )
    about = {
        "encoder": source,
        "make": kind,
        "weights_sha256": sha256,
    }
    return DinoEncoder(model, name, about, seen)


def _seen(processor: dict[str, Any], folder: Path) -> Seen:
    """What the processor's file says of the size that goes in at last, and of the normalization."""
    if not processor:
        return Seen()
    try:
        cut = (
            processor.get("crop_size") if processor.get("do_center_crop") else processor.get("size")
        )
        cut = cut or SIDE
        size = (cut, cut) if isinstance(cut, int) else (cut["height"], cut["width"])
        mean = processor.get("image_mean", MEAN)
        std = processor.get("image_std", STD)
        good = (
            all(0 < side <= 2048 for side in size) and len(mean) == len(std) == 3 and min(std) > 0
        )
        if not good:
            raise ValueError("its size, mean or std cannot be")
        return Seen(
            (int(size[0]), int(size[1])),
            tuple(map(float, mean)),
            tuple(map(float, std)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadWeights(
            folder / PROCESSOR, f"it does not say how pictures go in: {error}"
        ) from error
