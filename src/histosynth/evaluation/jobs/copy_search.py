"""Looking for copies on an engine: tiles of some measured files, each looked up in the training
tissue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ...core.errors import BadRun
from ...core.store import atomic_write, digest
from ...engine.threads import one_thread
from ...metrics.copying.register import Library
from ...metrics.copying.search import find_matches
from ...metrics.sample import Sample, TileMeasurements
from .measuring import made_by, read_measured

TEXTURE = "copy/texture"


@dataclass(frozen=True)
class SearchJob:
    """Look up the tiles of one measured file.

    Attributes:
        source: the measured file.
        library: files of the whole training tiles.
        crops: files of the training tissue cut to crops of the tiles' size, with features.
        side_um: of the tiles.
        apart: leave out each tile's own patient.
        key: of all that decides the result.
        path: of the file to write.
    """

    source: Path
    library: tuple[Path, ...]
    crops: tuple[Path, ...]
    side_um: float
    apart: bool
    key: str
    path: Path

    def done(self) -> bool:
        """Whether its file is there."""
        return made_by(self.path, self.key)


def search(job: SearchJob) -> int:
    """Look up a job's tiles and write where they were found. Returns how many were looked up."""
    seen, _ = read_measured(job.source)
    library, owners = _library(job.library, job.side_um)
    with one_thread():
        found = find_matches(
            Sample(tuple(seen)),
            library,
            owners,
            crops=_features(job.crops, job.library),
            apart=job.apart,
        )
    rows = [tile.values["copy/match"] for tile in found.tiles]
    with atomic_write(job.path) as temporary:
        save_file(
            {"match": np.array(rows, np.float64).reshape(-1, 6)},
            temporary,
            {"job": job.key},
        )
    return len(rows)


def with_matches(sample: Sample, jobs: Sequence[SearchJob]) -> Sample:
    """A sample with what its jobs found, in the jobs' order.

    Raises:
        BadRun: a file is damaged, or of other tiles.
    """
    rows: list[Any] = []
    for job in jobs:
        try:
            with safe_open(job.path, "numpy") as file:
                rows += list(file.get_tensor("match"))
        except (OSError, SafetensorError) as error:
            raise BadRun(job.path, f"it is damaged: {error}") from error
    if len(rows) != len(sample):
        raise BadRun(jobs[0].path.parent, f"it holds {len(rows)} matches for {len(sample)} tiles")
    tiles = [
        TileMeasurements(
            tile.name,
            tile.patient,
            tile.label,
            {**tile.values, "copy/match": row},
        )
        for tile, row in zip(sample.tiles, rows, strict=True)
    ]
    return Sample(tuple(tiles))


def search_key(
    source: str,
    library: Sequence[str],
    crops: Sequence[str],
    side_um: float,
    apart: bool,
) -> str:
    """Key of a job, from the keys of the jobs whose files it reads."""
    return digest([source, list(library), list(crops), side_um, apart])


class _Textures(Sequence[NDArray[np.floating]]):
    """Textures in files, read when asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.at: list[tuple[Path, str]] = []
        self.owners: list[str] = []
        self.shape = (1, 1)
        for path in files:
            seen, _ = read_measured(path)
            for place, tile in _places(path, seen):
                self.at.append((path, f"{place}/{TEXTURE}"))
                self.owners.append(tile.patient or tile.name)
                height, width = tile.values[TEXTURE].shape
                self.shape = max(self.shape[0], height), max(self.shape[1], width)

    def __len__(self) -> int:
        return len(self.at)

    def __getitem__(self, row: Any) -> Any:
        path, name = self.at[row]
        with safe_open(path, "numpy") as file:
            return file.get_tensor(name)


def _places(path: Path, seen: Sequence[TileMeasurements]) -> list[tuple[int, TileMeasurements]]:
    """The number of each tile in its file: refused tiles have one too."""
    with safe_open(path, "numpy") as file:
        numbers = sorted({int(name.partition("/")[0]) for name in file.keys() if TEXTURE in name})  # noqa: SIM118
    return list(zip(numbers, seen, strict=True))


@lru_cache(maxsize=1)
def _library(files: tuple[Path, ...], side_um: float) -> tuple[Library, list[str]]:
    textures = _Textures(files)
    return Library(textures, side_um, textures.shape), textures.owners


@lru_cache(maxsize=1)
def _features(
    crops: tuple[Path, ...], library: tuple[Path, ...]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Features of all crops, and of which training tile each is."""
    index = {
        tile.name: row
        for row, tile in enumerate(each for path in library for each in read_measured(path)[0])
    }
    rows = []
    owners = []
    for path in crops:
        for tile in read_measured(path, without=(TEXTURE,))[0]:
            rows.append(np.asarray(tile.values["embed/features"], np.float64))
            name = tile.name if tile.name in index else tile.name.rpartition("@")[0]  # of a crop
            owners.append(index[name])
    return np.array(rows), np.array(owners, np.intp)
