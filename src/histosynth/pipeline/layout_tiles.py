"""Tiles with marked nuclei from a tile set or from a folder of files, by patient."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..annotation.slide_nuclei import read_slide_nuclei
from ..core.errors import BadOption, BadTileSet, MissingScale
from ..core.geometry import Size
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.tileset import TileSet

_NUCLEI_SUFFIXES = (".csv", ".geojson", ".json")
_MOST_FILES = 100_000


@dataclass(frozen=True, eq=False)
class LayoutTiles:
    """Nuclei of tiles.

    Attributes:
        units: tiles of each patient, or of each file.
        are_patients: whether units are patients; of files that is not known.
        classes: names of the classes of all tiles.
    """

    units: dict[str, list[Nuclei]]
    are_patients: bool
    classes: tuple[str, ...]

    @property
    def tiles(self) -> list[Nuclei]:
        """All of them."""
        return [tile for unit in self.units.values() for tile in unit]


def read_layout_tiles(
    folder: Path,
    *,
    split: str | None = None,
    tile_size: Size | None = None,
    mpp: float | None = None,
) -> LayoutTiles:
    """Nuclei of a tile set, or of the CSV, GeoJSON and JSON files of a folder, a tile each.

    Args:
        folder: of either.
        split: of a tile set; None: all tiles.
        tile_size: of each file's tile, px: files do not state it.
        mpp: micrometres per pixel of the files.

    Raises:
        BadOption, MissingScale: size or scale of files is missing.
        BadTileSet, BadNuclei: what is there cannot be used.
    """
    files = _files_of(folder)
    if files:
        units = _units_of_files(
            folder,
            files,
            tile_size,
            mpp,
        )
    else:
        units = {}
        for row in TileSet(folder).rows(split=split):
            if row.nuclei is not None:
                units.setdefault(row.ref.patient, []).append(row.nuclei)
    names = {name for unit in units.values() for tile in unit for name in tile.classes}
    classes = tuple(sorted(names))
    return LayoutTiles(
        {
            name: [tile_of_classes(tile, classes) for tile in unit]
            for name, unit in sorted(units.items())
        },
        not files,
        classes,
    )


def _files_of(folder: Path) -> list[Path]:
    """Files of nuclei of a folder, by name; none of a tile set."""
    if not folder.is_dir():
        return []
    files = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _NUCLEI_SUFFIXES and not path.name.startswith("."):
            files.append(path)
    return files


def _units_of_files(
    folder: Path,
    files: list[Path],
    tile_size: Size | None,
    mpp: float | None,
) -> dict[str, list[Nuclei]]:
    """The nuclei of each file: patients are not known."""
    if len(files) > _MOST_FILES:
        raise BadTileSet(folder, f"it holds {len(files):,} files, over {_MOST_FILES:,}")
    if tile_size is None:
        raise BadOption("--tile-size", "missing", f"that of the tiles of {folder}, WxH px")
    if mpp is None:
        raise MissingScale(folder.name)
    units = {}
    for path in files:
        found = read_slide_nuclei(
            path,
            {},
            size=Size(*tile_size),
            mpp=mpp,
        )
        units[path.name] = [found.nuclei]
    return units


def tile_of_classes(tile: Nuclei, classes: tuple[str, ...]) -> Nuclei:
    """The same nuclei, by other classes that include their own."""
    new_ids = np.full(ANY_CLASS + 1, ANY_CLASS, np.uint8)
    for class_id, name in enumerate(tile.classes):
        new_ids[class_id] = classes.index(name)
    return Nuclei(
        tile.xy,
        new_ids[tile.class_ids],
        classes,
        tile.size,
        tile.mpp,
    )
