"""A model of layouts from the training patients of a tile set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.errors import BadTileSet
from ..core.folder_lock import share_folder
from ..core.nuclei import ANY_CLASS, Nuclei
from ..core.own_files import OwnFiles
from ..core.tileset import TileSet
from ..tissue.layouts.fitting import fit_layouts
from ..tissue.layouts.model import LayoutModel

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
        patients: number of their patients.
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
) -> FittedLayouts:
    """Fit a model of layouts to the tiles of a tile set of which the split is `train`.

    Args:
        folder: of the tile set; its tiles state nuclei.
        out: JSON file of the model.
        seed: source of all randomness.

    Raises:
        BadTileSet: it has too few training tiles with nuclei.
        NotWritable: the file cannot be written.
    """
    tiles = []
    patients = set()
    for row in TileSet(folder).rows(split=TRAIN):
        if row.nuclei is not None:
            tiles.append(row.nuclei)
            patients.add(row.ref.patient)
    count = sum(len(tile) for tile in tiles)
    if len(patients) < _LEAST_PATIENTS or count < _LEAST_NUCLEI:
        raise BadTileSet(
            folder,
            f"its tiles of the split `{TRAIN}` state {count:,} nuclei of {len(patients)} "
            f"patients, and a model of layouts needs {_LEAST_NUCLEI} of {_LEAST_PATIENTS}",
        )
    classes = tuple(sorted({name for tile in tiles for name in tile.classes}))
    with share_folder(out.parent, [out.name]):
        own = OwnFiles(out.parent)
        own.refuse_foreign([out.name])
        model = fit_layouts(
            [_of_classes(tile, classes) for tile in tiles],
            seed=seed,
            about=f"{len(tiles)} tiles of {len(patients)} patients, split {TRAIN}",
        )
        own.write_json(out.name, model.as_dict())
    return FittedLayouts(
        out,
        model,
        len(tiles),
        len(patients),
        count,
    )


def _of_classes(tile: Nuclei, classes: tuple[str, ...]) -> Nuclei:
    """The same nuclei, by the classes of all tiles."""
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
