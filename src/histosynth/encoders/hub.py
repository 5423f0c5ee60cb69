"""Any network of timm that a user has access to (UNI, H-optimus, ...); extra
`histosynth[encoders]`.

timm only builds the network that a folder's `config.json` describes. Tensors are read from its
`model.safetensors`, and from nothing else; code that lies next to them is never run.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import parse_qsl

import torch
from torch import Tensor, nn

from ..core.errors import BadOption, BadWeights, NeedsExtra, first_line
from ..core.tile import Pixels
from ..core.weights_folder import WEIGHTS_FILE
from ..tensors.building import bounded_building
from ..tensors.faults import BROKEN
from ..tensors.header import count_numbers, read_tensor_header
from ..tensors.settings import read_settings, refuse_code, settings_within_bounds
from .encoder import Embedded
from .precision import autocast
from .repository import CONFIG_FILE, repository_folder, weights_sha256
from .resizing import Preprocessing
from .weight_files import load_tensors_into, read_tensors

_BATCH = 16
_PREFIXES = ("hf-hub:", "hf_hub:", "local-dir:")
_CLASSIFIERS = ("head.", "head.fc.", "fc.", "classifier.", "head_dist.")
"""Where timm's networks keep their classifiers, which are left out."""
_ARCHITECTURE = re.compile(r"[\w.-]{1,200}")
"""Names of timm's own. With a colon it would fetch a network, or open a folder."""
_WEIGHT_ARGUMENTS = (
    "cache_dir",
    "checkpoint_path",
    "pretrained",
    "pretrained_cfg",
    "pretrained_cfg_overlay",
)
"""Arguments of timm that would make it read weights by itself."""


class HubEncoder:
    """See `Encoder`. Features are the network's output without its classifier; it has no spatial
    ones.

    Args:
        model: (B, 3, H, W) to (B, D).
        name: short.
        about: what must be reported with its numbers.
        preprocessing: how it takes pictures.
    """

    def __init__(
        self,
        model: nn.Module,
        name: str,
        about: dict[str, str],
        preprocessing: Preprocessing,
    ) -> None:
        self.model = model
        self.name = name
        self.preprocessing = preprocessing
        self.bf16 = False
        self.about = preprocessing.description() | about

    @torch.inference_mode()
    def embed(self, pictures: Pixels) -> Embedded:
        """See `Encoder.embed`."""
        features: list[Tensor] = []
        for start in range(0, len(pictures), _BATCH):
            signal = self.preprocessing.apply(pictures[start : start + _BATCH])
            with autocast(self.bf16):
                output: Tensor = self.model(signal)
            if output.ndim != 2:
                found = f"{self.name}, which gives {tuple(output.shape)}"
                raise BadOption("encoder", found, "one that gives (pictures, D)")
            features.append(output)
        return Embedded(torch.cat(features).float().numpy())


