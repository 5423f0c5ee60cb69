"""Adapters under the names that ComfyUI and A1111 load: those of kohya's sd-scripts, there and
back.

    unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q.lora_A.weight      ours, diffusers'
    lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_q.lora_down.weight        kohya's

Dots become underscores, and which underscores were dots is not said. So the way back goes by the
list of the network's modules, or by the one that our own files carry along. Tensors are never
touched: linear layers stay 2-D and convolutions 4-D, bit for bit.

Such a file is the LoRA alone. Those programs know nothing of nuclei: what a structure encoder says
of them to the base is not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..core import recipe as recipes
from ..core.errors import AdapterMismatch, BadRecipe, BadWeights, first_line
from ..core.store import atomic_write
from .adapters import AdapterInfo
from .faults import BROKEN

PREFIX = "lora_unet_"
_OURS = "histosynth"
_MODULES = "histosynth_modules"
_DIFFUSERS = "lora_adapter_metadata"
"""Where diffusers looks for a file's rank and alpha; without it takes alpha for the rank."""
_HEADS = (
    "add_embedding",
    "conv_in",
    "conv_out",
    "down_blocks",
    "mid_block",
    "time_embedding",
    "up_blocks",
)
"""How names of a U-Net's modules begin; a transformer's are of no use under kohya's."""
_NAMES = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}
_SD2_TEXT = 1024
"""Width of the text that cross-attention of Stable Diffusion 2 reads; that of 1 is 768."""


