"""Folders of weights: local, or on the Hugging Face hub. Tensors come from safetensors only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..core import hub
from ..core.errors import BadWeights
from ..core.store import digest, sha256_of
from ..core.weights_folder import WEIGHTS_FILE
from ..tensors.folders import weight_files
from ..tensors.settings import read_settings

CONFIG_FILE = "config.json"
INDEX_FILE = "model.safetensors.index.json"


def repository_folder(source: str, files: Sequence[str], *, option: str) -> Path:
    """The folder that `source` names, with some of its files; see `core.hub.hub_folder`.

    Args:
        source: a folder, or a repository of the hub.
        files: names or patterns of what is wanted.
        option: how a local folder is named instead, for the message.

    Raises:
        BadWeights: there is no such folder, or the hub does not give it.
    """
    local_hint = f"Name a folder that holds {CONFIG_FILE} and {WEIGHTS_FILE}: {option}."
    return hub.hub_folder(source, files, local_hint=local_hint)


def read_json_object(
    path: Path,
    *,
    absent: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A JSON file of names and values.

    Args:
        path: of the file.
        absent: returned where there is no file; None: it must be there.

    Raises:
        BadWeights: it is absent or no such file.
    """
    if absent is not None and not path.exists():
        return absent
    return read_settings(path)


def weights_sha256(folder: Path) -> str:
    """Sha256 of a folder's weights: of the one file, or of the list of all and their sums.

    Raises:
        BadWeights: there are none that can be read safely.
    """
    single = folder / WEIGHTS_FILE
    if single.is_file():
        return sha256_of(single)
    if (folder / INDEX_FILE).is_file():
        parts = weight_files(folder, single.stem)
        return digest({part.name: sha256_of(part) for part in parts})
    convert = (
        "Other formats can hold programs: convert its weights once to "
        f"{WEIGHTS_FILE}, where you trust them, and name the folder that holds it."
    )
    raise BadWeights(folder, f"it holds no {WEIGHTS_FILE}", convert)
