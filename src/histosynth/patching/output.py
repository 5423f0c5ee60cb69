"""The slide that is written, and the proof that it is equal to the original elsewhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ..core.errors import UnreadableImage
from ..core.geometry import Size
from ..core.progress import ProgressCallback, ignore_progress
from ..core.store import atomic_write
from ..core.tile import Pixels
from ..slides.carrying import CarriedLevel, CarriedSlide, write_carried
from ..slides.openslide import OpenSlideSlide
from ..slides.writing import BytesNeeded, SlideDescription, check_space
from ..slides.writing.aperio_form import SVS_SUFFIX
from .level_tiles import LevelTiles

THUMBNAIL_PX = 512
"""Its longer side is no longer."""
_ANY_MPP = 1.0
_SPARE_BYTES = 1 << 22
_BYTES_PER_TILE = 32


@dataclass(frozen=True)
class LevelProof:
    """What was compared of a level, after it was written.

    Attributes:
        size: (width, height) px.
        touched: tiles with painted pixels.
        carried: tiles that are the same bytes.
        carried_sha256: hex digest of the bytes of these, in order.
        painted_px: pixels that show painted tissue.
        replaced_px: pixels that may differ: the same, grown to the blocks of the codec.
        differing_px: pixels that differ elsewhere.
    """

    size: tuple[int, int]
    touched: int
    carried: int
    carried_sha256: str
    painted_px: int
    replaced_px: int
    differing_px: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**asdict(self), "size": list(self.size)}


def write_output(
    out: Path,
    carried: CarriedSlide,
    description: SlideDescription,
    levels: Sequence[LevelTiles],
    on_progress: ProgressCallback = ignore_progress,
) -> list[LevelProof]:
    """Write the slide, compare it with the original, and let it appear.

    Args:
        out: the OME-TIFF.
        carried: the original.
        description: what the file states of itself.
        levels: touched tiles of each level.
        on_progress: called with (done, all) tiles.

    Returns:
        What was compared, of each level.

    Raises:
        NotWritable: it cannot be written, or there is no room.
        UnreadableImage: a tile cannot be edited, or what was written is not what it should be.
    """
    total = sum(level.count for level in carried.levels)
    with atomic_write(out) as temporary:
        done = 0

        def tile_of(level: CarriedLevel, index: int) -> bytes:
            nonlocal done
            done += 1
            on_progress(done, total)
            tile = levels[level.number].tile(index)
            if tile is None:
                return level.data(index)
            return level.replaced(index, tile.pixels, tile.replaced)

        is_svs = is_svs_name(out)
        write_carried(
            temporary,
            carried,
            description,
            tile_of,
            thumbnail=partial(_thumbnail, levels[-1]) if is_svs else None,
        )
        proofs = _proofs(temporary, levels)
        if is_svs:
            _check_by_openslide(temporary, levels[0])
        return proofs


def _check_by_openslide(path: Path, tiles: LevelTiles) -> None:
    """Compare touched tiles of level 0 as OpenSlide shows them: its decoder may be another one.

    Raises:
        UnreadableImage: it does not open the file, or shows other pixels elsewhere.
    """
    level = tiles.level
    try:
        before = OpenSlideSlide(level.slide.path, mpp=_ANY_MPP)
    except UnreadableImage:
        return  # it shows neither of them
    after = OpenSlideSlide(path, mpp=_ANY_MPP)
    differing = 0
    for index in sorted(tiles.indices):
        tile = tiles.tile(index)
        box = level.box(index)
        differs = (before.read(0, box) != after.read(0, box)).any(axis=2)
        if tile is not None:
            differing += int((differs & ~tile.allowed(level.reach)).sum())
    before.close()
    after.close()
    if differing:
        what = f"OpenSlide shows {differing:,} other px outside of what was painted"
        raise UnreadableImage(path, what)


def is_svs_name(out: Path) -> bool:
    """Whether a slide of this name is written in Aperio's form."""
    return out.name.lower().endswith(SVS_SUFFIX)


