"""A Stable Diffusion checkpoint in one .safetensors file, as first published, opened as diffusers'
networks.

Such a file names its weights as the code of latent diffusion did (Rombach et al. 2022):
`model.diffusion_model.` is the U-Net, `first_stage_model.` the autoencoder, `cond_stage_model.` the
text encoder. It holds no settings, no tokenizer and no word on what the U-Net predicts; settings
come from the package or a folder in diffusers' layout.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...core.errors import BadOption, BadWeights, first_line
from ...core.store import sha256_of
from ..faults import BROKEN
from ..prediction import PredictionType

if TYPE_CHECKING:
    from transformers import CLIPTextModel

Version = Literal["sd1", "sd2"]
Settings = dict[str, dict[str, Any]]
Weights = dict[str, Tensor]

_UNET = "model.diffusion_model."
_VAE = "first_stage_model."
_TEXT: dict[Version, str] = {
    "sd1": "cond_stage_model.transformer.",
    "sd2": "cond_stage_model.model.",
}
_FIRST = f"{_UNET}input_blocks.0.0.weight"
_CONTEXT = f"{_UNET}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
_FILES = {
    "unet": "unet/config.json",
    "vae": "vae/config.json",
    "text_encoder": "text_encoder/config.json",
    "scheduler": "scheduler/scheduler_config.json",
}
_FOREIGN = (
    "Give an original checkpoint of Stable Diffusion 1 or 2, or a folder in diffusers' layout."
)
_CONVERT = (
    "Convert it: read its state_dict with torch's own loader, weights_only=True, and write "
    "that with "
    "save_file of safetensors."
)
_SETTINGS = "Give the settings of its own base: a folder in diffusers' layout, as config."


@dataclass(frozen=True, eq=False)
class Parts:
    """What a single file holds, and what belongs to it.

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
        """The U-Net takes noisy latents (4), the mask (1) and the masked picture's latents (4), in
        order.
        """
        return bool(self.unet.config["in_channels"] == 9)


@dataclass(frozen=True)
class _Looks:
    """What names and shapes tell: the generation, the channels that go in, the width of the text
    it reads.
    """

    version: Version
    channels: int
    width: int


def open_single_file(
    path: Path,
    *,
    config: Path | None = None,
    tokenizer: Path | None = None,
    prediction: PredictionType | None = None,
) -> Parts:
    """Open a checkpoint of Stable Diffusion 1 or 2 or of their inpainting siblings, without any
    network.

    Averaged weights (`model_ema.`) are taken where a file holds both kinds, as in the published
    folders.

    Args:
        path: the .safetensors file.
        config: a folder in diffusers' layout whose settings, scheduler and tokenizer are used;
            None: the settings that were published.
        tokenizer: a folder with the tokenizer's files; None: `tokenizer/` in `config`.
        prediction: `epsilon` or `v_prediction`; None: what `config` says, and without one epsilon.
            Only Stable Diffusion 2 was published with either, and no file says which: there it must
                be given.

    Raises:
        BadOption: `prediction` is neither.
        BadWeights: the file is no safetensors, damaged, of another kind or fits other settings; or
            settings, tokenizer or prediction are not known.
    """
    if prediction not in (None, "epsilon", "v_prediction"):
        raise BadOption("prediction", prediction, "epsilon or v_prediction")
    if not path.is_file():
        raise BadWeights(path, "there is no such file")
    if path.suffix.lower() != ".safetensors":
        raise BadWeights(
            path,
            "it is no .safetensors, and others may run code when opened",
            _CONVERT,
        )
    file = _opened(path)
    shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    looks = _looks(path, shapes)
    words = _tokenizer_folder(path, tokenizer or (config and config / "tokenizer"))
    settings = _settings(path, looks, config=config, prediction=prediction)
    weights = _weights(file, shapes, looks.version)
    return Parts(
        version=looks.version,
        unet=_network(path, settings["unet"], weights, _unet),
        autoencoder=_network(path, settings["vae"], weights, _autoencoder),
        text_encoder=_network(
            path,
            settings["text_encoder"],
            weights,
            _text_encoder,
        ),
        tokenizer_folder=words,
        scheduler_config=settings["scheduler"],
        sha256=sha256_of(path),
    )


