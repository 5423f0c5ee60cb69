"""A Stable Diffusion checkpoint in one .safetensors file, as first published, opened as diffusers'
networks.

Such a file names its weights as the code of latent diffusion did (Rombach et al. 2022):
`model.diffusion_model.` is the U-Net, `first_stage_model.` the autoencoder, `cond_stage_model.` the
text encoder. It holds no settings, no tokenizer and no record of what the U-Net predicts;
settings come from the package or a folder in diffusers' layout.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor

from ...core.errors import BadOption, BadWeights, first_line
from ...core.store import sha256_of
from ...tensors.building import build_empty
from ...tensors.faults import BROKEN
from ...tensors.files import open_tensors
from ...tensors.header import read_tensor_header
from ...tensors.settings import network_settings, read_settings
from ..prediction import PredictionType
from ..stored_types import refuse_quantised

if TYPE_CHECKING:
    from transformers import CLIPTextModel

Version = Literal["sd1", "sd2"]
PartSettings = dict[str, dict[str, Any]]
"""diffusers' settings, by part: `unet`, `vae`, `text_encoder` and `scheduler`."""
_Weights = dict[str, Tensor]
Shapes = Mapping[str, tuple[int, ...]]

_UNET = "model.diffusion_model."
_VAE = "first_stage_model."
_TEXT: dict[Version, str] = {
    "sd1": "cond_stage_model.transformer.",
    "sd2": "cond_stage_model.model.",
}
_INPUT_WEIGHT = f"{_UNET}input_blocks.0.0.weight"
_CONTEXT_WEIGHT = f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_CONFIG_FILES = {
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "text_encoder": "text_encoder/config.json",
    "scheduler": "scheduler/scheduler_config.json",
}
_CLIP_TOKENIZER_FILES = ("vocab.json", "merges.txt")
_INPUT_CHANNELS = (4, 9)
_GIVE_ORIGINAL = (
    "Give an original checkpoint of Stable Diffusion 1 or 2, or a folder in diffusers' layout."
)
_CONVERT = (
    "Convert it: read its state_dict with torch's own loader, weights_only=True, and write that "
    "with save_file of safetensors."
)
_GIVE_SETTINGS = "Give the settings of its own base: a folder in diffusers' layout, as config."


@dataclass(frozen=True, eq=False)
class Parts:
    """What a single file holds, with its settings.

    Attributes:
        version: `sd1` reads CLIP, `sd2` reads OpenCLIP.
        unet: float32 on the CPU, frozen, as the other two.
        autoencoder: of the latents.
        text_encoder: of the prompts.
        tokenizer_folder: named by the caller; the file holds none.
        scheduler_config: diffusers' settings of the noise, always with `prediction_type`.
        sha256: of the file.
    """

    version: Version
    unet: UNet2DConditionModel
    autoencoder: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer_folder: Path
    scheduler_config: dict[str, Any]
    sha256: str

    @property
    def inpainting(self) -> bool:
        """Whether the U-Net takes noisy latents (4), the mask (1) and the masked picture's latents
        (4), in this order.
        """
        return bool(self.unet.config["in_channels"] == 9)


@dataclass(frozen=True)
class _Layout:
    """What names and shapes of the weights determine.

    Attributes:
        version: of Stable Diffusion.
        channels: that the U-Net takes.
        text_width: of the text that it reads.
    """

    version: Version
    channels: int
    text_width: int


_AMBIGUOUS = _Layout("sd2", 4, 1024)
"""Published with epsilon and with v-prediction."""


