"""A base by its name: a diffusers folder, a repository of the hub, or one safetensors file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL

from ...core.errors import BadWeights, first_line
from ...core.hub import hub_folder
from ...core.paths import real_path
from ...tensors.settings import read_settings
from ...tensors.transformers_networks import load_tokenizer
from ..autoencoder import check_factor
from ..parts import load_part
from ..prediction import PredictionType
from . import TEXT_FAMILIES
from .family import MAX_GRID_PX
from .schedule import Schedule, read_schedule
from .text import Text, clip_states
from .text_family import TextFamily

_SHARED_FILES = (
    "model_index.json",
    "*/*.json",
    "tokenizer/*",
    "vae/diffusion_pytorch_model.safetensors",
    "text_encoder/model*.safetensors",
)
"""What to fetch from a hub besides a network's weights."""
_FIRST_NETWORKS = 2
"""Parts that must have weights: the network and the autoencoder."""
_LOCAL_COPY = (
    "Point base at a copy on this machine: a folder in diffusers' layout (unet, vae, "
    "text_encoder, tokenizer, scheduler), or one .safetensors file: --base in training, "
    "HISTOSYNTH_BASE in sampling. Adapters are bound to its weights, not to its name."
)
_UNKNOWN_CONDITIONS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim_type",
    "use_additional_conditions",
)
"""Settings of networks that take conditions other than text."""


@dataclass(frozen=True, eq=False)
class OpenedBase:
    """A base as its files have it, in float32 on the CPU.

    Attributes:
        family: of its network.
        network: U-Net or transformer.
        autoencoder: of Stable Diffusion.
        schedule: its noise.
        inpainting: whether it takes the mask and the known latents too.
        path: the folder or file.
    """

    family: TextFamily
    network: Any
    autoencoder: AutoencoderKL
    schedule: Schedule
    inpainting: bool
    path: Path


@dataclass(frozen=True)
class BaseLocation:
    """Where a base is, and what its files do not state.

    Attributes:
        base: folder, `owner/name[@revision]`, or `.safetensors` file; relative to `base_folder`.
        base_folder: folder that paths start from.
        config: for a single file: a folder with configs and tokenizer; "": the published ones,
            chosen by its tensors.
        prediction: for a single file: what it predicts; None: what its version predicts.
    """

    base: str
    base_folder: Path
    config: str = ""
    prediction: PredictionType | None = None

    def recorded_name(self) -> str:
        """What `bundle.json` names: the whole path of a local base, else its name on the hub."""
        local = self._local_path()
        return str(local) if local.exists() else self.base

    def path(self) -> Path:
        """The folder or file; a base on the hub is fetched.

        Raises:
            BadWeights: it is neither local nor on the hub, with how to point at a copy.
        """
        local = self._local_path()
        if local.is_dir() or local.is_file():
            return local
        is_path = Path(self.base).is_absolute() or self.base.startswith((".", "~"))
        if is_path:
            raise BadWeights(local, "there is no such folder or file", _LOCAL_COPY)
        return _fetch(self.base)

    def config_folder(self) -> Path | None:
        """The folder of settings for a single file."""
        if not self.config:
            return None
        return real_path(self.base_folder / self.config)

    def _local_path(self) -> Path:
        return real_path(self.base_folder / Path(self.base).expanduser())


def _fetch(name: str) -> Path:
    """Fetch a base from the hub, in float16 where it has no other weights."""
    network_files = [family.weight_files for family in TEXT_FAMILIES.values()]
    folder = hub_folder(
        name,
        (*_SHARED_FILES, *network_files),
        local_hint=_LOCAL_COPY,
    )
    weights = folder.glob("*/diffusion_pytorch_model*.safetensors")
    parts = {path.parent for path in weights}
    if len(parts) < _FIRST_NETWORKS:
        folders = [family.network_folder for family in TEXT_FAMILIES.values()]
        half_files = tuple(f"{part}/*.fp16*.safetensors" for part in (*folders, "vae"))
        folder = hub_folder(name, half_files, local_hint=_LOCAL_COPY)
    return folder


