"""Safetensors files: the one place that writes and opens them.

Written files are whole or absent, and the same tensors with the same metadata give the same bytes.
Opened files were checked first: their header fits their size (`tensors.header`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ..core.errors import BadWeights, first_line
from ..core.store import atomic_write
from .header import LENGTH_BYTES, read_tensor_header

Framework = Literal["np", "pt"]
_OS_ERROR = re.compile(r"\(os error (\d{1,5})\)")
"""How the library, which is written in Rust, states errors of the system."""


def write_tensors(
    path: Path,
    tensors: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a safetensors file, whole or not at all; returns its path.

    Args:
        path: of the file; its folder is created.
        tensors: contiguous arrays of numpy or tensors of torch on the CPU, by name.
        metadata: texts by name. They are written sorted: the library leaves them in any order.

    Raises:
        NotWritable: the path cannot be written.
    """
    save: Any
    if all(isinstance(each, np.ndarray) for each in tensors.values()):
        from safetensors.numpy import save_file as save
    else:
        from safetensors.torch import save_file as save
    with atomic_write(path, replaces=True) as temporary:
        texts = dict(metadata) if metadata else None
        with _disk_errors():
            save(
                dict(tensors),
                temporary,
                metadata=texts,
            )
        if metadata and len(metadata) > 1:
            _sort_metadata(temporary)
    return path


def tensor_bytes(tensors: Mapping[str, Any]) -> bytes:
    """Contiguous tensors of torch on the CPU as the bytes of a safetensors file."""
    from safetensors.torch import save

    return bytes(save(dict(tensors)))


def tensors_of_bytes(data: bytes) -> dict[str, Any] | None:
    """Tensors of torch from such bytes; None: they are none."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return dict(load(data))
    except SafetensorError:
        return None


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Turn errors of the disk, which the library hides in its own, into those of the system."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        found = _OS_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found.group(1))
        raise OSError(number, os.strerror(number)) from error


def _sort_metadata(path: Path) -> None:
    """Sort a file's metadata by name, in place: the header keeps its length, no tensor is read."""
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        header = json.loads(file.read(length))
        metadata = header["__metadata__"]
        header["__metadata__"] = dict(sorted(metadata.items()))
        compact = json.dumps(
            header,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        text = compact.encode()
        if len(text) > length:  # both writers escape as little as JSON allows
            raise RuntimeError(f"a header of {length} bytes became one of {len(text)}")
        file.seek(LENGTH_BYTES)
        file.write(text.ljust(length))


@contextmanager
def open_tensors(path: Path, framework: Framework = "pt") -> Iterator[Any]:
    """A safetensors file, open to read its tensors one by one: safetensors' `safe_open`.

    Args:
        path: of the file.
        framework: `np` gives arrays of numpy, `pt` tensors of torch.

    Raises:
        BadWeights: it cannot be read, or is no whole safetensors file; also for errors of the
            library inside the block.
    """
    from safetensors import SafetensorError, safe_open

    read_tensor_header(path)
    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except SafetensorError as error:
        raise BadWeights(path, first_line(error)) from error


def read_all_tensors(
    path: Path,
    framework: Framework = "pt",
) -> tuple[dict[str, Any], dict[str, str]]:
    """All tensors of a safetensors file, and its metadata.

    Raises:
        BadWeights: it cannot be read, or is no whole safetensors file.
    """
    with open_tensors(path, framework) as file:
        tensors = {}
        for name in file.keys():  # noqa: SIM118 - a safetensors file cannot be iterated
            tensors[name] = file.get_tensor(name)
        metadata = file.metadata() or {}
        return tensors, dict(metadata)
