"""Adapters under the names that ComfyUI and A1111 load: those of kohya's sd-scripts, there and
back.

    unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_q.lora_A.weight      ours, diffusers'
    lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_q.lora_down.weight        kohya's

Dots become underscores, and the file does not record which underscores were dots. So the way back
uses a list of the network's modules, or the list in our own files. Tensors are never changed:
linear layers stay 2-D and convolutions 4-D, bit for bit.

Such a file is the LoRA alone. Those programs have no nuclei: a structure encoder and its features
are not in it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor

from ..core import recipe as recipes
from ..core.errors import AdapterMismatch, BadRecipe, BadWeights, first_line
from ..tensors.files import read_all_tensors, write_tensors
from .adapters import UNET_PREFIX, AdapterInfo
from .families import FAMILIES
from .layer_shapes import SD2_TEXT_WIDTH, LayerShapes, adapted_layers, check_fit
from .lora_forms import lora_form_of
from .strengths import Strengths

Tensors: TypeAlias = Mapping[str, Tensor]
"""By name in a file."""
Metadata: TypeAlias = Mapping[str, str]
"""Of a safetensors file."""

KOHYA_PREFIX = "lora_unet_"
_OWN_METADATA = "histosynth"
_MODULES_METADATA = "histosynth_modules"
_DIFFUSERS_METADATA = "lora_adapter_metadata"
"""Where diffusers reads a file's rank and alpha; without it diffusers takes alpha as the rank."""
_KOHYA_NAMES = {"lora_A.weight": "lora_down.weight", "lora_B.weight": "lora_up.weight"}
_OWN_NAMES = {kohya: own for own, kohya in _KOHYA_NAMES.items()}
_TEXT_LAYER = "attn2_to_k.lora_down.weight"


def to_kohya(tensors: Tensors, info: AdapterInfo) -> tuple[dict[str, Tensor], dict[str, str]]:
    """An adapter's tensors under kohya's names, and the metadata of that file.

    Each module gets an `alpha` of its own, so that every program keeps a scale alpha / rank other
    than 1. The base's sha256 is ours, over its weights (`adapters.base_sha256`): it becomes
    `ss_base_model_hash`, because kohya's own fields are for the sha256 of a checkpoint file.

    Args:
        tensors: `unet.<module>.lora_A.weight` (rank, in, ...) and `.lora_B.weight` (out, rank,
            ...).
        info: the adapter's metadata; it is kept whole.

    Raises:
        AdapterMismatch: a tensor is missing, has another name or another rank, or is no U-Net's.
    """
    modules = adapted_layers(tensors)
    _check_own_names(tensors, modules, info.name)
    _check_distinct(modules, info.name)
    renamed: dict[str, Tensor] = {}
    for module in modules:
        flat = f"{KOHYA_PREFIX}{_flat(module)}"
        for own, kohya in _KOHYA_NAMES.items():
            renamed[f"{flat}.{kohya}"] = tensors[f"{UNET_PREFIX}{module}.{own}"]
        renamed[f"{flat}.alpha"] = torch.tensor(float(info.alpha))
    rank, _ = _rank_and_alpha(renamed, info.name)
    if rank != info.rank:
        reason = f"its metadata state rank {info.rank}, and its tensors have {rank}"
        raise AdapterMismatch(info.name, [], [], reason)
    return renamed, _kohya_metadata(renamed, info, modules)


def _check_own_names(
    tensors: Tensors,
    modules: Iterable[str],
    name: str,
) -> None:
    """Refuse tensors other than the two of each module of a U-Net.

    Raises:
        AdapterMismatch: naming them.
    """
    blocks = kohya_blocks()
    expected = set()
    for module in modules:
        if module.split(".")[0] in blocks:
            expected |= {f"{UNET_PREFIX}{module}.{own}" for own in _KOHYA_NAMES}
    missing = sorted(expected - tensors.keys())
    unexpected = sorted(tensors.keys() - expected)
    if missing or unexpected:
        reason = "a LoRA of a U-Net alone can be renamed"
        raise AdapterMismatch(name, missing, unexpected, reason)