def published_settings(
    version: Version, *, channels: int = 4, prediction: PredictionType = "epsilon"
) -> Settings:
    """Settings of the published bases by part: `unet`, `vae`, `text_encoder` and `scheduler`."""
    text = files(__package__).joinpath("configs", f"{version}.json").read_text(encoding="utf-8")
    settings: Settings = json.loads(text)
    settings["unet"]["in_channels"] = channels
    if prediction == "v_prediction":
        settings["unet"] |= {"sample_size": 96, "upcast_attention": True}
        settings["scheduler"]["prediction_type"] = prediction
    return settings


def _opened(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise BadWeights(
            path, f"it is damaged or no safetensors file ({first_line(error)})"
        ) from error


def _looks(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> _Looks:
    first = shapes.get(_FIRST, ())
    context = shapes.get(_CONTEXT, ())
    if len(first) != 4:
        name = min(shapes, default="none")
        raise BadWeights(
            path,
            f"it has no Stable Diffusion U-Net; its first name is {name}",
            _FOREIGN,
        )
    if len(context) != 2:  # Stable Diffusion XL, say
        raise BadWeights(
            path,
            "its U-Net is of another kind than Stable Diffusion 1 and 2",
            _FOREIGN,
        )
    if not any(key.startswith(_VAE) for key in shapes):
        raise BadWeights(path, "it holds no autoencoder", _FOREIGN)
    versions = [
        each for each, prefix in _TEXT.items() if any(key.startswith(prefix) for key in shapes)
    ]
    if len(versions) != 1:
        raise BadWeights(
            path,
            f"it holds {len(versions)} text encoders in place of one",
            _FOREIGN,
        )
    if first[1] not in (4, 9):
        raise BadWeights(
            path,
            f"its U-Net takes {first[1]} channels, not 4 or, inpainting, 9",
            _FOREIGN,
        )
    return _Looks(versions[0], first[1], context[1])


def _tokenizer_folder(path: Path, folder: Path | None) -> Path:
    if folder is None:
        raise BadWeights(
            path,
            "a single file holds no tokenizer",
            "Name a folder with CLIP's vocab.json and merges.txt, or give a diffusers folder "
            "as config.",
        )
    classes = (("tokenizer.json",), ("vocab.json", "merges.txt"))
    if not any(all((folder / name).is_file() for name in names) for names in classes):
        raise BadWeights(
            folder,
            "there is no tokenizer in it",
            "It needs CLIP's vocab.json and merges.txt.",
        )
    return folder


def _settings(
    path: Path,
    looks: _Looks,
    *,
    config: Path | None,
    prediction: PredictionType | None,
) -> Settings:
    if config is not None:
        settings = {part: _read(config / name) for part, name in _FILES.items()}
        said = settings["scheduler"].get("prediction_type", "epsilon")  # the first ones did not say
        settings["scheduler"]["prediction_type"] = prediction or said
    else:
        if prediction is None and looks == _Looks("sd2", 4, 1024):
            raise BadWeights(
                path,
                "it is of Stable Diffusion 2, and no such file says whether it predicts "
                "epsilon or v",
                "Give prediction='epsilon' if it was made at 512 px (512-base), "
                "'v_prediction' if at 768 px.",
            )
        settings = published_settings(
            looks.version,
            channels=looks.channels,
            prediction=prediction or "epsilon",
        )
        settings["scheduler"].setdefault("prediction_type", "epsilon")
    unet = settings["unet"]
    known = _Looks(
        looks.version,
        unet.get("in_channels", 4),
        unet.get("cross_attention_dim", 1280),
    )
    if known != looks:
        raise BadWeights(
            path,
            f"its U-Net takes {looks.channels} channels and text of width {looks.width}, and "
            "its settings "
            f"say {known.channels} and {known.width}",
            _SETTINGS,
        )
    return settings


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise BadWeights(
            path,
            f"it cannot be read as settings ({first_line(error)})",
            _SETTINGS,
        ) from error


def _weights(file: Any, shapes: Mapping[str, Any], version: Version) -> Weights:
    """Weights of the three networks by the file's names, float32; the U-Net's averaged if all of
    them are.
    """
    wanted = [key for key in shapes if key.startswith((_UNET, _VAE, _TEXT[version]))]
    averaged = {key: _averaged(key) for key in wanted if key.startswith(_UNET)}
    if not all(name in shapes for name in averaged.values()):
        averaged = {}
    # copied, since memory of a file need not be aligned, and then sums come out another way than a
    # folder's
    return {
        key: file.get_tensor(averaged.get(key, key)).to(torch.float32, copy=True) for key in wanted
    }


def _averaged(key: str) -> str:
    """The moving average's name of a U-Net's weight: a module there cannot have dots in its
    names.
    """
    return "model_ema." + key.removeprefix("model.").replace(".", "")


def _network(
    path: Path,
    settings: dict[str, Any],
    weights: Weights,
    make: Callable[..., tuple[Any, Weights]],
) -> Any:
    """One network with its weights: every one of them, and none that it has no place for."""
    try:
        with init_empty_weights(include_buffers=False):
            part, state = make(settings, weights)
        own = {key: value.shape for key, value in part.state_dict().items()}
    except BROKEN as error:
        raise BadWeights(
            path, f"its settings do not fit it ({first_line(error)})", _SETTINGS
        ) from error
    wrong = {
        "missing": own.keys() - state.keys(),
        "unexpected": state.keys() - own.keys(),
        "of other shapes": {
            key for key in own.keys() & state.keys() if own[key] != state[key].shape
        },
    }
    for what, names in wrong.items():
        if names:
            name = (
                f"{len(names)} weights of its {type(part).__name__} are {what}, first {min(names)}"
            )
            raise BadWeights(path, name, _SETTINGS)
    part.load_state_dict(state, assign=True)
    return part.eval().requires_grad_(False)


def _unet(settings: dict[str, Any], weights: Weights) -> tuple[Any, Weights]:
    state = convert_ldm_unet_checkpoint(
        weights, settings
    )  # passes over names that it does not know
    if extra := sum(key.startswith(_UNET) for key in weights) - len(state):
        raise ValueError(
            f"{extra} weights of its U-Net have no place there"
        )  # classes, as unCLIP's, say
    return UNet2DConditionModel.from_config(settings), state


def _autoencoder(settings: dict[str, Any], weights: Weights) -> tuple[Any, Weights]:
    return AutoencoderKL.from_config(settings), convert_ldm_vae_checkpoint(weights, settings)


def _text_encoder(settings: dict[str, Any], weights: Weights) -> tuple[Any, Weights]:
    from transformers import CLIPTextConfig, CLIPTextModel

    part = CLIPTextModel(CLIPTextConfig(**settings))
    if any(key.startswith(_TEXT["sd1"]) for key in weights):
        state = convert_ldm_clip_checkpoint(weights)
    else:
        state = convert_open_clip_checkpoint(
            part, _penultimate(weights, part.config.num_hidden_layers)
        )
    inside = (
        "text_model." if hasattr(part, "text_model") else ""
    )  # transformers 5 has left this floor out
    names = {
        key: inside + key.removeprefix("text_model.") for key in state if "position_ids" not in key
    }
    return part, {name: state[key] for key, name in names.items()}


def _penultimate(weights: Weights, layers: int) -> Weights:
    """OpenCLIP without what Stable Diffusion 2 does not use: its last layer, its ends for pictures.

    diffusers knows that layer by its number in the published files, 23; here it is the one that the
    settings do not count.
    """
    prefix = _TEXT["sd2"]
    block = f"{_TEXT['sd2']}transformer.resblocks."
    number = {
        key: int(key.removeprefix(block).split(".")[0]) for key in weights if key.startswith(block)
    }
    if max(number.values(), default=-1) > layers:
        raise ValueError(f"its text encoder has more layers than {layers} and one that is not used")
    ends = {f"{prefix}text_projection", f"{prefix}logit_scale"}
    return {
        key: value
        for key, value in weights.items()
        if key not in ends and number.get(key, 0) < layers
    }
