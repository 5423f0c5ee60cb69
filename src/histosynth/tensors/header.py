"""The header of a safetensors file: names, types, shapes and places of its tensors.

It is read before any tensor is, and before any network is built: what a file asks for is known, and
bounded by its own size, at the cost of a small text. Nothing here imports safetensors or torch.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..core.errors import BadWeights, first_line
from ..core.plain_files import open_plain

LENGTH_BYTES = 8
"""A safetensors file starts with the length of its header, a little-endian number."""
MAX_HEADER_BYTES = 100_000_000
"""The limit of the format's own library."""
MAX_TENSORS = 1_000_000
_MAX_DIMENSIONS = 16
_METADATA = "__metadata__"
_TYPE_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
"""Bits of one number, by the format's name of its type."""


@dataclass(frozen=True)
class StoredTensor:
    """Where one tensor lies in a file.

    Attributes:
        type: of its numbers, by the format's name, e.g. `F16`.
        shape: of the tensor.
        start: its first byte, counted from the start of the file.
        end: the byte after its last.
    """

    type: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class TensorHeader:
    """What a safetensors file holds.

    Attributes:
        tensors: by name, in the order of their bytes.
        metadata: texts by name.
    """

    tensors: Mapping[str, StoredTensor]
    metadata: Mapping[str, str]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name."""
        return {name: each.shape for name, each in self.tensors.items()}


def count_numbers(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """How many numbers tensors of these shapes hold together."""
    return sum(math.prod(shape) for shape in shapes.values())


def read_tensor_header(path: Path) -> TensorHeader:
    """The header of a safetensors file, every value of it checked against the file's size.

    Raises:
        BadWeights: it cannot be read, or is no whole safetensors file.
    """
    try:
        with open_plain(path) as file:
            text, size = _header_text(file)
        values = json.loads(text, object_pairs_hook=_unique)
        return _checked(values, LENGTH_BYTES + len(text), size)
    except OSError as error:
        raise BadWeights(path, error.strerror or first_line(error)) from error
    except RecursionError as error:
        raise BadWeights(path, "its header is nested too deeply") from error
    except ValueError as error:
        raise BadWeights(path, first_line(error)) from error


def _header_text(file: BinaryIO) -> tuple[bytes, int]:
    """The header's text and the file's size in bytes."""
    found = os.fstat(file.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no regular file")
    stated = file.read(LENGTH_BYTES)
    length = int.from_bytes(stated, "little")
    if len(stated) < LENGTH_BYTES or length > found.st_size - LENGTH_BYTES:
        raise ValueError(
            f"it has {found.st_size:,} bytes, and its header alone should have {length:,}"
        )
    if length > MAX_HEADER_BYTES:
        raise ValueError(f"its header has {length:,} bytes, more than {MAX_HEADER_BYTES:,}")
    return file.read(length), found.st_size


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose names are all different."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is in its header twice")
    return found


def _checked(values: Any, start: int, size: int) -> TensorHeader:
    """A parsed header, whose tensors fill the file from `start` to `size` without gaps."""
    if not isinstance(values, dict):
        raise ValueError("its header holds no names with values")
    metadata = values.pop(_METADATA, None) or {}
    is_text = isinstance(metadata, dict) and all(
        isinstance(each, str) for each in metadata.values()
    )
    if not is_text:
        raise ValueError("its metadata are no texts by name")
    if len(values) > MAX_TENSORS:
        raise ValueError(f"it holds {len(values):,} tensors, more than {MAX_TENSORS:,}")
    found = {name: _stored_tensor(name, entry, start) for name, entry in values.items()}
    tensors = dict(sorted(found.items(), key=lambda item: (item[1].start, item[1].end)))
    at = start
    for name, tensor in tensors.items():
        if tensor.start != at:
            raise ValueError(f"{name} does not begin where the tensor before it ends")
        at = tensor.end
    if at != size:
        raise ValueError(f"it has {size:,} bytes, and its header states {at:,}")
    return TensorHeader(tensors, metadata)


def _stored_tensor(name: str, entry: Any, start: int) -> StoredTensor:
    """One entry of a header, its offsets counted from the start of the file."""
    if not isinstance(entry, dict):
        raise ValueError(f"{name} has no type, shape and offsets")
    bits = _TYPE_BITS.get(str(entry.get("dtype")))
    shape = _whole_numbers(entry.get("shape"))
    offsets = _whole_numbers(entry.get("data_offsets"))
    if bits is None or shape is None or len(shape) > _MAX_DIMENSIONS:
        raise ValueError(f"{name} has a type or shape that no file of this format has")
    if offsets is None or len(offsets) != 2:
        raise ValueError(f"{name} has no offsets")
    first, last = offsets
    if (last - first) * 8 != math.prod(shape) * bits:
        raise ValueError(f"{name} has {last - first:,} bytes, which its shape and type do not")
    return StoredTensor(str(entry["dtype"]), shape, start + first, start + last)


def _whole_numbers(values: Any) -> tuple[int, ...] | None:
    """A list of whole numbers from 0 on; None: it is something else."""
    if not isinstance(values, list):
        return None
    if not all(type(each) is int and 0 <= each < 2**63 for each in values):
        return None
    return tuple(values)
