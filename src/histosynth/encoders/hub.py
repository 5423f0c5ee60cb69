"""Any network of timm that a user has access to: UNI, H-optimus and their like; extra
`histosynth[encoders]`.

timm only builds the network that a folder's `config.json` describes. Numbers are read from its
`model.safetensors`, and from nothing else; code that lies beside them is never run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import torch
from torch import Tensor

from ..core.errors import BadOption, BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels
from .dinov2 import Seen
from .encoder import Embedded
from .precision import autocast
from .repository import CONFIG, WEIGHTS, folder_of, read_json, weights_sha256
from .resizing import whole_signal
from .weight_files import fill, read_tensors

BATCH = 16
PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")
HEADS = ("head.", "head.fc.", "fc.", "classifier.", "head_dist.")
"""Where timm's networks keep their classifiers, which are left out."""


class HubEncoder:
    """See `Encoder`. Features are what the network gives without its classifier; it has no spatial
    ones.

    Args:
        model: (B, 3, H, W) to (B, D).
        name: short.
        about: what must be said beside its numbers.
        seen: how it wants to see pictures.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        about: dict[str, str],
        seen: Seen,
    ) -> None:
        self.model = model
        self.name = name
        self.seen = seen
        self.bf16 = False
        self.about = seen.told() | about

    @torch.inference_mode()
    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features: list[Tensor] = []
        for start in range(0, len(pictures), BATCH):
            batch = pictures[start : start + BATCH]
            with autocast(self.bf16):
                out = self.model(
                    whole_signal(
                        batch,
                        self.seen.size,
                        self.seen.mean,
                        self.seen.std,
                    )
                )
            if out.ndim != 2:
                shape = tuple(out.shape)
                raise BadOption(
                    "encoder",
                    f"{self.name}, which gives {shape}",
                    "one that gives (pictures, D)",
                )
            features.append(out)
        return Embedded(torch.cat(features).float().numpy())


def load_hub(identity: str, weights: Path | None = None) -> HubEncoder:
    """A network of timm.

    Args:
        identity: `hf-hub:owner/name[@revision]`, a folder, or a name of timm's own. What its config
            leaves out can be said after it, as models' cards say it to timm:
            `?init_values=1e-5&img_size=224`.
        weights: a folder with the same files; nothing is fetched then.

    Raises:
        NeedsExtra: timm is not installed.
        BadOption: what stands after `?` is no list of values.
        BadWeights: the network is neither here nor to be had, is gated, or does not fit its
            weights.
    """
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise NeedsExtra("timm", "encoders") from error
    source, _, said = identity.partition("?")
    for prefix in PREFIXES:
        source = source.removeprefix(prefix)
    if not Path(source).is_dir() and "/" not in source:
        source = f"timm/{source}"  # where timm keeps its own
    where = str(weights) if weights else source
    folder = folder_of(where, (CONFIG, WEIGHTS), option="hub:FOLDER, or --weights FOLDER")
    config = read_json(folder / CONFIG)
    sha256 = weights_sha256(folder)
    pretrained = config.get("pretrained_cfg", config)  # older files hold one list of all
    architecture = config.get("architecture")
    if not isinstance(architecture, str) or not isinstance(pretrained, dict):
        raise BadWeights(
            folder / CONFIG,
            "it names no architecture of timm",
            "Give a network of timm.",
        )
    arguments = {
        **(config.get("model_args") or {}),
        **_arguments(said),
        "num_classes": 0,
    }
    try:
        model = timm.create_model(architecture, pretrained=False, **arguments)
        data = timm.data.resolve_model_data_config(model, pretrained_cfg=pretrained)
        _, height, width = data["input_size"]
        seen = Seen((int(height), int(width)), tuple(data["mean"]), tuple(data["std"]))
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        reason = f"timm cannot build it: {first_line(error)}"
        more = (
            "Say what the config leaves out after `?`, as its card says it, e.g. ?init_values=1e-5."
        )
        raise BadWeights(folder, reason, more) from error
    tensors, _ = read_tensors(folder / WEIGHTS, ())
    fill(
        model,
        tensors,
        folder / WEIGHTS,
        beside=_unused(model),
    )
    about = {
        "encoder": source,
        "architecture": architecture,
        "weights_sha256": sha256,
    }
    if said:
        about["arguments"] = said
    return HubEncoder(
        model,
        source.partition("@")[0].rstrip("/").rpartition("/")[2],
        about,
        seen,
    )


def _unused(model: Any) -> tuple[str, ...]:
    """Classifiers' names, but for those under which this network has parameters of its own."""
    own = tuple(model.state_dict())
    return tuple(head for head in HEADS if not any(key.startswith(head) for key in own))


def _arguments(said: str) -> dict[str, Any]:
    """`a=1e-5&b=true` as values."""
    try:
        pairs = parse_qsl(said, keep_blank_values=True, strict_parsing=True) if said else []
        found = {}
        for key, value in pairs:
            try:
                found[key] = json.loads(value)
            except ValueError:
                found[key] = value  # a word
    except ValueError as error:
        raise BadOption("encoder", f"?{said}", "of the form ?name=value&name=value") from error
    if "pretrained" in found or "checkpoint_path" in found:
        raise BadOption(
            "encoder",
            f"?{said}",
            "without files of weights: these come by --weights",
        )
    return found
