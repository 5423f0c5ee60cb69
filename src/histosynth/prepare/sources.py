"""Folders of tiles, as a recipe names them: pictures, centroids, patients, scale.

Patients are read from file names by a pattern and kept apart: a training and a validation
source that share one are refused, here and not by promise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..core.errors import BadRecipe, SplitLeak
from ..core.geometry import Box
from ..core.nuclei import Nuclei
from ..core.nuclei_io import read_nuclei
from ..core.tile import IMAGE_SUFFIXES, Tile, TileRef, read_rgb


@dataclass(frozen=True)
class TileSource:
    """One folder of tiles."""

    images: str
    """Folder of pictures, below the recipe's data root."""
    patient: str
    """Pattern on the file stem; its first group is the patient. Empty: not known, and all of the
    source's tiles count as one patient, so that they can only stand on one side of a split."""
    mpp: float
    """Micrometres per pixel of the files."""
    points: str = ""
    """Folder of `x,y,class` CSV or GeoJSON files of the same stems; empty: nuclei not known."""
    members: str = ""
    """Text file that lists the file names to take, one a line; empty: all."""
    label: str = ""
    """Label of the tiles, e.g. the organ or subtype."""
    resample: bool = True
    """False: leave the pixels as they are, whatever the recipe's scale (texture only)."""
    share: float = 1.0
    """How often one of its tiles is drawn, against a tile of share 1."""
    licence: str = ""
    """Licence of the pictures, for the model card."""

    def __post_init__(self) -> None:
        if not 0.05 <= self.mpp <= 20:
            raise ValueError(f"mpp must lie in [0.05, 20], not {self.mpp}")
        if self.share < 0:
            raise ValueError(f"share must not be negative, not {self.share}")
        try:
            groups = re.compile(self.patient).groups
        except re.error as error:
            raise ValueError(f"patient pattern {self.patient!r} is no pattern: {error}") from error
        if self.patient and groups < 1:
            raise ValueError(f"patient pattern {self.patient!r} needs one group in parentheses")


@dataclass(frozen=True, eq=False)
class Example:
    """A tile with what is known of it. `nuclei` is None where nobody marked any."""

    tile: Tile
    nuclei: Nuclei | None
    label: str
    share: float = 1.0


def open_source(source: TileSource, *, root: Path, mpp: float, kinds: Sequence[str]) -> list[Example]:
    """Read a source, resampled to `mpp` by area averaging (Lanczos where it enlarges).

    Raises:
        BadRecipe: the folder or a listed file is missing, or a name has no patient.
        HistosynError: whatever reading a picture or centroids refuses.
    """
    return [_open_one(path, source, root=root, mpp=mpp, kinds=kinds) for path in list_images(source, root)]


def list_images(source: TileSource, root: Path) -> list[Path]:
    """The picture files of a source, sorted by name."""
    folder = root / source.images
    if not folder.is_dir():
        raise BadRecipe(source.images, [f"no such folder below {root}"])
    if not source.members:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    try:
        lines = (root / source.members).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecipe(source.members, [f"it cannot be read: {error}"]) from error
    names = [line.strip() for line in lines if line.strip()]
    absent = [name for name in names if not (folder / name).is_file()]
    if absent:
        raise BadRecipe(
            source.members,
            [f"{len(absent)} listed file(s) are absent, first {absent[0]}"],
        )
    return sorted(folder / name for name in names)


def patient_of(stem: str, pattern: str) -> str:
    """The patient in a file stem.

    Raises:
        BadRecipe: the pattern does not match.
    """
    found = re.search(pattern, stem)
    if found is None:
        raise BadRecipe(stem, [f"the patient pattern {pattern!r} does not match this name"])
    return found.group(1)


def refuse_leaks(training: Iterable[Example], validation: Iterable[Example]) -> None:
    """Refuse patients who stand on both sides.

    Raises:
        SplitLeak: naming them.
    """
    shared = {example.tile.ref.patient for example in training} & {
        example.tile.ref.patient for example in validation
    }
    if shared:
        raise SplitLeak(sorted(shared))


def _open_one(path: Path, source: TileSource, *, root: Path, mpp: float, kinds: Sequence[str]) -> Example:
    pixels = read_rgb(path)
    factor = source.mpp / mpp if source.resample else 1.0
    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    if size != (width, height):
        method = Image.Resampling.BOX if factor < 1 else Image.Resampling.LANCZOS
        pixels = np.array(Image.fromarray(pixels).resize(size, method), dtype=np.uint8)
    patient = patient_of(path.stem, source.patient) if source.patient else f"unknown of {source.images}"
    ref = TileRef(path.stem, patient, Box(0, 0, width, height), mpp)
    nuclei = None
    if source.points:
        points = next((root / source.points).glob(f"{_escape(path.stem)}.*"), None)
        if points is None:
            raise BadRecipe(source.points, [f"no centroids for {path.name}"])
        nuclei = read_nuclei(points, size=(width, height), mpp=source.mpp, kinds=kinds).to_mpp(mpp, size)
    return Example(Tile(ref, pixels), nuclei, source.label, source.share)


def _escape(stem: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", stem)
