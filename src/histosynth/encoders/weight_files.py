"""Weights of public networks: found or fetched, checked before they are read, and fitted whole."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as safe_tensors
from torch import Tensor, nn

from ..core.errors import BadWeights, FetchFailed, NotWritable, first_line
from ..core.errors.base import some
from ..core.store import atomic_write, sha256_of
from ..core.web import RetryPolicy, TransientError, open_url, read_chunk

CACHE = "HISTOSYNTH_CACHE"
"""Names the folder where fetched weights lie; `~/.cache/histosynth` without it."""
_MOST = 1 << 30
"""Bytes that are read from a server at most: none of these files is larger."""
_PIECE = 1 << 20


@dataclass(frozen=True)
class Pinned:
    """A public file of weights that is known.

    Attributes:
        name: of the file.
        url: where it lies.
        sha256: of its bytes, hex.
    """

    name: str
    url: str
    sha256: str


def cache_folder() -> Path:
    """Where fetched weights lie."""
    said = os.environ.get(CACHE, "")
    return Path(said).expanduser() if said else Path.home() / ".cache" / "histosynth"


def cached(known: Sequence[Pinned], *, sleep: Callable[[float], None] = time.sleep) -> Path:
    """The first of the known files that lies in the cache folder; else the first of all is fetched.

    Args:
        known: files that would do, the one to fetch first.
        sleep: waits between tries, in s.

    Raises:
        FetchFailed: it cannot be fetched, or the cache folder cannot be written.
        BadWeights: another file came.
    """
    for each in known:
        if (path := cache_folder() / each.name).is_file():
            return path
    wanted = known[0]
    path = cache_folder() / known[0].name
    by_hand = f"Get it on another machine and name it with --weights, or put it at {path}."
    try:
        _fetch(wanted, path, sleep)
    except NotWritable as error:
        reason = f"{error.path} cannot be written ({error.reason})"
        raise FetchFailed(wanted.url, reason, f"Set {CACHE} to a folder that can.") from error
    except FetchFailed as error:
        raise FetchFailed(wanted.url, error.reason, by_hand) from error
    return path


def _fetch(wanted: Pinned, path: Path, sleep: Callable[[float], None]) -> None:
    """The file takes its name only when it is whole and the right one."""
    patience = RetryPolicy(3, sleep)
    with atomic_write(path) as temporary:
        while True:
            try:
                _receive(wanted, temporary)
                break
            except TransientError as fault:
                patience.wait(wanted.name, fault)
        if (found := sha256_of(temporary)) != wanted.sha256:
            raise _another(Path(wanted.url), found, [wanted])


def _receive(wanted: Pinned, path: Path) -> None:
    with open_url(wanted.url, wanted.name) as answer, path.open("wb") as file:
        length = answer.headers.get("Content-Length")
        here = 0
        while piece := read_chunk(answer, _PIECE):
            here += len(piece)
            if here > _MOST:
                raise FetchFailed(wanted.name, f"more than {_MOST:,} bytes came")
            file.write(piece)
        if length is not None and length != str(here):
            raise TransientError(f"the connection ended at {here:,} of {length[:20]} bytes")


def checked_bytes(path: Path, known: Sequence[Pinned]) -> tuple[bytes, Pinned]:
    """A file's bytes, and which of the known ones it is; what is loaded later is what was checked
    here.

    Raises:
        BadWeights: it cannot be read, or is none of them.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadWeights(path, error.strerror or str(error), "Check the path.") from error
    found = hashlib.sha256(data).hexdigest()
    for each in known:
        if each.sha256 == found:
            return data, each
    raise _another(path, found, known)


def _another(path: Path, found: str, known: Sequence[Pinned]) -> BadWeights:
    wanted = " nor ".join(f"{each.sha256} ({each.name})" for each in known)
    remedy = (
        f"Get {known[0].url} again; other weights of this network can be given as .safetensors."
    )
    return BadWeights(path, f"its sha256 is {found}, not {wanted}", remedy)


def read_tensors(path: Path, known: Sequence[Pinned]) -> tuple[dict[str, Tensor], str]:
    """Tensors of a file by their names, and its sha256.

    A `.safetensors` file holds numbers only and may be any; every other file must be one of the
    known ones, and even then only tensors are read from it.

    Raises:
        BadWeights: it cannot be read, or is none of the known ones.
    """
    if path.suffix == ".safetensors":
        try:
            data = path.read_bytes()
            return safe_tensors(data), hashlib.sha256(data).hexdigest()
        except OSError as error:
            raise BadWeights(path, error.strerror or str(error), "Check the path.") from error
        except (SafetensorError, ValueError) as error:
            raise BadWeights(path, first_line(error)) from error
    data, which = checked_bytes(path, known)
    return _unpacked(data, path), which.sha256


def _unpacked(data: bytes, path: Path) -> dict[str, Tensor]:
    """Tensors of checked bytes, in torch's own format."""
    try:
        found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # a format of many layers, each with errors of its own
        raise BadWeights(path, f"it does not hold tensors only ({type(error).__name__})") from error
    if not isinstance(found, dict) or not all(isinstance(each, Tensor) for each in found.values()):
        raise BadWeights(path, "it holds other things than tensors by name")
    return found


def fill(
    network: nn.Module,
    tensors: dict[str, Tensor],
    path: Path,
    beside: tuple[str, ...] = (),
) -> None:
    """Load tensors into a network, all of them or none, and make it ready to look (no gradients).

    Args:
        network: to fill.
        tensors: by the names of its parameters and buffers; counters of batches may be absent.
        path: where they come from, as errors say it.
        beside: beginnings of names that the network has no use for.

    Raises:
        BadWeights: names or shapes are not the network's.
    """
    wanted = {
        k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")
    }
    given = {k: v for k, v in tensors.items() if not k.endswith("num_batches_tracked")}
    given = {k: v for k, v in given.items() if not k.startswith(beside)} if beside else given
    faults = {
        "absent": [k for k in wanted if k not in given],
        "unknown": [k for k in given if k not in wanted],
        "of another shape": [
            k for k, v in given.items() if k in wanted and v.shape != wanted[k].shape
        ],
    }
    if any(faults.values()):
        told = "; ".join(
            f"{len(names)} {what} ({some(names, 3)})" for what, names in faults.items() if names
        )
        raise BadWeights(
            path,
            f"its tensors are not this network's: {told}",
            "Give the right network's file.",
        )
    network.load_state_dict({key: value.float() for key, value in given.items()}, strict=False)
    network.eval().requires_grad_(False)
