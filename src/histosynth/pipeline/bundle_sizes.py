"""`bundle sizes`: sizes of nuclei that an adapter draws, corrected by what it makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeAlias

from ..core.errors import BadOption
from ..core.folder_lock import share_folder
from ..core.geometry import Box
from ..core.nuclei import Nuclei
from ..core.progress import ProgressCallback, ignore_progress
from ..core.store import sha256_of
from ..core.tile import Pixels
from ..metrics.morphology.shapes import with_measured_shapes
from ..model.adapters import ADAPTER_FILE, read_adapter, write_adapter
from ..model.bundle import Bundle
from ..model.info import BundleInfo, read_info, write_info
from ..model.opening import open_bundle
from ..sampling.provenance import GLOBAL
from ..tissue.nucleus_sizes import corrected_sizes, measure_sizes
from ..training.data.sources import open_source
from ..training.recipes.tiles import TileSource
from .synthesize import synthesize

_Tile: TypeAlias = tuple[Pixels, Nuclei]
"""Pixels (H, W, 3) uint8, and nuclei without shapes."""


def correct_sizes(
    folder: Path,
    tiles: Path,
    *,
    points: Path | None = None,
    mpp: float | None = None,
    members: Path | None = None,
    classes: Sequence[str] = (),
    on_progress: ProgressCallback | None = None,
) -> dict[str, Any]:
    """Correct the sizes that a bundle's adapter `global` draws, and write them into its file.

    Each tile is synthesized from its nuclei, with sizes drawn as they are now and in its own look;
    sizes in it and in the tile itself are measured alike, and the quantiles that are drawn are
    changed by their ratio. Weights stay; made again, pictures differ.

    Args:
        folder: the bundle.
        tiles: folder of pictures, or a tile set, that the adapter was trained on.
        points: folder of the pictures' nuclei; rows of a tile set bring their own.
        mpp: scale of pictures, um/px; rows of a tile set hold theirs.
        members: text file with the names to take, one a line; None: all.
        classes: of nuclei whose sizes are corrected; none: all.
        on_progress: called with (tiles that were made, all).

    Raises:
        BadOption: the adapter draws no sizes, or knows no such class.
        HistosynthError: the bundle or a tile cannot be read.
    """
    bundle = open_bundle(
        folder,
        device="cpu",
        dtype="fp32",
    )
    info = bundle.adapters.get(GLOBAL)
    if info is None or not info.sizes:
        raise BadOption("the bundle", folder, "one whose adapter global draws sizes of nuclei")
    unknown = [name for name in classes if name not in info.classes]
    if unknown:
        raise BadOption("--class", ", ".join(unknown), f"of {', '.join(info.classes)}")
    opened = _open_tiles(bundle, tiles, points, mpp, members)
    real, synthetic = _measured(bundle, opened, on_progress or ignore_progress)
    names = classes or info.classes
    corrected = replace(
        info,
        sizes=corrected_sizes(
            info.sizes,
            real=measure_sizes(real, info.classes),
            synthetic=measure_sizes(synthetic, info.classes),
            class_ids=[info.classes.index(name) for name in names],
        ),
    )
    file = folder / "adapters" / GLOBAL / ADAPTER_FILE
    with share_folder(folder, ["bundle.json"]):
        _, tensors = read_adapter(file)
        _name_in_card(folder, file, "")  # stopped after this, the bundle still opens
        write_adapter(
            file,
            corrected,
            tensors,
            prefix=bundle.family.adapter_prefix,
        )
        _name_in_card(folder, file, sha256_of(file))
    return {
        "bundle": str(folder),
        "tiles": len(opened),
        "classes": list(names),
        "sizes": dict(zip(info.classes, map(asdict, corrected.sizes), strict=True)),
    }


def _name_in_card(
    folder: Path,
    file: Path,
    sha256: str,
) -> None:
    """Write the sha256 of a file into `bundle.json`; empty: take it out."""
    info = read_info(folder)
    name = file.relative_to(folder).as_posix()
    hashes = dict(info.hashes)
    hashes.pop(name, None)
    if sha256:
        hashes[name] = sha256
    if hashes != info.hashes:
        write_info(folder, replace(info, hashes=hashes))


def _open_tiles(
    bundle: Bundle,
    tiles: Path,
    points: Path | None,
    mpp: float | None,
    members: Path | None,
) -> list[_Tile]:
    """Tiles with nuclei, cut to sides that the bundle can make.

    Raises:
        BadOption: there is none.
    """
    source = TileSource(
        str(tiles),
        "",
        mpp,
        "" if points is None else str(points.absolute()),
        members="" if members is None else str(members.absolute()),
    )
    examples = open_source(
        source,
        root=Path(),
        mpp=bundle.info.mpp,
        classes=bundle.info.classes,
    )
    found = [
        _cut(example.pixels, example.nuclei, bundle.info)
        for example in examples
        if example.nuclei is not None
    ]
    if not found:
        raise BadOption("--tiles", tiles, "tiles with nuclei: give their folder with --points")
    return found


def _measured(
    bundle: Bundle,
    tiles: Sequence[_Tile],
    report: ProgressCallback,
) -> tuple[list[Nuclei], list[Nuclei]]:
    """Nuclei with the shapes of the real tiles, and with those of synthetic ones."""
    real = []
    synthetic = []
    for done, (pixels, nuclei) in enumerate(tiles):
        report(done, len(tiles))
        (picture,) = synthesize(
            nuclei,
            appearance=pixels,
            bundle=bundle,
            seed=done,
        )
        real.append(with_measured_shapes(pixels, nuclei))
        synthetic.append(with_measured_shapes(picture.pixels, nuclei))
    report(len(tiles), len(tiles))
    return real, synthetic


def _cut(
    pixels: Pixels,
    nuclei: Nuclei,
    info: BundleInfo,
) -> _Tile:
    """The middle of a tile, as large as a bundle can make one; nuclei without shapes."""
    height, width = pixels.shape[:2]
    cut_width = _largest_side(width, info)
    cut_height = _largest_side(height, info)
    box = Box(
        (width - cut_width) // 2,
        (height - cut_height) // 2,
        cut_width,
        cut_height,
    )
    return pixels[box.slices], replace(nuclei, shapes=None).crop(box)


def _largest_side(side: int, info: BundleInfo) -> int:
    """The longest side that a bundle can make of a tile's, px."""
    step = info.multiple_px
    return min(side, info.most_px) // step * step
