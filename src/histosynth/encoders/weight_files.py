"""Weights of public networks: found or fetched, checked before they are read, and loaded whole."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.errors import BadWeights, FetchFailed, NotWritable
from ..core.errors.base import listed
from ..core.plain_files import open_plain
from ..core.store import atomic_write, sha256_of
from ..core.web import RetryPolicy, TransientError, open_url, read_chunk
from ..tensors.files import read_all_tensors

_CACHE_VARIABLE = "HISTOSYNTH_CACHE"
"""Names the folder of fetched weights; `~/.cache/histosynth` without it."""
_MAX_BYTES = 1 << 30
"""Bytes that are read from a server at most: none of these files is larger."""
_CHUNK_BYTES = 1 << 20
_MAX_TRIES = 3


@dataclass(frozen=True)
class PublicFile:
    """A public file of weights whose sha256 is known.

    Attributes:
        name: of the file.
        url: where it lies.
        sha256: of its bytes, hex.
    """

    name: str
    url: str
    sha256: str


def cache_folder() -> Path:
    """The folder of fetched weights."""
    folder = os.environ.get(_CACHE_VARIABLE, "")
    if folder:
        return Path(folder).expanduser()
    return Path.home() / ".cache" / "histosynth"


def cached_or_fetched(
    known: Sequence[PublicFile],
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> Path:
    """The first of the known files that lies in the cache folder; else the first of all is fetched.

    Args:
        known: files that would do, the one to fetch first.
        sleep: waits between tries, in s.

    Raises:
        FetchFailed: it cannot be fetched, or the cache folder cannot be written.
        BadWeights: the server sent another file.
    """
    for file in known:
        path = cache_folder() / file.name
        if path.is_file():
            return path
    wanted = known[0]
    path = cache_folder() / wanted.name
    try:
        _fetch(wanted, path, sleep)
    except NotWritable as error:
        reason = f"{error.path} cannot be written ({error.reason})"
        remedy = f"Set {_CACHE_VARIABLE} to a folder that can."
        raise FetchFailed(wanted.url, reason, remedy) from error
    except FetchFailed as error:
        remedy = f"Get it on another machine and name it with --weights, or put it at {path}."
        raise FetchFailed(wanted.url, error.reason, remedy) from error
    return path


def _fetch(
    wanted: PublicFile,
    path: Path,
    sleep: Callable[[float], None],
) -> None:
    """Fetch a file; it gets its name only when it is whole and the right one."""
    policy = RetryPolicy(_MAX_TRIES, sleep)
    with atomic_write(path) as temporary:
        while True:
            try:
                _receive(wanted, temporary)
                break
            except TransientError as fault:
                policy.wait(wanted.name, fault)
        found = sha256_of(temporary)
        if found != wanted.sha256:
            raise _wrong_file(Path(wanted.url), found, [wanted])


def _receive(wanted: PublicFile, path: Path) -> None:
    """Write what the server sends to a file.

    Raises:
        TransientError: the connection ended early.
        FetchFailed: there is no such file, or it is too large.
    """
    with open_url(wanted.url, wanted.name) as answer, path.open("wb") as file:
        stated = answer.headers.get("Content-Length")
        received = 0
        while chunk := read_chunk(answer, _CHUNK_BYTES):
            received += len(chunk)
            if received > _MAX_BYTES:
                raise FetchFailed(wanted.name, f"more than {_MAX_BYTES:,} bytes came")
            file.write(chunk)
    if stated is not None and stated != str(received):
        raise TransientError(f"the connection ended at {received:,} of {stated[:20]} bytes")


def checked_bytes(path: Path, known: Sequence[PublicFile]) -> tuple[bytes, PublicFile]:
    """A file's bytes, and which of the known files it is.

    The bytes that were checked are returned, so that nothing else can be loaded afterwards.

    Raises:
        BadWeights: it cannot be read, or is none of them.
    """
    data = _read_bytes(path)
    found = hashlib.sha256(data).hexdigest()
    for file in known:
        if file.sha256 == found:
            return data, file
    raise _wrong_file(path, found, known)


def _read_bytes(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read()
    except OSError as error:
        raise BadWeights(path, error.strerror or str(error), "Check the path.") from error


def _wrong_file(
    path: Path,
    found: str,
    known: Sequence[PublicFile],
) -> BadWeights:
    wanted = " nor ".join(f"{file.sha256} ({file.name})" for file in known)
    remedy = (
        f"Get {known[0].url} again; other weights of this network can be given as .safetensors."
    )
    return BadWeights(path, f"its sha256 is {found}, not {wanted}", remedy)


def read_tensors(
    path: Path,
    known: Sequence[PublicFile],
) -> tuple[dict[str, Tensor], str]:
    """Tensors of a file by their names, and its sha256.

    A `.safetensors` file holds numbers only and may be any; every other file must be one of the
    known ones, and even then only tensors are read from it.

    Raises:
        BadWeights: it cannot be read, or is none of the known ones.
    """
    if path.suffix != ".safetensors":
        data, file = checked_bytes(path, known)
        return _unpickle_tensors(data, path), file.sha256
    tensors, _ = read_all_tensors(path)
    return tensors, sha256_of(path)


def _unpickle_tensors(data: bytes, path: Path) -> dict[str, Tensor]:
    """Tensors of checked bytes, in torch's own format."""
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a format of many layers, each with errors of its own
        raise BadWeights(path, f"it does not hold tensors only ({type(error).__name__})") from error
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        raise BadWeights(path, "it holds other things than tensors by name")
    return found


def load_tensors_into(
    network: nn.Module,
    tensors: dict[str, Tensor],
    path: Path,
    ignored_prefixes: tuple[str, ...] = (),
) -> None:
    """Load tensors into a network, all of them or none, and prepare it for inference.

    Args:
        network: to fill.
        tensors: by the names of its parameters and buffers; counters of batches may be absent.
        path: where they come from, for the message.
        ignored_prefixes: beginnings of names that the network has no use for.

    Raises:
        BadWeights: names or shapes are not the network's.
    """
    wanted = _without_counters(network.state_dict())
    given = {}
    for name, tensor in _without_counters(tensors).items():
        if not name.startswith(ignored_prefixes):
            given[name] = tensor
    _refuse_other_tensors(given, wanted, path)
    # copied, because memory of a file need not be aligned; assigned, as an empty network has none
    own = {name: each.to(torch.float32, copy=True) for name, each in given.items()}
    network.load_state_dict(own, strict=False, assign=True)
    network.eval().requires_grad_(False)


def _refuse_other_tensors(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    path: Path,
) -> None:
    """Refuse tensors whose names or shapes are not those wanted."""
    faults = {
        "absent": [name for name in wanted if name not in given],
        "unknown": [name for name in given if name not in wanted],
        "of another shape": _misshaped(given, wanted),
    }
    counts = []
    for fault, names in faults.items():
        if names:
            counts.append(f"{len(names)} {fault} ({listed(names, 3)})")
    if counts:
        reason = f"its tensors are not this network's: {'; '.join(counts)}"
        raise BadWeights(path, reason, "Give the right network's file.")


def _without_counters(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not _is_counter(name)}


def _is_counter(name: str) -> bool:
    """Whether a tensor only counts the batches that a norm has processed."""
    return name.endswith("num_batches_tracked")


def _misshaped(
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
) -> list[str]:
    names = []
    for name, tensor in given.items():
        if name in wanted and tensor.shape != wanted[name].shape:
            names.append(name)
    return names