def open_single_file(
    path: Path,
    *,
    config: Path | None = None,
    tokenizer: Path | None = None,
    prediction: PredictionType | None = None,
) -> Parts:
    """Open a checkpoint of Stable Diffusion 1 or 2 or of their inpainting versions, without any
    internet access.

    Averaged weights (`model_ema.`) are used where a file holds both, as in the published folders.

    Args:
        path: the .safetensors file.
        config: a folder in diffusers' layout whose settings, scheduler and tokenizer are used;
            None: the settings that were published.
        tokenizer: a folder with the tokenizer's files; None: `tokenizer/` in `config`.
        prediction: `epsilon` or `v_prediction`; None: what `config` states, and without one
            epsilon. Only Stable Diffusion 2 was published with either, and no file records which:
            there it must be given.

    Raises:
        BadOption: `prediction` is neither.
        BadWeights: the file is no safetensors, damaged, of another type or fits other settings; or
            settings, tokenizer or prediction are unknown.
    """
    if prediction not in (None, "epsilon", "v_prediction"):
        raise BadOption("prediction", prediction, "epsilon or v_prediction")
    shapes = _read_shapes(path)
    layout = _read_layout(path, shapes)
    tokenizer_folder = _check_tokenizer(path, tokenizer or (config and config / "tokenizer"))
    settings = _read_settings(
        path,
        layout,
        config=config,
        prediction=prediction,
    )
    weights = _read_weights(path, shapes, layout.version)
    unet = _build(path, settings["unet"], weights, _convert_unet)
    autoencoder = _build(path, settings["vae"], weights, _convert_autoencoder)
    text_encoder = _build(
        path,
        settings["text_encoder"],
        weights,
        _convert_text_encoder,
    )
    return Parts(
        version=layout.version,
        unet=unet,
        autoencoder=autoencoder,
        text_encoder=text_encoder,
        tokenizer_folder=tokenizer_folder,
        scheduler_config=settings["scheduler"],
        sha256=sha256_of(path),
    )


def published_settings(
    version: Version,
    *,
    channels: int = 4,
    prediction: PredictionType = "epsilon",
) -> PartSettings:
    """Settings of the published bases by part: `unet`, `vae`, `text_encoder` and `scheduler`."""
    file = files(__package__).joinpath("configs", f"{version}.json")
    settings: PartSettings = json.loads(file.read_text(encoding="utf-8"))
    settings["unet"]["in_channels"] = channels
    if prediction == "v_prediction":
        settings["unet"] |= {"sample_size": 96, "upcast_attention": True}
        settings["scheduler"]["prediction_type"] = prediction
    return settings


def _read_shapes(path: Path) -> Shapes:
    """Shapes of all tensors of a file whose weights can be used.

    Raises:
        BadWeights: it is no safetensors file, damaged, or quantised.
    """
    if not path.is_file():
        raise BadWeights(path, "there is no such file")
    if path.suffix.lower() != ".safetensors":
        reason = "it is no .safetensors, and others may run code when opened"
        raise BadWeights(path, reason, _CONVERT)
    try:
        shapes = read_tensor_header(path).shapes
    except BadWeights as error:
        reason = f"it is damaged or no safetensors file ({error.reason})"
        raise BadWeights(path, reason) from error
    refuse_quantised([path])
    return shapes


def _read_layout(path: Path, shapes: Shapes) -> _Layout:
    """The layout of a checkpoint, from its names and shapes.

    Raises:
        BadWeights: it is no Stable Diffusion 1 or 2, or not all of one.
    """
    input_shape = shapes.get(_INPUT_WEIGHT, ())
    context_shape = shapes.get(_CONTEXT_WEIGHT, ())
    if len(input_shape) != 4:
        name = min(shapes, default="none")
        reason = f"it has no Stable Diffusion U-Net; its first name is {name}"
        raise BadWeights(path, reason, _GIVE_ORIGINAL)
    if len(context_shape) != 2:  # e.g. Stable Diffusion XL
        reason = "its U-Net is of another type than Stable Diffusion 1 and 2"
        raise BadWeights(path, reason, _GIVE_ORIGINAL)
    if not any(name.startswith(_VAE) for name in shapes):
        raise BadWeights(path, "it holds no autoencoder", _GIVE_ORIGINAL)
    version = _read_version(path, shapes)
    channels = input_shape[1]
    if channels not in _INPUT_CHANNELS:
        reason = f"its U-Net takes {channels} channels, not 4 or, inpainting, 9"
        raise BadWeights(path, reason, _GIVE_ORIGINAL)
    return _Layout(version, channels, context_shape[1])


def _read_version(path: Path, shapes: Shapes) -> Version:
    """The version, from the one text encoder that a checkpoint holds."""
    versions = []
    for version, prefix in _TEXT.items():
        if any(name.startswith(prefix) for name in shapes):
            versions.append(version)
    if len(versions) != 1:
        reason = f"it holds {len(versions)} text encoders in place of one"
        raise BadWeights(path, reason, _GIVE_ORIGINAL)
    return versions[0]


