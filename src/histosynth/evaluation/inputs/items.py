"""One tile of a collection, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...annotation.chosen_nuclei import ignore_note
from ...annotation.nuclei_files import read_nuclei
from ...core.errors import BadTileSet, HistosynthError
from ...core.geometry import Box, Size
from ...core.images import decode_rgb, read_rgb
from ...core.nuclei import Nuclei, map_classes
from ...core.tile import Pixels
from ...core.tileset import Row, read_rows

ROWS_PER_READ = 16
"""Rows of one file of a tile set that are read together."""
PixelsAndNuclei = tuple[Pixels, Nuclei | None]


@dataclass(frozen=True)
class Item:
    """One tile, or one crop of it; nothing is read yet.

    Attributes:
        name: unique in its collection.
        stem: of the file of its requested nuclei: it matches nuclei, masks and real tiles.
        patient: of the tissue, or of the tile that a synthetic tile was generated for.
        label: subtype or tissue type; may be "".
        path: the picture, or the file of a tile set.
        mpp: scale, um/px.
        tile_id: in a tile set; "" for a picture.
        points: file of its nuclei; None: those of the tile set, or none.
        box: crop of the picture; None: all of it.
        size: (width, height) of the picture, px.
        given_nuclei: whether the recipe in the picture states that it was generated from nuclei.
        layout: digest of these nuclei, the same for all variants; "" where it is not stated.
    """

    name: str
    stem: str
    patient: str
    label: str
    path: Path
    mpp: float
    tile_id: str = ""
    points: Path | None = None
    box: Box | None = None
    size: tuple[int, int] = (0, 0)
    given_nuclei: bool = False
    layout: str = ""


def spread_over(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """At most `most` items, evenly spaced over all of them."""
    if len(items) <= most:
        return tuple(items)
    return tuple(items[int(index)] for index in np.linspace(0, len(items) - 1, most))


def read_items(
    items: Sequence[Item],
    classes: Sequence[str],
    mapping: Mapping[str, str],
) -> Iterator[PixelsAndNuclei | HistosynthError]:
    """Pixels of each item and its nuclei where they are known; an error where it cannot be read.

    Rows of one file of a tile set are read together.
    """
    rows: dict[str, Row] = {}
    rows_path = Path()
    for index, item in enumerate(items):
        try:
            if item.tile_id and (item.path != rows_path or item.tile_id not in rows):
                rows = _rows_near(items[index : index + ROWS_PER_READ], item.path)
                rows_path = item.path
            yield _read(
                item,
                rows.get(item.tile_id),
                classes,
                mapping,
            )
        except HistosynthError as error:
            yield error


def read_item(
    item: Item,
    classes: Sequence[str] = (),
    mapping: Mapping[str, str] | None = None,
) -> PixelsAndNuclei:
    """One item, as `read_items` reads many.

    Raises:
        HistosynthError: a picture or centroids that cannot be read.
    """
    (found,) = read_items([item], classes, mapping or {})
    if isinstance(found, HistosynthError):
        raise found
    return found


def _rows_near(items: Sequence[Item], path: Path) -> dict[str, Row]:
    """Rows of one file of a tile set, by tile id."""
    wanted = {item.tile_id for item in items if item.path == path}
    return {row.tile_id: row for row in read_rows(path, wanted)}


def _read(
    item: Item,
    row: Row | None,
    classes: Sequence[str],
    mapping: Mapping[str, str],
) -> PixelsAndNuclei:
    if item.tile_id:
        pixels, nuclei = _read_row(item, row, classes, mapping)
    else:
        pixels = read_rgb(item.path)
        nuclei = None
    if item.points is not None:
        nuclei = read_nuclei(
            item.points,
            size=Size(pixels.shape[1], pixels.shape[0]),
            mpp=item.mpp,
            classes=classes,
            mapping=mapping,
            on_note=ignore_note,  # shown when the inputs were opened
        )
    if item.box is None:
        return pixels, nuclei
    inside = None if nuclei is None else nuclei.crop(item.box)
    return np.ascontiguousarray(pixels[item.box.slices]), inside


def _read_row(
    item: Item,
    row: Row | None,
    classes: Sequence[str],
    mapping: Mapping[str, str],
) -> PixelsAndNuclei:
    if row is None or row.image is None:
        raise BadTileSet(item.path, f"its tile {item.tile_id} has no picture")
    pixels = decode_rgb(row.image, item.tile_id)
    if row.nuclei is None or not classes:
        return pixels, None
    nuclei = Nuclei.of(
        row.nuclei.xy,
        map_classes(row.nuclei.names(), mapping),
        size=row.nuclei.size,
        mpp=item.mpp,
        classes=classes,
    )
    return pixels, nuclei
