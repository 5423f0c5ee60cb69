"""A base by its name: a diffusers folder, a repository of the hub, or one safetensors file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, UNet2DConditionModel

from ...core.errors import BadWeights, first_line
from ...core.hub import hub_folder
from ..info import Family
from ..parts import load_part
from ..prediction import PredictionType
from .pixart import PixArt
from .schedule import Schedule, read_schedule
from .text import Text, clip_states, embed_clip, embed_t5

FILES = (
    "model_index.json",
    "*/*.json",
    "tokenizer/*",
    "unet/diffusion_pytorch_model.safetensors",
    "transformer/diffusion_pytorch_model*.safetensors",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model*.safetensors",
)
HALVES = tuple(f"{part}/*.fp16*.safetensors" for part in ("unet", "transformer", "vae"))
"""What to fetch besides where a repository has weights of network or autoencoder in float16
alone."""
LOCALLY = (
    "Point base at a copy that lies here: a folder in diffusers' layout (unet, vae, "
    "text_encoder, tokenizer, "
    "scheduler), or one .safetensors file: --base in training, HISTOSYNTH_BASE in painting. "
    "Adapters are "
    "bound to its weights, not to its name."
)
NETWORKS: dict[str, tuple[Family, Any]] = {
    "unet": ("stable-diffusion", UNet2DConditionModel),
    "transformer": ("pixart", PixArt),
}
CHANNELS = (4, 9)


@dataclass(frozen=True, eq=False)
class OpenedBase:
    """A base as it lies there, in float32 on the CPU.

    Attributes:
        family: of its network.
        network: U-Net or transformer.
        autoencoder: of Stable Diffusion.
        schedule: its noise.
        inpainting: whether it takes hole and known latents too.
        place: the folder or file.
    """

    family: Family
    network: Any
    autoencoder: AutoencoderKL
    schedule: Schedule
    inpainting: bool
    place: Path


@dataclass(frozen=True)
class Source:
    """Where a base lies, and what its files do not say.

    Attributes:
        base: folder, `owner/name[@revision]`, or `.safetensors` file; relative to `here`.
        here: folder that paths start from.
        config: for a single file: a folder with configs and tokenizer; "": the ones known by its
            tensors.
        prediction: for a single file: what it predicts; None: told by its make.
    """

    base: str
    here: Path
    config: str = ""
    prediction: PredictionType | None = None

    def named(self) -> str:
        """What to remember it by: the whole path of what lies here, else its name on the hub."""
        near = (self.here / Path(self.base).expanduser()).resolve()
        return str(near) if near.exists() else self.base

    def place(self) -> Path:
        """The folder or file; what the hub holds is fetched.

        Raises:
            BadWeights: it is neither here nor to be had, with how to point at a copy.
        """
        near = (self.here / Path(self.base).expanduser()).resolve()
        if near.is_dir() or near.is_file():
            return near
        if Path(self.base).is_absolute() or self.base.startswith((".", "~")):
            raise BadWeights(near, "there is no such folder or file", LOCALLY)
        fetched = hub_folder(self.base, FILES, local_hint=LOCALLY)
        if (
            len({path.parent for path in fetched.glob("*/diffusion_pytorch_model*.safetensors")})
            < 2
        ):
            fetched = hub_folder(self.base, HALVES, local_hint=LOCALLY)
        return fetched


def open_base(source: Source) -> OpenedBase:
    """Load network, autoencoder and noise schedule of a base; its text encoder is left where it is.

    Raises:
        BadWeights: a part is missing, damaged, or of a make that no seam here knows.
    """
    place = source.place()
    if place.is_file():
        return _of_file(place, source)
    found = [name for name in NETWORKS if (place / name).is_dir()]
    if not found:
        raise BadWeights(place, f"it holds neither of {' and '.join(NETWORKS)}", LOCALLY)
    family, kind = NETWORKS[found[0]]
    network = load_part(place / found[0], kind, lean=True)
    autoencoder = load_part(place / "vae", AutoencoderKL, lean=True)
    schedule = read_schedule(_json(place / "scheduler" / "scheduler_config.json"), place)
    return _checked(
        OpenedBase(
            family,
            network,
            autoencoder,
            schedule,
            _nine(network, family),
            place,
        )
    )


def embed(source: Source, family: Family, prompts: Sequence[str]) -> Text:
    """Prompts through the base's own text encoder, which is forgotten after.

    Raises:
        BadWeights: encoder or tokenizer are not there.
    """
    place = source.place()
    if place.is_file():
        from .single_file import open_single_file

        parts = open_single_file(place, config=_config(source), prediction=source.prediction)
        if parts.tokenizer_folder is None:
            raise BadWeights(
                place,
                "a single file holds no tokenizer",
                "Name a folder that does with base_config.",
            )
        from transformers import CLIPTokenizer

        words = CLIPTokenizer.from_pretrained(parts.tokenizer_folder, local_files_only=True)
        return clip_states(words, parts.text_encoder, prompts)
    return embed_t5(place, prompts) if family == "pixart" else embed_clip(place, prompts)


def _of_file(place: Path, source: Source) -> OpenedBase:
    from .single_file import open_single_file

    parts = open_single_file(place, config=_config(source), prediction=source.prediction)
    schedule = read_schedule(parts.scheduler_config, place)
    nine = _nine(parts.unet, "stable-diffusion")
    return _checked(
        OpenedBase(
            "stable-diffusion",
            parts.unet,
            parts.autoencoder,
            schedule,
            nine,
            place,
        )
    )


def _config(source: Source) -> Path | None:
    return (source.here / source.config).resolve() if source.config else None


def _nine(network: Any, family: Family) -> bool:
    return family == "stable-diffusion" and int(network.config.in_channels) == CHANNELS[1]


def _checked(base: OpenedBase) -> OpenedBase:
    """Refuse a network whose latents are not its autoencoder's."""
    config = base.network.config
    others = (
        "addition_embed_type",
        "class_embed_type",
        "encoder_hid_dim_type",
        "use_additional_conditions",
    )
    if more := [name for name in others if config.get(name)]:
        reason = f"its network wants more than words: {', '.join(more)}"
        raise BadWeights(base.place, reason, "Stable Diffusion XL and its kin are not taken.")
    latents = int(base.autoencoder.config.latent_channels)
    taken = int(base.network.config.in_channels)
    wanted = 2 * latents + 1 if base.inpainting else latents
    if taken != wanted:
        reason = f"its network takes {taken} channels, its autoencoder makes {latents}"
        raise BadWeights(
            base.place,
            reason,
            "Give a base of 4 channels, or an inpainting one of 9.",
        )
    return base


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadWeights(path, first_line(error), LOCALLY) from error
    if not isinstance(values, dict):
        raise BadWeights(path, "it holds no names with values", LOCALLY)
    return values
