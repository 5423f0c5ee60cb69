"""A model of layouts from the training patients of a tile set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..core.errors import BadTileSet
from ..core.folder_lock import share_folder
from ..core.geometry import Size
from ..core.own_files import OwnFiles
from ..tissue.layouts.fitting import fit_layouts
from ..tissue.layouts.model import LayoutModel
from .layout_tiles import read_layout_tiles

TRAIN = "train"
_LEAST_PATIENTS = 2
_LEAST_NUCLEI = 200


@dataclass(frozen=True)
class FittedLayouts:
    """What `fit_layout_file` wrote.

    Attributes:
        out: file of the model.
        model: of the layouts.
        tiles: number of tiles it was fitted to.
        patients: number of their patients, or of files.
        nuclei: number of their nuclei.
    """

    out: Path
    model: LayoutModel
    tiles: int
    patients: int
    nuclei: int


def fit_layout_file(
    folder: Path,
    out: Path,
    *,
    seed: int = 0,
    tile_size: Size | None = None,
    mpp: float | None = None,
) -> FittedLayouts:
    """Fit a model of layouts to the tiles of a tile set of which the split is `train`, or to all
    files of a folder.

    Args:
        folder: of the tile set, or of CSV, GeoJSON or JSON files, a tile each.
        out: JSON file of the model.
        seed: source of all randomness.
        tile_size: of the tiles of files, px.
        mpp: micrometres per pixel of files.

    Raises:
        BadTileSet: it has too few training tiles with nuclei.
        NotWritable: the file cannot be written.
    """
    found = read_layout_tiles(
        folder,
        split=TRAIN,
        tile_size=tile_size,
        mpp=mpp,
    )
    tiles = found.tiles
    patients = found.units
    units = "patients" if found.are_patients else "files (patients unknown)"
    count = sum(len(tile) for tile in tiles)
    if len(patients) < _LEAST_PATIENTS or count < _LEAST_NUCLEI:
        raise BadTileSet(
            folder,
            f"its tiles of the split `{TRAIN}` state {count:,} nuclei of {len(patients)} "
            f"{units}, and a model of layouts needs {_LEAST_NUCLEI} of {_LEAST_PATIENTS}",
        )
    with share_folder(out.parent, [out.name]):
        own = OwnFiles(out.parent)
        own.refuse_foreign([out.name])
        model = fit_layouts(
            tiles,
            seed=seed,
            about=f"{len(tiles)} tiles of {len(patients)} {units}"
            + (f", split {TRAIN}" if found.are_patients else ""),
        )
        own.write_json(out.name, model.as_dict())
    return FittedLayouts(
        out,
        model,
        len(tiles),
        len(patients),
        count,
    )