def kohya_blocks() -> set[str]:
    """Top modules that kohya's names cover, of all families."""
    blocks: set[str] = set()
    for family in FAMILIES.values():
        blocks.update(family.kohya_blocks)
    return blocks


def _check_distinct(modules: Iterable[str], name: str) -> None:
    """Refuse modules whose names under kohya would be the same.

    Raises:
        AdapterMismatch: naming them.
    """
    same: list[str] = []
    for named in _by_flat_name(modules).values():
        if len(named) > 1:
            same.extend(named)
    if same:
        reason = "two of its modules would share a name"
        raise AdapterMismatch(name, [], sorted(same), reason)


def _kohya_metadata(
    renamed: Tensors,
    info: AdapterInfo,
    modules: list[str],
) -> dict[str, str]:
    metadata = {
        "format": "pt",
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(info.rank),
        "ss_network_alpha": str(info.alpha),
        "ss_output_name": info.name,
        "ss_base_model_hash": info.base_sha256,
        _OWN_METADATA: json.dumps(asdict(info)),
        _MODULES_METADATA: json.dumps(modules),
    }
    if any(_is_convolution(tensor) for tensor in renamed.values()):
        arguments = {"conv_dim": str(info.rank), "conv_alpha": str(info.alpha)}
        metadata["ss_network_args"] = json.dumps(arguments)
    text_layers = [key for key in renamed if key.endswith(_TEXT_LAYER)]
    text_widths = {renamed[key].shape[1] for key in text_layers}
    if text_widths:
        # A1111 lists a LoRA only for bases of its own version, and assumes 1 without this key
        metadata["ss_v2"] = str(text_widths == {SD2_TEXT_WIDTH})
    return metadata


def _is_convolution(tensor: Tensor) -> bool:
    return tensor.ndim == 4 and max(tensor.shape[2:]) > 1


def from_kohya(
    tensors: Tensors,
    metadata: Metadata,
    modules: Iterable[str] = (),
    *,
    name: str = "without a name",
) -> tuple[dict[str, Tensor], Strengths]:
    """The way back: tensors under our names, ranks and alphas.

    Args:
        tensors: `lora_unet_<module>.lora_down.weight`, `.lora_up.weight` and maybe `.alpha`, for
            each module; where there is none, alpha is the rank, as in sd-scripts.
        metadata: the file's; ours names the modules.
        modules: names of the network's modules, for files of other programs.
        name: of the adapter, where the file states none.

    Raises:
        AdapterMismatch: it is no LoRA of a U-Net alone (a text encoder's, LyCORIS, DoRA), or names
            modules that the network does not have.
    """
    name = metadata.get("ss_output_name") or name
    info = kohya_info(metadata)
    named = _by_flat_name({*_recorded_modules(metadata), *modules})
    flat_names = _check_kohya_names(tensors, named, name)
    renamed: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        flat, end = _split_kohya(key)
        if end != "alpha":
            module = named[flat][0]
            renamed[f"{UNET_PREFIX}{module}.{_OWN_NAMES[end]}"] = tensor
    _check_complete(tensors, flat_names, name)
    if info is None:
        names = {flat: named[flat][0] for flat in flat_names}
        return renamed, _strengths(tensors, names, name)
    rank, alpha = _rank_and_alpha(tensors, name)
    _check_own_info(info, rank, alpha, name)
    return renamed, Strengths(info.rank, info.alpha, {}, {})


def _strengths(
    tensors: Tensors,
    names: Mapping[str, str],
    name: str,
) -> Strengths:
    """Ranks and alphas of a file of another program, which may have several.

    Args:
        tensors: under kohya's names.
        names: of the modules, by kohya's.
        name: of the file.
    """
    ranks: dict[str, int] = {}
    alphas: dict[str, float] = {}
    for flat, module in sorted(names.items()):
        rank, alpha = _module_rank_and_alpha(tensors, f"{KOHYA_PREFIX}{flat}", name)
        ranks[module] = rank
        alphas[module] = alpha
    return Strengths.of(ranks, alphas)


