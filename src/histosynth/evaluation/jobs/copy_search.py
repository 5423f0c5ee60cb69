"""The search for copies as jobs of an engine: tiles of measured files, searched for in the training
tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import Float64Array, IndexArray
from ...core.errors import BadRun, BadWeights
from ...core.store import digest
from ...engine.threads import one_thread
from ...metrics.copying.register import Library
from ...metrics.copying.search import MATCH, MATCH_VALUES, TISSUE_MATCH, find_matches
from ...metrics.sample import Sample
from ...tensors.files import open_tensors, write_tensors
from .measured_file import is_written_by, read_measured, tile_numbers

TEXTURE = "copy/texture"
_FEATURES = "embed/features"
_REVISION = 3
"""Of what a search finds: files of another revision are searched again."""
_MATCHES = (MATCH, TISSUE_MATCH)


@dataclass(frozen=True)
class SearchJob:
    """Search for the tiles of one measured file.

    Attributes:
        source: the measured file.
        library: files of the whole training tiles.
        crops: files of the training tissue cut to crops of the tiles' size, with features.
        side_um: side of the tiles, um.
        leave_out_own_patient: search only in the tissue of other patients.
        key: of everything that decides the result.
        path: of the file to write.
    """

    source: Path
    library: tuple[Path, ...]
    crops: tuple[Path, ...]
    side_um: float
    leave_out_own_patient: bool
    key: str
    path: Path

    def done(self) -> bool:
        """Whether its file exists."""
        return is_written_by(self.path, self.key)


def search(job: SearchJob) -> int:
    """Search for a job's tiles and write where they were found. Returns the number of tiles."""
    measured, _ = read_measured(job.source)
    library, owners = _library(job.library, job.side_um)
    with one_thread():
        found = find_matches(
            Sample(tuple(measured)),
            library,
            owners,
            crops=_features(job.crops, job.library),
            exclude_own_patient=job.leave_out_own_patient,
        )
    arrays = {}
    for name in _MATCHES:
        rows = [tile.values[name] for tile in found.tiles]
        matches = np.array(rows, np.float64)
        arrays[name] = matches.reshape(-1, MATCH_VALUES)
    write_tensors(
        job.path,
        arrays,
        {"job": job.key},
    )
    return len(found)


def with_matches(sample: Sample, jobs: Sequence[SearchJob]) -> Sample:
    """A sample with the matches of its jobs, which are in the order of its tiles.

    Raises:
        BadRun: a file is damaged, or of other tiles.
    """
    rows: dict[str, list[Any]] = {name: [] for name in _MATCHES}
    for job in jobs:
        try:
            with open_tensors(job.path, "np") as file:
                for name in _MATCHES:
                    rows[name] += list(file.get_tensor(name))
        except BadWeights as error:
            raise BadRun(job.path, f"it is damaged: {error.reason}") from error
    for found in rows.values():
        if len(found) != len(sample):
            folder = jobs[0].path.parent
            raise BadRun(folder, f"it holds {len(found)} matches for {len(sample)} tiles")
    tiles = []
    for number, tile in enumerate(sample.tiles):
        matches = {name: found[number] for name, found in rows.items()}
        tiles.append(replace(tile, values={**tile.values, **matches}))
    return Sample(tuple(tiles))


def search_key(
    source: str,
    library: Sequence[str],
    crops: Sequence[str],
    side_um: float,
    leave_out_own_patient: bool,
) -> str:
    """Key of a job, from the keys of the jobs whose files it reads."""
    parts = [
        _REVISION,
        source,
        list(library),
        list(crops),
        side_um,
        leave_out_own_patient,
    ]
    return digest(parts)


class _Textures(Sequence[NDArray[np.floating]]):
    """Textures of the training tiles, read from their files one at a time."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.keys: list[tuple[Path, str]] = []
        self.owners: list[str] = []
        heights = [1]
        widths = [1]
        for path in files:
            measured, _ = read_measured(path)
            numbers = tile_numbers(path, TEXTURE)
            for number, tile in zip(numbers, measured, strict=True):
                self.keys.append((path, f"{number}/{TEXTURE}"))
                self.owners.append(tile.patient or tile.name)
                height, width = tile.values[TEXTURE].shape
                heights.append(height)
                widths.append(width)
        self.shape = (max(heights), max(widths))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, row: Any) -> Any:
        path, key = self.keys[row]
        with open_tensors(path, "np") as file:
            return file.get_tensor(key)


@lru_cache(maxsize=1)
def _library(files: tuple[Path, ...], side_um: float) -> tuple[Library, list[str]]:
    textures = _Textures(files)
    return Library(textures, side_um, textures.shape), textures.owners


@lru_cache(maxsize=1)
def _features(
    crops: tuple[Path, ...], library: tuple[Path, ...]
) -> tuple[Float64Array, IndexArray]:
    """Features of all crops, and the number of the training tile of each."""
    names: list[str] = []
    for path in library:
        measured, _ = read_measured(path)
        names += [tile.name for tile in measured]
    numbers = {name: number for number, name in enumerate(names)}
    rows = []
    owners = []
    for path in crops:
        measured, _ = read_measured(path, without=(TEXTURE,))
        for tile in measured:
            features = tile.values[_FEATURES]
            rows.append(np.asarray(features, np.float64))
            whole_name = _whole_name(tile.name, numbers)
            owners.append(numbers[whole_name])
    return np.array(rows), np.array(owners, np.intp)


def _whole_name(name: str, numbers: dict[str, int]) -> str:
    """The name of the tile that a crop was cut from."""
    if name in numbers:
        return name
    return name.rpartition("@")[0]
