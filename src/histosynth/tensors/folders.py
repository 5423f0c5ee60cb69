"""A network's folder: which files hold its weights.

Names come from the folder and from its index, and every one of them is a plain name in the folder.
Only safetensors files are read; others, which may hold programs, are left alone.
"""

from __future__ import annotations

from pathlib import Path

from ..core.errors import BadWeights
from .header import StoredTensor, read_tensor_header
from .settings import read_settings

_HALF_VARIANT = "fp16"
"""What diffusers and transformers put into the names of weights in float16."""
_MAX_PARTS = 1000
_MAX_SHOWN = 100


def weight_files(folder: Path, stem: str) -> list[Path]:
    """The files of a network's weights: the one, or all parts that its index names.

    Args:
        folder: of the network.
        stem: of the one file, e.g. `model`; names may have `.fp16` after it where the folder has no
            others.

    Raises:
        BadWeights: there are none, or the index names files elsewhere.
    """
    if not folder.is_dir():
        raise BadWeights(folder, "there is no such folder")
    variant = "." + _HALF_VARIANT if _has_half_only(folder) else ""
    single = folder / f"{stem}{variant}.safetensors"
    if single.is_file():
        return [single]
    index = folder / f"{stem}.safetensors.index{variant}.json"
    if index.is_file():
        return [folder / name for name in _part_names(index)]
    raise BadWeights(folder, f"it holds no {stem}.safetensors")


def _has_half_only(folder: Path) -> bool:
    """Whether a folder holds weights under names of the float16 variant only."""
    names = [path.name for path in folder.glob("*.safetensors")]
    if not names:
        return False
    return all(f".{_HALF_VARIANT}" in name for name in names)


def _part_names(index: Path) -> list[str]:
    """Names of the files of an index, sorted.

    Raises:
        BadWeights: one is no plain name of a safetensors file.
    """
    parts = read_settings(index).get("weight_map")
    if not isinstance(parts, dict):
        raise BadWeights(index, "it names no files of weights")
    found = set(map(str, parts.values()))
    names = sorted(found)
    for name in names:
        if not _is_plain(name):
            shown = repr(name[:_MAX_SHOWN])
            raise BadWeights(index, f"{shown} is no plain name of a .safetensors file")
    if not names or len(names) > _MAX_PARTS:
        raise BadWeights(index, f"it names {len(names):,} files, not 1 to {_MAX_PARTS:,}")
    return names


def _is_plain(name: str) -> bool:
    """Whether a name is that of a safetensors file in its folder, wherever it is read."""
    if Path(name).name != name or "\\" in name or "\0" in name:
        return False
    return name.endswith(".safetensors")


def stored_in(files: list[Path]) -> dict[str, StoredTensor]:
    """All tensors of several files by name.

    Raises:
        BadWeights: a file is no whole safetensors file, or two hold a tensor of one name.
    """
    found: dict[str, StoredTensor] = {}
    for path in files:
        tensors = read_tensor_header(path).tensors
        twice = found.keys() & tensors.keys()
        if twice:
            raise BadWeights(path, f"{min(twice)} is in another file too")
        found.update(tensors)
    return found