def open_base(location: BaseLocation) -> OpenedBase:
    """Load network, autoencoder and noise schedule of a base, without its text encoder.

    Raises:
        BadWeights: a part is missing, damaged, or of no known family.
    """
    path = location.path()
    base = _open_file(path, location) if path.is_file() else _open_folder(path)
    _check_conditions(base)
    _check_channels(base)
    return base


def _open_folder(folder: Path) -> OpenedBase:
    found = [
        family for family in TEXT_FAMILIES.values() if (folder / family.network_folder).is_dir()
    ]
    if not found:
        names = " and ".join(family.network_folder for family in TEXT_FAMILIES.values())
        raise BadWeights(folder, f"it holds neither of {names}", _LOCAL_COPY)
    family = found[0]
    network = load_part(folder / family.network_folder, family.network_class)
    autoencoder = load_part(folder / "vae", AutoencoderKL)
    scheduler_file = folder / "scheduler" / "scheduler_config.json"
    scheduler_config = read_settings(scheduler_file, remedy=_LOCAL_COPY)
    return OpenedBase(
        family,
        network,
        autoencoder,
        read_schedule(scheduler_config, folder),
        family.takes_known_latents(network),
        folder,
    )


def _open_file(path: Path, location: BaseLocation) -> OpenedBase:
    from .single_file import open_single_file

    parts = open_single_file(
        path,
        config=location.config_folder(),
        prediction=location.prediction,
    )
    family = TEXT_FAMILIES["stable-diffusion"]
    return OpenedBase(
        family,
        parts.unet,
        parts.autoencoder,
        read_schedule(parts.scheduler_config, path),
        family.takes_known_latents(parts.unet),
        path,
    )


def embed(
    location: BaseLocation,
    family: TextFamily,
    prompts: Sequence[str],
) -> Text:
    """Prompts through the base's own text encoder, which is not kept.

    Raises:
        BadWeights: encoder or tokenizer are absent.
    """
    path = location.path()
    if path.is_file():
        return _embed_from_file(path, location, prompts)
    return family.embed(path, prompts)


def _embed_from_file(
    path: Path,
    location: BaseLocation,
    prompts: Sequence[str],
) -> Text:
    from .single_file import open_single_file

    parts = open_single_file(
        path,
        config=location.config_folder(),
        prediction=location.prediction,
    )
    if parts.tokenizer_folder is None:
        raise BadWeights(
            path,
            "a single file holds no tokenizer",
            "Name a folder that does with base_config.",
        )
    from transformers import CLIPTokenizer

    tokenizer = load_tokenizer(parts.tokenizer_folder, CLIPTokenizer)
    return clip_states(tokenizer, parts.text_encoder, prompts)


def _check_conditions(base: OpenedBase) -> None:
    """Refuse a network that takes more than text.

    Raises:
        BadWeights: naming what.
    """
    config = base.network.config
    unknown = [name for name in _UNKNOWN_CONDITIONS if config.get(name)]
    if unknown:
        raise BadWeights(
            base.path,
            f"its network takes more than text: {', '.join(unknown)}",
            "Stable Diffusion XL and the like are not supported.",
        )


def _check_channels(base: OpenedBase) -> None:
    """Refuse a network whose latents are not its autoencoder's.

    Raises:
        BadWeights: naming both numbers of channels.
    """
    try:
        check_factor(base.autoencoder)
    except ValueError as error:
        raise BadWeights(base.path, first_line(error)) from error
    grid_px = base.family.grid_px(base.network)
    if grid_px > MAX_GRID_PX:
        raise BadWeights(base.path, f"its network takes multiples of {grid_px:,} px only")
    latents = int(base.autoencoder.config.latent_channels)
    taken = int(base.network.config.in_channels)
    expected = 2 * latents + 1 if base.inpainting else latents
    if taken != expected:
        raise BadWeights(
            base.path,
            f"its network takes {taken} channels, and its autoencoder has {latents}",
            "Give a base of 4 channels, or an inpainting one of 9.",
        )
