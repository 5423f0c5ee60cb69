"""One tile to be looked at, and how it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...annotation.nuclei_files import read_nuclei
from ...core.errors import BadTileSet, HistosynthError
from ...core.geometry import Box
from ...core.nuclei import Nuclei, map_classes
from ...core.store import digest, sha256_of
from ...core.tile import Pixels, decode_rgb, read_rgb
from ...core.tileset import Row, read_rows

TOGETHER = 16
"""Rows of one file that are read at a time."""


@dataclass(frozen=True)
class Item:
    """One tile to be looked at, or one crop of it; nothing is read yet.

    Attributes:
        name: unique in its collection.
        stem: of the file whose nuclei were asked for: what pairs it with nuclei, holes and real
            tiles.
        path: the picture, or the file of a tile set.
        tile_id: in a tile set; "" for a picture.
        points: file of its nuclei; None: those of the tile set, or none.
        box: crop of the picture; None: all of it.
        size: (width, height) of the picture, px.
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


def spread_over(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """At most so many, evenly over all of them."""
    if len(items) <= most:
        return tuple(items)
    return tuple(items[int(place)] for place in np.linspace(0, len(items) - 1, most))


def content(path: Path | None) -> str:
    """Digest of a file, or of all files of a folder; "" for none. Each is read once a run."""
    if path is None:
        return ""
    if path.is_dir():
        files = [each for each in sorted(path.rglob("*")) if each.is_file()]
        return digest([[str(each.relative_to(path)), content(each)] for each in files])
    facts = path.stat()
    return _content(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _content(path: Path, size: int, changed: int) -> str:
    return sha256_of(path)


Read = tuple[Pixels, Nuclei | None]


def read_items(
    items: Sequence[Item], classes: Sequence[str], mapping: Mapping[str, str]
) -> Iterator[Read | HistosynthError]:
    """Pixels, and nuclei where they are known, of each item; or why it cannot be read.

    Rows that stand in one file of a tile set are read together.
    """
    kept: tuple[Path, dict[str, Row]] = Path(), {}
    for place, item in enumerate(items):
        try:
            if item.tile_id and (item.path != kept[0] or item.tile_id not in kept[1]):
                near = {
                    each.tile_id
                    for each in items[place : place + TOGETHER]
                    if each.path == item.path
                }
                kept = item.path, {row.tile_id: row for row in read_rows(item.path, near)}
            yield _read(item, kept[1].get(item.tile_id), classes, mapping)
        except HistosynthError as error:
            yield error


def read_item(
    item: Item, classes: Sequence[str] = (), mapping: Mapping[str, str] | None = None
) -> Read:
    """One item, as `read_items` reads many.

    Raises:
        HistosynError: whatever reading a picture or centroids refuses.
    """
    (found,) = read_items([item], classes, mapping or {})
    if isinstance(found, HistosynthError):
        raise found
    return found


def _read(
    item: Item,
    row: Row | None,
    classes: Sequence[str],
    mapping: Mapping[str, str],
) -> Read:
    nuclei = None
    if item.tile_id:
        if row is None or row.image is None:
            raise BadTileSet(item.path, f"its tile {item.tile_id} has no picture")
        pixels = decode_rgb(row.image, item.tile_id)
        if row.nuclei is not None and classes:
            names = map_classes(row.nuclei.names(), mapping)
            nuclei = Nuclei.of(
                row.nuclei.xy,
                names,
                size=row.nuclei.size,
                mpp=item.mpp,
                classes=classes,
            )
    else:
        pixels = read_rgb(item.path)
    if item.points is not None:
        size = (pixels.shape[1], pixels.shape[0])
        nuclei = read_nuclei(
            item.points,
            size=size,
            mpp=item.mpp,
            classes=classes,
            mapping=mapping,
        )
    if item.box is None:
        return pixels, nuclei
    return np.ascontiguousarray(pixels[item.box.slices]), nuclei.crop(item.box) if nuclei else None
