"""From the parts of level 0 to the finished file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import MissingParts
from ...core.progress import ProgressCallback, ignore_progress
from ...core.tile import Pixels
from .description import SlideDescription
from .dicom_files import is_dicom_name, refuse_if_there
from .formats import check_codec, write_slide
from .parts import (
    PartPlace,
    SlideParts,
    has_block,
    read_half,
    read_pieces,
    tile_bytes,
    write_block,
)
from .pyramid import TILES_PER_BLOCK
from .space import check_file_space

RunJobs = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[tuple[int, Any]]]
"""`Engine.map`: (index, result) of a function over items, in any order."""
_HEADER_SPACE = 1 << 20


def _run_here(
    work: Callable[[Any], Any],
    items: Sequence[Any],
) -> Iterator[tuple[int, Any]]:
    for index, item in enumerate(items):
        yield index, work(item)


def missing_blocks(parts: SlideParts, *, run: RunJobs = _run_here) -> list[tuple[int, int]]:
    """(column, row) of each block of level 0 that is not there whole, row by row."""
    places = _places(parts, 0)
    missing = [index for index, is_there in run(_is_there, places) if not is_there]
    return [(places[index].column, places[index].row) for index in sorted(missing)]


def finish_slide(
    out: Path,
    parts: SlideParts,
    description: SlideDescription,
    *,
    run: RunJobs = _run_here,
    on_progress: ProgressCallback = ignore_progress,
) -> None:
    """Make the lower levels from the parts, then the slide: a tiled pyramid.

    It appears whole or not at all; run again, it goes on from the parts. The bytes depend on
    pixels, encoding and description alone. A file at `out` is replaced. The parts stay.

    Args:
        out: the file, e.g. `slide.ome.tiff`; of a name that ends in `.dicom`, a folder of DICOM
            files, one a level, where nothing may be yet.
        parts: with every block of level 0.
        description: what the file states of itself.
        run: an engine's `map`; the default works here.
        on_progress: called with (done, total) blocks.

    Raises:
        MissingParts: blocks of level 0 are missing or damaged.
        NotWritable: the slide or a part cannot be written, or the disk has too little room.
        BadOption: the format does not have the codec.
        NeedsExtra: DICOM is wanted, and pydicom is not installed.
    """
    check_codec(out, parts.encoding)
    if is_dicom_name(out):
        refuse_if_there(out)
    every = [_places(parts, level) for level in range(len(parts.pyramid.levels))]
    progress = _Progress(2 * sum(map(len, every)), on_progress)
    _check_parts(parts, run, progress)
    for places in every[1:]:
        for _ in run(reduce_block, places):
            progress.step()
    sizes = [sum(map(tile_bytes, places)) for places in every]
    check_file_space(out, sum(sizes) + _HEADER_SPACE)
    tiles = [_encoded_tiles(places, parts, progress) for places in every]
    write_slide(
        out,
        parts,
        description,
        tiles,
        sizes,
    )


class _Progress:
    def __init__(self, total: int, callback: ProgressCallback) -> None:
        self._done = 0
        self._total = total
        self._callback = callback

    def step(self) -> None:
        self._done += 1
        self._callback(self._done, self._total)


def _places(parts: SlideParts, level: int) -> list[PartPlace]:
    return [PartPlace(parts, *place, level) for place in parts.pyramid.block_places(level)]


def _is_there(place: PartPlace) -> bool:
    return has_block(
        place.parts,
        place.column,
        place.row,
        level=place.level,
    )


def _check_parts(
    parts: SlideParts,
    run: RunJobs,
    progress: _Progress,
) -> None:
    places = _places(parts, 0)
    missing = []
    for index, is_there in run(_is_there, places):
        progress.step()
        if not is_there:
            missing.append(index)
    if missing:
        first = places[min(missing)]
        raise MissingParts(
            parts.folder,
            len(missing),
            f"column {first.column}, row {first.row}",
        )


def reduce_block(place: PartPlace) -> None:
    """Write a block of a lower level from the half-size pictures of those above it.

    Raises:
        MissingParts: one of those is missing or damaged.
    """
    if _is_there(place):
        return
    pyramid = place.parts.pyramid
    box = pyramid.block_box(place.column, place.row, place.level)
    pixels: Pixels = np.empty((*box.size.shape, 3), np.uint8)
    for down in range(place.tiles.height):
        for across in range(place.tiles.width):
            above = PartPlace(
                place.parts,
                TILES_PER_BLOCK * place.column + across,
                TILES_PER_BLOCK * place.row + down,
                place.level - 1,
            )
            half = read_half(above)
            top = down * pyramid.tile_px
            left = across * pyramid.tile_px
            pixels[top : top + half.shape[0], left : left + half.shape[1]] = half
    write_block(
        place.parts,
        place.column,
        place.row,
        pixels,
        level=place.level,
    )


def _encoded_tiles(
    places: Sequence[PartPlace],
    parts: SlideParts,
    progress: _Progress,
) -> Iterator[bytes]:
    """The tiles of a level, row by row."""
    across, down = parts.pyramid.blocks(places[0].level)
    for row in range(down):
        blocks = places[row * across : (row + 1) * across]
        for tile_row in range(blocks[0].tiles.height):
            is_last = tile_row == blocks[0].tiles.height - 1
            for place in blocks:
                columns = place.tiles.width
                first = tile_row * columns
                pieces = read_pieces(place, range(first, first + columns))
                if is_last:  # before its tiles: nothing is read behind the last one
                    progress.step()
                yield from pieces