def _check_tokenizer(path: Path, folder: Path | None) -> Path:
    """The folder of the tokenizer.

    Raises:
        BadWeights: none was given, or it holds no tokenizer.
    """
    if folder is None:
        raise BadWeights(
            path,
            "a single file holds no tokenizer",
            "Name a folder with CLIP's vocab.json and merges.txt, or give a diffusers folder "
            "as config.",
        )
    has_one_file = (folder / "tokenizer.json").is_file()
    has_two_files = all((folder / name).is_file() for name in _CLIP_TOKENIZER_FILES)
    if not has_one_file and not has_two_files:
        raise BadWeights(
            folder,
            "there is no tokenizer in it",
            "It needs CLIP's vocab.json and merges.txt.",
        )
    return folder


def _read_settings(
    path: Path,
    layout: _Layout,
    *,
    config: Path | None,
    prediction: PredictionType | None,
) -> PartSettings:
    """Settings of all parts, from a folder or as published.

    Raises:
        BadWeights: they cannot be read, do not determine what the U-Net predicts, or are those of
            another base.
    """
    if config is None:
        settings = _settings_as_published(path, layout, prediction)
    else:
        settings = _settings_of_folder(config, prediction)
    unet = settings["unet"]
    found = _Layout(
        layout.version,
        unet.get("in_channels", 4),
        unet.get("cross_attention_dim", 1280),
    )
    if found != layout:
        reason = (
            f"its U-Net takes {layout.channels} channels and text of width {layout.text_width}, "
            f"and its settings state {found.channels} and {found.text_width}"
        )
        raise BadWeights(path, reason, _GIVE_SETTINGS)
    return settings


def _settings_of_folder(folder: Path, prediction: PredictionType | None) -> PartSettings:
    settings = {}
    for part, names in _setting_names().items():
        path = folder / _CONFIG_FILES[part]
        settings[part] = network_settings(path, names, remedy=_GIVE_SETTINGS)
    scheduler = read_settings(folder / _CONFIG_FILES["scheduler"], remedy=_GIVE_SETTINGS)
    settings["scheduler"] = scheduler
    recorded = scheduler.get("prediction_type", "epsilon")  # the first bases have no such key
    scheduler["prediction_type"] = prediction or recorded
    return settings


def _settings_as_published(
    path: Path,
    layout: _Layout,
    prediction: PredictionType | None,
) -> PartSettings:
    if prediction is None and layout == _AMBIGUOUS:
        raise BadWeights(
            path,
            "it is of Stable Diffusion 2, and no such file states whether it predicts epsilon or v",
            "Give prediction='epsilon' if it was trained at 512 px (512-base), 'v_prediction' if "
            "at 768 px.",
        )
    settings = published_settings(
        layout.version,
        channels=layout.channels,
        prediction=prediction or "epsilon",
    )
    settings["scheduler"].setdefault("prediction_type", "epsilon")
    return settings


def _setting_names() -> dict[str, Collection[str]]:
    """Names of the settings that each network takes."""
    from transformers import CLIPTextConfig

    return {
        "unet": inspect.signature(UNet2DConditionModel.__init__).parameters,
        "vae": inspect.signature(AutoencoderKL.__init__).parameters,
        "text_encoder": CLIPTextConfig.__annotations__,
    }


def _read_weights(
    path: Path,
    shapes: Shapes,
    version: Version,
) -> _Weights:
    """Weights of the three networks by the file's names, float32; the U-Net's averages if all of
    them are there.
    """
    prefixes = (_UNET, _VAE, _TEXT[version])
    names = [name for name in shapes if name.startswith(prefixes)]
    averages = {name: _average_name(name) for name in names if name.startswith(_UNET)}
    has_averages = all(name in shapes for name in averages.values())
    weights = {}
    with open_tensors(path) as file:
        for name in names:
            source = averages.get(name, name) if has_averages else name
            # copied, because memory of a file need not be aligned, which changes the order of sums
            weights[name] = file.get_tensor(source).to(torch.float32, copy=True)
    return weights