def _split_kohya(key: str) -> tuple[str, str]:
    """Module and end of a name of kohya's; the end is empty where it is another name."""
    flat, _, end = key.removeprefix(KOHYA_PREFIX).partition(".")
    known = end == "alpha" or end in _OWN_NAMES
    if not key.startswith(KOHYA_PREFIX) or not known:
        return flat, ""
    return flat, end


def _check_kohya_names(
    tensors: Tensors,
    named: Mapping[str, tuple[str, ...]],
    name: str,
) -> set[str]:
    """The modules of a file under kohya's names.

    Raises:
        AdapterMismatch: a tensor is none of a plain LoRA, or of no known module.
    """
    flat_names = set()
    unknown = set()
    strange = []
    for key in tensors:
        flat, end = _split_kohya(key)
        if not end:
            strange.append(key)
        elif len(named.get(flat, ())) != 1:
            unknown.add(flat)
        flat_names.add(flat)
    if strange or not tensors:
        form = lora_form_of(strange)
        raise AdapterMismatch(name, [], sorted(strange), form.reason, form.remedy)
    if unknown:
        reason = "the network has no such modules, or several so named"
        raise AdapterMismatch(name, [], sorted(unknown), reason)
    return flat_names


def _check_complete(
    tensors: Tensors,
    flat_names: Iterable[str],
    name: str,
) -> None:
    """Refuse a module with one matrix of two.

    Raises:
        AdapterMismatch: naming the missing ones.
    """
    expected = {f"{KOHYA_PREFIX}{flat}.{end}" for flat in flat_names for end in _OWN_NAMES}
    missing = expected - tensors.keys()
    if missing:
        raise AdapterMismatch(name, sorted(missing), [])


def _check_own_info(
    info: AdapterInfo,
    rank: int,
    alpha: float,
    name: str,
) -> None:
    """Refuse metadata of ours that no longer fit the tensors.

    Raises:
        AdapterMismatch: naming both.
    """
    # the file holds alpha in float32
    stored_alpha = torch.tensor(float(info.alpha))
    same_alpha = bool(torch.tensor(alpha) == stored_alpha)
    if rank != info.rank or not same_alpha:
        reason = (
            f"its metadata state rank {info.rank} and alpha {info.alpha:g}, and its tensors have "
            f"{rank} and {alpha:g}"
        )
        raise AdapterMismatch(name, [], [], reason)


def kohya_info(metadata: Metadata) -> AdapterInfo | None:
    """The metadata of an adapter of ours; None for files of other programs.

    Raises:
        AdapterMismatch: it cannot be read.
    """
    if _OWN_METADATA not in metadata:
        return None
    try:
        facts = json.loads(metadata[_OWN_METADATA])
        return recipes.build(facts, AdapterInfo, name="its metadata")
    except (ValueError, TypeError, RecursionError, BadRecipe) as error:
        name = metadata.get("ss_output_name", "?")
        raise AdapterMismatch(name, [], [], first_line(error)) from error