def to_kohya(
    tensors: Mapping[str, Tensor], info: AdapterInfo
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """An adapter's tensors under kohya's names, and the metadata of that file.

    Each module gets an `alpha` of its own, so that every program keeps a scale alpha / rank other
    than 1. The base's sha256 is ours, over its weights (`adapters.base_sha256`): it stands as
    `ss_base_model_hash`, for kohya's own fields are for the sha256 of a checkpoint file.

    Args:
        tensors: `unet.<module>.lora_A.weight` (rank, in, ...) and `.lora_B.weight` (out, rank,
            ...).
        info: what the adapter says of itself; it is kept whole.

    Raises:
        AdapterMismatch: a tensor is missing, has another name or another rank, or is no U-Net's.
    """
    modules = sorted({key.removeprefix("unet.").rpartition(".lora_")[0] for key in tensors})
    fit = [module for module in modules if module.split(".")[0] in _HEADS]
    wanted = {f"unet.{module}.{end}" for module in fit for end in _NAMES}
    missing = sorted(wanted - tensors.keys())
    unexpected = sorted(tensors.keys() - wanted)
    if missing or unexpected:
        raise AdapterMismatch(
            info.name,
            missing,
            unexpected,
            "a LoRA of a U-Net alone can be renamed",
        )
    flat = _by_flat_name(modules)
    if twice := [module for module in modules if flat[_flat(module)] != (module,)]:
        raise AdapterMismatch(
            info.name,
            [],
            twice,
            "two of its modules would share a name",
        )
    renamed: dict[str, Tensor] = {}
    for module in modules:
        for end, other in _NAMES.items():
            renamed[f"{PREFIX}{_flat(module)}.{other}"] = tensors[f"unet.{module}.{end}"]
        renamed[f"{PREFIX}{_flat(module)}.alpha"] = torch.tensor(float(info.alpha))
    rank, _ = _rank_and_alpha(renamed, info.name)
    if rank != info.rank:
        raise AdapterMismatch(
            info.name, [], [], f"it says rank {info.rank}, and its tensors have {rank}"
        )
    metadata = {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(info.rank),
        "ss_network_alpha": str(info.alpha),
        "ss_output_name": info.name,
        "ss_base_model_hash": info.base_sha256,
        _OURS: json.dumps(asdict(info)),
        _MODULES: json.dumps(modules),
    }
    if any(tensor.ndim == 4 and max(tensor.shape[2:]) > 1 for tensor in renamed.values()):
        sizes = {"conv_dim": str(info.rank), "conv_alpha": str(info.alpha)}
        metadata["ss_network_args"] = json.dumps(sizes)
    text = {
        tensor.shape[1]
        for key, tensor in renamed.items()
        if key.endswith("attn2_to_k.lora_down.weight")
    }
    if text:  # A1111 lists a LoRA only for bases of its own generation, and assumes 1 without this
        metadata["ss_v2"] = str(text == {_SD2_TEXT})
    return renamed, metadata


def from_kohya(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[dict[str, Tensor], int, float]:
    """The way back: tensors under our names, rank and alpha.

    Args:
        tensors: `lora_unet_<module>.lora_down.weight`, `.lora_up.weight` and maybe `.alpha`, for
            each module; where there is none, alpha is the rank, as in sd-scripts.
        metadata: the file's; ours name the modules.
        modules: names of the network's modules, for files of others.

    Raises:
        AdapterMismatch: it is no LoRA of a U-Net alone (a text encoder's, LyCORIS, DoRA), names
            modules that the network has not, or modules have several ranks or alphas; an adapter
            has one of each.
    """
    name = metadata.get("ss_output_name") or "without a name"
    info = kohya_info(metadata)
    named = _by_flat_name({*_kept_modules(metadata), *modules})
    strange = []
    unknown = set()
    missing = set()
    renamed: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        flat, _, end = key.removeprefix(PREFIX).partition(".")
        if not key.startswith(PREFIX) or end not in ("alpha", *_NAMES.values()):
            strange.append(key)
        elif len(named.get(flat, ())) != 1:
            unknown.add(flat)
        elif end != "alpha":
            ours = next(mine for mine, other in _NAMES.items() if other == end)
            renamed[f"unet.{named[flat][0]}.{ours}"] = tensor
        missing |= {f"{PREFIX}{flat}.{each}" for each in _NAMES.values()} - tensors.keys()
    if strange or not tensors:
        raise AdapterMismatch(
            name,
            [],
            sorted(strange),
            "it is no plain LoRA of a U-Net alone",
        )
    if unknown:
        raise AdapterMismatch(
            name,
            [],
            sorted(unknown),
            "the network has no such modules, or several so named",
        )
    if missing:
        raise AdapterMismatch(name, sorted(missing), [])
    rank, alpha = _rank_and_alpha(tensors, name)
    if info is None:
        return renamed, rank, alpha
    if (rank, torch.tensor(alpha)) != (info.rank, torch.tensor(float(info.alpha))):
        told = (
            f"it says rank {info.rank} and alpha {info.alpha:g}, and its tensors have "
            f"{rank} and {alpha:g}"
        )
        raise AdapterMismatch(name, [], [], told)
    return renamed, info.rank, info.alpha


def kohya_info(metadata: Mapping[str, str]) -> AdapterInfo | None:
    """What an adapter of ours says of itself; None for files of others.

    Raises:
        AdapterMismatch: it cannot be read.
    """
    if _OURS not in metadata:
        return None
    try:
        return recipes.build(json.loads(metadata[_OURS]), AdapterInfo, name="its metadata")
    except (ValueError, TypeError, RecursionError, BadRecipe) as error:
        raise AdapterMismatch(
            metadata.get("ss_output_name", "?"),
            [],
            [],
            first_line(error),
        ) from error


def write_kohya(source: Path, target: Path) -> AdapterInfo:
    """An adapter's file as one of kohya's, whole or not at all.

    Raises:
        BadWeights: it is no safetensors file, or none of ours.
        AdapterMismatch: see `to_kohya`.
    """
    tensors, metadata = _read(source)
    info = kohya_info(metadata)
    if info is None:
        raise BadWeights(
            source,
            "it has no histosynth metadata",
            "Give an adapter that histosynth trained.",
        )
    renamed, told = to_kohya(tensors, info)
    with atomic_write(target) as temporary:
        save_file(_packed(renamed), temporary, metadata=told)
    return info


def write_diffusers(
    source: Path, target: Path, *, modules: Iterable[str] = ()
) -> tuple[AdapterInfo | None, int, float]:
    """One of kohya's files as diffusers names it, whole or not at all; ours are adapters again.

    Rank and alpha stand where diffusers looks for them too, so it keeps the scale of any file.

    Returns:
        What it says of itself (None for files of others), rank and alpha.

    Raises:
        BadWeights: it is no safetensors file.
        AdapterMismatch: see `from_kohya`.
    """
    tensors, metadata = _read(source)
    renamed, rank, alpha = from_kohya(tensors, metadata, modules)
    targets = sorted({key.removeprefix("unet.").rpartition(".lora_")[0] for key in renamed})
    config = {
        "unet.r": rank,
        "unet.lora_alpha": alpha,
        "unet.target_modules": targets,
    }
    told = {"format": "pt", _DIFFUSERS: json.dumps(config)}
    told |= {_OURS: metadata[_OURS]} if _OURS in metadata else {}
    with atomic_write(target) as temporary:
        save_file(_packed(renamed), temporary, metadata=told)
    return kohya_info(metadata), rank, alpha


def module_names(folder: Path | None = None) -> tuple[str, ...]:
    """Names of a U-Net's modules that can carry LoRA layers.

    Args:
        folder: one in diffusers' layout, with its `config.json`; None: Stable Diffusion's, whose
            versions 1 and 2 share all names.

    Raises:
        BadWeights: its settings cannot be read or build no network.
    """
    try:
        with torch.device("meta"):
            values = (
                None if folder is None else json.loads((folder / "config.json").read_text("utf-8"))
            )
            network = (
                UNet2DConditionModel()
                if values is None
                else UNet2DConditionModel.from_config(values)
            )
    except BROKEN as error:
        raise BadWeights(folder or Path("config.json"), first_line(error)) from error
    layers = (nn.Linear, nn.Conv2d)
    return tuple(name for name, module in network.named_modules() if isinstance(module, layers))


def _flat(module: str) -> str:
    return module.replace(".", "_")


def _by_flat_name(modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Modules by the name that kohya gives them; several where it cannot tell them apart."""
    found: dict[str, tuple[str, ...]] = {}
    for module in modules:
        found[_flat(module)] = (*found.get(_flat(module), ()), module)
    return found


def _kept_modules(metadata: Mapping[str, str]) -> list[str]:
    """Module names that a file of ours carries along."""
    try:
        kept = json.loads(metadata.get(_MODULES, "[]"))
    except (ValueError, RecursionError):
        return []
    return [each for each in kept if isinstance(each, str)] if isinstance(kept, list) else []


def _rank_and_alpha(tensors: Mapping[str, Tensor], name: str) -> tuple[int, float]:
    """The one rank and the one alpha of all modules, under kohya's names.

    Raises:
        AdapterMismatch: there are several, or two tensors of a module do not fit each other.
    """
    found: set[tuple[int, float]] = set()
    for key, down in tensors.items():
        if not key.endswith(".lora_down.weight"):
            continue
        module = key.removesuffix(".lora_down.weight")
        up = tensors[f"{module}.lora_up.weight"]
        alpha = tensors.get(f"{module}.alpha")
        if (
            {down.ndim, up.ndim} not in ({2}, {4})
            or up.shape[1] != down.shape[0]
            or not down.shape[0]
        ):
            raise AdapterMismatch(
                name,
                [],
                [module],
                "its two tensors do not fit each other",
            )
        if alpha is not None and alpha.numel() != 1:
            raise AdapterMismatch(
                name,
                [],
                [f"{module}.alpha"],
                "alpha must be one number",
            )
        found.add((down.shape[0], float(down.shape[0]) if alpha is None else float(alpha.item())))
    if len(found) != 1:
        told = ", ".join(f"{rank} and {alpha:g}" for rank, alpha in sorted(found))
        raise AdapterMismatch(
            name, [], [], f"one rank and one alpha are needed, and its modules have {told}"
        )
    return found.pop()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        BadWeights: it is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise BadWeights(path, first_line(error)) from error


def _packed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.contiguous() for key, value in tensors.items()}