def _average_name(name: str) -> str:
    """The name of a U-Net weight's moving average: a module there cannot have dots in its
    names.
    """
    return "model_ema." + name.removeprefix("model.").replace(".", "")


def _build(
    path: Path,
    settings: dict[str, Any],
    weights: _Weights,
    convert: Callable[[dict[str, Any], _Weights], tuple[Any, _Weights]],
) -> Any:
    """One network with its weights: all of them, and none that it has no place for.

    Args:
        path: of the file, for the message.
        settings: of the network.
        weights: by the file's names.
        convert: builds the network, and returns it with its weights under its own names.

    Raises:
        BadWeights: settings and weights do not fit each other.
    """
    try:
        part, state = convert(settings, weights)
        expected = {name: value.shape for name, value in part.state_dict().items()}
    except BROKEN as error:
        reason = f"its settings do not fit it ({first_line(error)})"
        raise BadWeights(path, reason, _GIVE_SETTINGS) from error
    shared = expected.keys() & state.keys()
    wrong = {
        "missing": expected.keys() - state.keys(),
        "unexpected": state.keys() - expected.keys(),
        "of other shapes": {name for name in shared if expected[name] != state[name].shape},
    }
    for problem, names in wrong.items():
        if names:
            network = type(part).__name__
            reason = f"{len(names)} weights of its {network} are {problem}, first {min(names)}"
            raise BadWeights(path, reason, _GIVE_SETTINGS)
    part.load_state_dict(state, assign=True)
    return part.eval().requires_grad_(False)


def _convert_unet(settings: dict[str, Any], weights: _Weights) -> tuple[Any, _Weights]:
    state = convert_ldm_unet_checkpoint(weights, settings)
    # diffusers skips unknown names, e.g. the classes of unCLIP
    stored = sum(name.startswith(_UNET) for name in weights)
    skipped = stored - len(state)
    if skipped:
        raise ValueError(f"{skipped} weights of its U-Net have no place there")
    return _empty(lambda: UNet2DConditionModel.from_config(settings), weights), state


def _convert_autoencoder(settings: dict[str, Any], weights: _Weights) -> tuple[Any, _Weights]:
    part = _empty(lambda: AutoencoderKL.from_config(settings), weights)
    return part, convert_ldm_vae_checkpoint(weights, settings)


def _empty(build: Callable[[], Any], weights: _Weights) -> Any:
    """A network without weights, no larger than those of the file."""
    numbers = sum(each.numel() for each in weights.values())
    return build_empty(build, numbers=numbers, tensors=len(weights))


def _convert_text_encoder(settings: dict[str, Any], weights: _Weights) -> tuple[Any, _Weights]:
    from transformers import CLIPTextConfig, CLIPTextModel

    part = _empty(lambda: CLIPTextModel(CLIPTextConfig(**settings)), weights)
    if any(name.startswith(_TEXT["sd1"]) for name in weights):
        converted = convert_ldm_clip_checkpoint(weights)
    else:
        used = _without_last_layer(weights, part.config.num_hidden_layers)
        converted = convert_open_clip_checkpoint(part, used)
    # transformers 5 has no module of this name
    prefix = "text_model." if hasattr(part, "text_model") else ""
    state = {}
    for name, value in converted.items():
        if "position_ids" not in name:
            state[prefix + name.removeprefix("text_model.")] = value
    return part, state


def _without_last_layer(weights: _Weights, layers: int) -> _Weights:
    """OpenCLIP without what Stable Diffusion 2 does not use: its last layer, and its projections
    for pictures.

    diffusers finds that layer by its number in the published files, 23; this function finds it as
    the one that the settings do not count.
    """
    prefix = _TEXT["sd2"]
    block = f"{prefix}transformer.resblocks."
    layer_of = {}
    for name in weights:
        if name.startswith(block):
            number = name.removeprefix(block).split(".")[0]
            layer_of[name] = int(number)
    if max(layer_of.values(), default=-1) > layers:
        raise ValueError(f"its text encoder has more layers than {layers} and one that is not used")
    unused = {f"{prefix}text_projection", f"{prefix}logit_scale"}
    used = {}
    for name, value in weights.items():
        if name not in unused and layer_of.get(name, 0) < layers:
            used[name] = value
    return used
