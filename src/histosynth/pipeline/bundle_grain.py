"""`bundle grain`: what a bundle's autoencoder loses of real tiles, kept in it."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..core.errors import BadOption
from ..core.folder_lock import share_folder
from ..core.store import remove_file, sha256_of
from ..model.grain_files import grain_file_name, write_grain
from ..model.info import read_info, write_info
from ..model.lost_grain import fit_lost_grain
from ..model.opening import open_bundle
from ..tissue.grain_fit import MIN_FIT_TILES
from ..tissue.grain_table import Grain
from ..training.data.sources import open_source
from ..training.recipes.tiles import TileSource


def measure_grain(
    folder: Path,
    tiles: Path,
    *,
    mpp: float | None = None,
    members: Path | None = None,
) -> dict[str, Any]:
    """Measure the grain of a bundle, and write it beside its `bundle.json`, which names it.

    Args:
        folder: the bundle.
        tiles: folder of pictures, or a tile set, that the bundle was trained on.
        mpp: scale of pictures, um/px; rows of a tile set hold theirs.
        members: text file with the names to take, one a line; None: all.

    Raises:
        BadOption: too few tiles hold tissue without JPEG blocks.
        HistosynthError: the bundle or a tile cannot be read.
    """
    bundle = open_bundle(
        folder,
        device="cpu",
        dtype="fp32",
    )
    source = TileSource(
        str(tiles),
        "",
        mpp,
        members="" if members is None else str(members.absolute()),
    )
    examples = open_source(
        source,
        root=Path(),
        mpp=bundle.info.mpp,
        classes=(),
    )
    try:
        grain = fit_lost_grain(bundle.autoencoder, [example.pixels for example in examples])
    except ValueError:
        least = f"with at least {MIN_FIT_TILES} tiles that hold tissue and no JPEG blocks"
        raise BadOption(
            "--tiles",
            tiles,
            least,
        ) from None
    with share_folder(folder, ["bundle.json"]):
        _replace_grain(folder, grain)
    return {
        "bundle": str(folder),
        "tiles": len(examples),
        "patches": len(grain.patches),
        "grain": asdict(grain.table),
    }


def _replace_grain(folder: Path, grain: Grain) -> None:
    """Write the new file, then the card that names it, then remove the old one."""
    info = read_info(folder)
    file = write_grain(folder, grain)
    hashes = {**info.hashes, file.name: sha256_of(file)}
    old_name = file.name
    if info.grain is not None:
        old_name = grain_file_name(info.grain)
    if old_name != file.name:
        hashes.pop(old_name, None)
    info = replace(
        info,
        grain=grain.table,
        hashes=hashes,
    )
    write_info(folder, info)
    if old_name != file.name:
        remove_file(folder / old_name)