def _thumbnail(tiles: LevelTiles) -> Pixels:
    """A small picture of a level with what is painted."""
    level = tiles.level
    step = -(-max(level.size) // THUMBNAIL_PX)
    size = Size(*(-(-side // step) for side in level.size))
    out = np.zeros((*size.shape, 3), np.uint8)
    for index in range(level.count):
        tile = tiles.tile(index)
        pixels = level.decoded(index) if tile is None else tile.pixels
        box = level.box(index)
        left, top = -(-box.x // step), -(-box.y // step)
        part = pixels[top * step - box.y :: step, left * step - box.x :: step]
        target = out[top : top + part.shape[0], left : left + part.shape[1]]
        target[...] = part[: target.shape[0], : target.shape[1]]
    return out


def check_output_space(
    out: Path,
    carried: CarriedSlide,
    folder: Path,
    parts: int,
) -> None:
    """Refuse to begin where the slide and its parts do not fit their disk.

    Args:
        out: the slide.
        carried: the original.
        folder: of the parts; what it holds already is counted.
        parts: bytes that are kept there until the slide is finished.

    Raises:
        NotWritable: with the numbers.
    """
    total = _SPARE_BYTES
    for level in carried.levels:
        total += sum(level.page.databytecounts) + _BYTES_PER_TILE * level.count
    needed = BytesNeeded(parts, total + total // 10)
    check_space(out, folder, needed)


def _proofs(path: Path, levels: Sequence[LevelTiles]) -> list[LevelProof]:
    with tifffile.TiffFile(path) as tiff, path.open("rb") as file:
        every = [page for page in tiff.pages if isinstance(page, tifffile.TiffPage)]
        pages = [page for page in every if page.is_tiled]  # an SVS has a thumbnail in strips
        if len(pages) != len(levels):
            raise UnreadableImage(path, "its levels were not written whole")
        return [
            _proof(path, file.fileno(), page, level)
            for page, level in zip(pages, levels, strict=True)
        ]


def _proof(
    path: Path,
    file: int,
    page: tifffile.TiffPage,
    tiles: LevelTiles,
) -> LevelProof:
    level = tiles.level
    carried = hashlib.sha256()
    differing = 0
    is_compared = False
    painted = replaced = count = 0
    for index, data in _written(file, page):
        tile = tiles.tile(index)
        if tile is None:
            if data != level.data(index):
                raise UnreadableImage(path, f"tile {index} was not written as it was")
            carried.update(data)
            count += 1
            if data and not is_compared:
                _check_carried(path, page, level, index)
                is_compared = True
            continue
        before = level.decoded(index)
        after = level.decoded(index, data, page=page)
        allowed = tile.allowed(level.reach)
        differing += int(((before != after).any(axis=2) & ~allowed).sum())
        painted += int(tile.painted.sum())
        replaced += int(allowed.sum())
    if differing:
        raise UnreadableImage(path, f"{differing:,} px differ outside of what was painted")
    return LevelProof(
        (level.size.width, level.size.height),
        len(tiles.indices),
        count,
        carried.hexdigest(),
        painted,
        replaced,
        differing,
    )


def _check_carried(
    path: Path,
    page: tifffile.TiffPage,
    level: CarriedLevel,
    index: int,
) -> None:
    """Compare a carried tile by the tags of both files: tables and colours are carried over too.

    Raises:
        UnreadableImage: it shows something else.
    """
    before = level.decoded(index)
    after = level.decoded(index, page=page)
    if (before != after).any():
        raise UnreadableImage(path, f"tile {index} of level {level.number} shows other colours")


def _written(file: int, page: tifffile.TiffPage) -> Iterator[tuple[int, bytes]]:
    places = zip(page.dataoffsets, page.databytecounts, strict=True)
    for index, (offset, count) in enumerate(places):
        yield index, os.pread(file, count, offset) if count else b""