def write_kohya(source: Path, target: Path) -> AdapterInfo:
    """Write an adapter's file as one of kohya's, whole or not at all.

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
    renamed, kohya_metadata = to_kohya(tensors, info)
    _write(renamed, target, kohya_metadata)
    return info


def write_diffusers(
    source: Path,
    target: Path,
    *,
    networks: Sequence[LayerShapes] = (),
) -> tuple[AdapterInfo | None, Strengths]:
    """Write one of kohya's files as diffusers names it, whole or not at all; ours are adapters
    again.

    Ranks and alphas are also written where diffusers reads them, so that it keeps the scale of any
    file, and of each module.

    Args:
        source: the file.
        target: a new file.
        networks: layers of the networks that it may be for; it must fit one of them. Without any,
            only a file of ours can be converted.

    Returns:
        Its metadata (None for files of other programs), ranks and alphas.

    Raises:
        BadWeights: it is no safetensors file.
        AdapterMismatch: see `from_kohya`; or its shapes are those of another network.
    """
    tensors, metadata = _read(source)
    modules: set[str] = set()
    for shapes in networks:
        modules.update(shapes)
    renamed, strengths = from_kohya(
        tensors,
        metadata,
        modules,
        name=source.stem,
    )
    if networks:
        check_fit(renamed, networks, metadata.get("ss_output_name") or source.stem)
    diffusers_facts: dict[str, Any] = {
        f"{UNET_PREFIX}r": strengths.rank,
        f"{UNET_PREFIX}lora_alpha": strengths.alpha,
        f"{UNET_PREFIX}target_modules": adapted_layers(renamed),
        # diffusers 0.36 takes no file without them, empty or not
        f"{UNET_PREFIX}rank_pattern": strengths.ranks,
        f"{UNET_PREFIX}alpha_pattern": strengths.alphas,
    }
    new_metadata = {"format": "pt", _DIFFUSERS_METADATA: json.dumps(diffusers_facts)}
    if _OWN_METADATA in metadata:
        new_metadata[_OWN_METADATA] = metadata[_OWN_METADATA]
    _write(renamed, target, new_metadata)
    return kohya_info(metadata), strengths


def is_own_file(path: Path) -> bool:
    """Whether a file under kohya's names is of histosynth, and names its modules itself.

    Raises:
        BadWeights: it is no safetensors file.
    """
    _, metadata = _read(path)
    return _OWN_METADATA in metadata


def _flat(module: str) -> str:
    return module.replace(".", "_")


def _by_flat_name(modules: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Modules by the name that kohya gives them; several where their names become the same."""
    found: dict[str, tuple[str, ...]] = {}
    for module in modules:
        flat = _flat(module)
        found[flat] = (*found.get(flat, ()), module)
    return found


def _recorded_modules(metadata: Metadata) -> list[str]:
    """Module names that a file of ours holds."""
    try:
        names = json.loads(metadata.get(_MODULES_METADATA, "[]"))
    except (ValueError, RecursionError):
        return []
    if not isinstance(names, list):
        return []
    return [name for name in names if isinstance(name, str)]


def _rank_and_alpha(tensors: Tensors, name: str) -> tuple[int, float]:
    """The one rank and the one alpha of all modules, under kohya's names.

    Raises:
        AdapterMismatch: there are several, or two tensors of a module do not fit each other.
    """
    found: set[tuple[int, float]] = set()
    for key in tensors:
        if key.endswith(".lora_down.weight"):
            module = key.removesuffix(".lora_down.weight")
            found.add(_module_rank_and_alpha(tensors, module, name))
    if len(found) != 1:
        pairs = ", ".join(f"{rank} and {alpha:g}" for rank, alpha in sorted(found))
        reason = f"one rank and one alpha are needed, and its modules have {pairs}"
        raise AdapterMismatch(name, [], [], reason)
    return found.pop()


def _module_rank_and_alpha(
    tensors: Tensors,
    module: str,
    name: str,
) -> tuple[int, float]:
    down = tensors[f"{module}.lora_down.weight"]
    up = tensors[f"{module}.lora_up.weight"]
    alpha = tensors.get(f"{module}.alpha")
    if not _fit_each_other(down, up):
        reason = "its two tensors do not fit each other"
        raise AdapterMismatch(name, [], [module], reason)
    rank = down.shape[0]
    if alpha is None:
        return rank, float(rank)
    if alpha.numel() != 1:
        raise AdapterMismatch(
            name,
            [],
            [f"{module}.alpha"],
            "alpha must be one number",
        )
    return rank, float(alpha.item())


def _fit_each_other(down: Tensor, up: Tensor) -> bool:
    """Whether two matrices are those of one linear layer or one convolution."""
    if down.ndim != up.ndim or down.ndim not in (2, 4):
        return False
    rank = down.shape[0]
    return rank > 0 and up.shape[1] == rank


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        BadWeights: it is none.
    """
    return read_all_tensors(path)


def _write(
    tensors: Tensors,
    target: Path,
    metadata: dict[str, str],
) -> None:
    packed = {key: value.contiguous() for key, value in tensors.items()}
    write_tensors(target, packed, metadata)
