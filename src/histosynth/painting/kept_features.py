"""What the base takes of a window's conditions, kept in a file from one phase to the next.

Nuclei, maps and the structure encoder cost as much as a step of the base. A file that is absent or
damaged is no fault: then they are computed again, to the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..model.structure import StructureFeatures
from ..tensors.files import tensor_bytes, tensors_of_bytes
from .part_files import read_checked, write_checked

MOST_BYTES_A_CELL = 512
"""Larger ones, of bases whose steps cost far more than their conditions, are not kept."""
_MOST_BYTES = 1 << 30
_FINE = "fine"


def features_file(folder: Path, column: int, row: int) -> Path:
    """The file of a window's features."""
    return folder / "features" / f"{row:06d}" / f"{column:06d}.safetensors"


def keep_features(path: Path, features: Sequence[StructureFeatures]) -> None:
    """Write features, those of each guidance after the other."""
    tensors = {}
    for number, each in enumerate(features):
        for name, tensor in _named(each):
            tensors[f"{number}.{name}"] = tensor.cpu().contiguous()
    write_checked(
        path,
        tensor_bytes(tensors),
    )


def kept_features(path: Path) -> list[StructureFeatures] | None:
    """Features that were kept; None: there are none that are whole."""
    data = read_checked(
        path,
        _MOST_BYTES,
    )
    tensors = None if data is None else tensors_of_bytes(data)
    if tensors is None:
        return None
    found: list[StructureFeatures] = []
    while f"{len(found)}.{_FINE}" in tensors:
        found.append(
            _features(
                tensors,
                len(found),
            )
        )
    return found or None


def _named(features: StructureFeatures) -> list[tuple[str, Tensor]]:
    scales = [(str(number), scale) for number, scale in enumerate(features.scales)]
    return [(_FINE, features.fine), *scales]


def _features(tensors: dict[str, Tensor], number: int) -> StructureFeatures:
    scales: list[Tensor] = []
    while f"{number}.{len(scales)}" in tensors:
        scales.append(_in_order(tensors[f"{number}.{len(scales)}"]))
    return StructureFeatures(
        _in_order(tensors[f"{number}.{_FINE}"]),
        tuple(scales),
    )


def _in_order(tensor: Tensor) -> Tensor:
    """In the memory order of networks' maps, so that layers sum in the same one."""
    return tensor.contiguous(memory_format=torch.channels_last)
