"""Files of measured tiles: one safetensors file a job, which states the job that wrote it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import BadRun, BadWeights
from ...metrics.sample import TileMeasurements, Values
from ...tensors.files import open_tensors, write_tensors
from ...tensors.header import read_tensor_header

TileFacts = dict[str, Any]
"""name, patient, label and layout of a tile, and `refused` with the reason where it was not
measured."""


def is_written_by(path: Path, key: str) -> bool:
    """Whether a file exists and was written by the job of that key."""
    try:
        header = read_tensor_header(path)
        return header.metadata.get("job") == key
    except BadWeights:
        return False


def write_measured(
    path: Path,
    key: str,
    tiles: Sequence[TileFacts],
    values: Mapping[str, Values],
) -> None:
    """Write a job's file, whole or not at all.

    Args:
        path: of the file.
        key: of the job.
        tiles: facts of all tiles, those refused included.
        values: arrays, named `<number of the tile>/<name of the value>`.
    """
    arrays = {name: np.ascontiguousarray(value) for name, value in values.items()}
    metadata = {"job": key, "tiles": json.dumps(list(tiles))}
    write_tensors(
        path,
        arrays or {"none": np.zeros(1)},
        metadata,
    )


def read_measured(
    path: Path, *, without: Collection[str] = ()
) -> tuple[list[TileMeasurements], dict[str, str]]:
    """The tiles of a job's file, and its refused tiles with their reason.

    Args:
        path: of the file.
        without: names of values that are not read.

    Raises:
        BadRun: the file is damaged.
    """
    values: dict[int, dict[str, Values]] = {}
    try:
        with open_tensors(path, "np") as file:
            tiles = json.loads((file.metadata() or {})["tiles"])
            for number, name, key in _keys(file):
                if name not in without:
                    values.setdefault(number, {})[name] = file.get_tensor(key)
        return _tiles_of(tiles, values)
    except BadWeights as error:
        raise BadRun(path, f"it is damaged: {error.reason}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise BadRun(path, f"it is damaged: {error}") from error


def _tiles_of(
    tiles: Sequence[TileFacts],
    values: Mapping[int, Mapping[str, Values]],
) -> tuple[list[TileMeasurements], dict[str, str]]:
    measured = []
    refused = {}
    for number, tile in enumerate(tiles):
        if "refused" in tile:
            refused[tile["name"]] = tile["refused"]
            continue
        found = values.get(number, {})
        measured.append(
            TileMeasurements(
                tile["name"],
                tile["patient"],
                tile["label"],
                found,
                tile["layout"],
            )
        )
    return measured, refused


def tile_numbers(path: Path, name: str) -> list[int]:
    """Numbers of the tiles of a file that have a value of that name; refused tiles are counted."""
    with open_tensors(path, "np") as file:
        return sorted(number for number, value, _ in _keys(file) if value == name)


def _keys(file: Any) -> list[tuple[int, str, str]]:
    """Number of the tile, name of the value, and key of each array."""
    keys = []
    for key in file.keys():  # noqa: SIM118 - a safetensors file cannot be iterated
        number, slash, name = key.partition("/")
        if slash:
            keys.append((int(number), name, key))
    return keys
