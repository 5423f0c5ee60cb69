"""Arrays of numbers in a folder of parts: whole and unchanged, or not there."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..core.plain_files import open_plain
from ..core.store import atomic_write

_CHECK_BYTES = 4


def write_array(path: Path, values: NDArray[np.generic]) -> None:
    """Write an array's values with a checksum behind them, whole or not at all."""
    write_checked(
        path,
        np.ascontiguousarray(values).tobytes(),
    )


def write_checked(path: Path, data: bytes) -> None:
    """Write bytes with a checksum behind them, whole or not at all."""
    check = zlib.crc32(data).to_bytes(
        _CHECK_BYTES,
        "little",
    )
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.write(check)


def has_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> bool:
    """Whether a file of an array of this shape is there and whole."""
    return (
        _read(
            path,
            shape,
            dtype,
        )
        is not None
    )


def read_array(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """The values of such a file.

    Raises:
        OSError: it is not there, of another size, or damaged.
    """
    values = _read(
        path,
        shape,
        dtype,
    )
    if values is None:
        raise OSError(f"{path.name} is absent or damaged")
    return values


def read_checked(path: Path, most: int) -> bytes | None:
    """Bytes that `write_checked` wrote; None: they are absent, damaged, or more than `most`."""
    try:
        with open_plain(path) as file:
            data = file.read(most + _CHECK_BYTES + 1)
    except OSError:
        return None
    values = data[:-_CHECK_BYTES]
    check = int.from_bytes(
        data[-_CHECK_BYTES:],
        "little",
    )
    if len(values) > most or len(data) < _CHECK_BYTES or zlib.crc32(values) != check:
        return None
    return values


def _read(path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic] | None:
    wanted = int(np.prod(shape)) * np.dtype(dtype).itemsize
    values = read_checked(
        path,
        wanted,
    )
    if values is None or len(values) != wanted:
        return None
    return np.frombuffer(
        values,
        dtype,
    ).reshape(shape)