def load_hub(identity: str, weights: Path | None = None) -> HubEncoder:
    """A network of timm.

    Args:
        identity: `hf-hub:owner/name[@revision]`, a folder, or a name of timm's own. What its config
            leaves out can be added after it, as model cards pass it to timm:
            `?init_values=1e-5&img_size=224`.
        weights: a folder with the same files; nothing is fetched then.

    Raises:
        NeedsExtra: timm is not installed.
        BadOption: the part after `?` is no list of values.
        BadWeights: the network is neither on this machine nor available, is gated, or does not fit
            its weights.
    """
    try:
        import timm
        import timm.data
    except ImportError as error:
        raise NeedsExtra("timm", "encoders") from error
    source, _, arguments = identity.partition("?")
    source = _repository_name(source)
    folder = repository_folder(
        str(weights) if weights else source,
        (CONFIG_FILE, WEIGHTS_FILE),
        option="hub:FOLDER, or --weights FOLDER",
    )
    config = read_settings(folder / CONFIG_FILE)
    sha256 = weights_sha256(folder)
    shapes = read_tensor_header(folder / WEIGHTS_FILE).shapes
    pretrained = config.get("pretrained_cfg", config)  # older files hold one list of all
    architecture = config.get("architecture")
    if not _is_own_name(architecture) or not isinstance(pretrained, dict):
        reason = "it names no architecture of timm"
        raise BadWeights(folder / CONFIG_FILE, reason, "Give a network of timm.")
    options = _model_arguments(config, folder / CONFIG_FILE)
    options.update(_parse_arguments(arguments))
    options["num_classes"] = 0
    try:
        with bounded_building(numbers=count_numbers(shapes), tensors=len(shapes)):
            model = timm.create_model(architecture, pretrained=False, **options)
        data = timm.data.resolve_model_data_config(model, pretrained_cfg=pretrained)
        preprocessing = _preprocessing_of(data)
    except BROKEN as error:
        reason = f"timm cannot build it: {first_line(error)}"
        remedy = (
            "Add what the config leaves out after `?`, as its card gives it, e.g. "
            "?init_values=1e-5."
        )
        raise BadWeights(folder, reason, remedy) from error
    _load_model_weights(model, folder / WEIGHTS_FILE)
    about = {
        "encoder": source,
        "architecture": architecture,
        "weights_sha256": sha256,
    }
    if arguments:
        about["arguments"] = arguments
    name = source.partition("@")[0].rstrip("/").rpartition("/")[2]
    return HubEncoder(
        model,
        name,
        about,
        preprocessing,
    )


def _is_own_name(architecture: object) -> TypeGuard[str]:
    """Whether a value is a name that timm itself may have."""
    return isinstance(architecture, str) and bool(_ARCHITECTURE.fullmatch(architecture))


def _model_arguments(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Arguments of the network that a config gives.

    Raises:
        BadWeights: one is out of bounds, or would make timm read weights.
    """
    arguments = config.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise BadWeights(path, "its model_args are no names with values")
    for name in _WEIGHT_ARGUMENTS:
        if arguments.get(name):
            raise BadWeights(path, f"it would make timm read weights by itself ({name})")
    refuse_code(arguments, path)
    return settings_within_bounds(arguments, path)


def _repository_name(source: str) -> str:
    """A folder or `owner/name`, without the prefixes that timm uses."""
    for prefix in _PREFIXES:
        source = source.removeprefix(prefix)
    if Path(source).is_dir() or "/" in source:
        return source
    return f"timm/{source}"  # where timm keeps its own


def _preprocessing_of(data: dict[str, Any]) -> Preprocessing:
    _, height, width = data["input_size"]
    return Preprocessing(
        (int(height), int(width)),
        tuple(data["mean"]),
        tuple(data["std"]),
    )


def _load_model_weights(model: nn.Module, path: Path) -> None:
    """Fill a network from a file, without the file's classifier.

    A classifier's name is not left out where this network has parameters of that name.
    """
    own = tuple(model.state_dict())
    unused = []
    for prefix in _CLASSIFIERS:
        if not any(key.startswith(prefix) for key in own):
            unused.append(prefix)
    tensors, _ = read_tensors(path, ())
    load_tensors_into(
        model,
        tensors,
        path,
        ignored_prefixes=tuple(unused),
    )


def _parse_arguments(text: str) -> dict[str, Any]:
    """`a=1e-5&b=true` as values.

    Raises:
        BadOption: it is not of that form, or would make timm read weights.
    """
    if not text:
        return {}
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise BadOption("encoder", f"?{text}", "of the form ?name=value&name=value") from error
    values = {name: _parse_value(value) for name, value in pairs}
    if any(name in values for name in _WEIGHT_ARGUMENTS):
        wanted = "without files of weights: these come by --weights"
        raise BadOption("encoder", f"?{text}", wanted)
    return values


def _parse_value(text: str) -> Any:
    """A JSON value, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
