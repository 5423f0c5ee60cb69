"""All levels of a slide to an OME-TIFF, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import tifffile

from ...core.marking import XMP_TAG
from ..writing.description import SOFTWARE, SlideDescription
from .bigtiff import (
    ASCII,
    BYTE,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    TiffPageParts,
    TiffTag,
    write_pages,
)
from .levels import CarriedLevel, CarriedSlide

TileOf = Callable[[CarriedLevel, int], bytes]
"""The bytes of a tile of a level."""
_UM_PER_CENTIMETRE = 10_000
_CENTIMETRE = 3
_MAX_DENOMINATOR = 10_000
_SUBSAMPLING = 530
_POSITIONING = 531
_REFERENCE = 532
_TABLES = 347
_PREDICTOR = 317
_ICC = 34675


def write_carried(
    path: Path,
    carried: CarriedSlide,
    description: SlideDescription,
    tile_of: TileOf,
) -> None:
    """Write a slide of the same levels.

    Label, macro picture and thumbnail are not carried over: they show what was there before, and
    names.

    Args:
        path: of the new file.
        carried: the slide.
        description: what the file states of itself.
        tile_of: gives every tile.
    """
    pages = [_page(carried, level, description, tile_of) for level in carried.levels]
    write_pages(path, pages)


def _page(
    carried: CarriedSlide,
    level: CarriedLevel,
    description: SlideDescription,
    tile_of: TileOf,
) -> TiffPageParts:
    def tiles() -> Iterator[bytes]:
        for index in range(level.count):
            yield tile_of(level, index)

    tags = [*_tags(level), *_resolution(carried, level, description.mpp)]
    if not level.number:
        size = level.size
        tags += [
            TiffTag.of_bytes(270, ASCII, description.ome_xml(size).encode() + b"\0"),
            TiffTag.of_bytes(XMP_TAG, BYTE, description.xmp()),
        ]
    return TiffPageParts(tags, tiles)


def _tags(level: CarriedLevel) -> list[TiffTag]:
    """Tags of how pixels are kept: those of the slide."""
    page = level.page
    width, height = level.size
    tags = [
        TiffTag.of(254, LONG, int(level.number > 0)),
        TiffTag.of(256, LONG, width),
        TiffTag.of(257, LONG, height),
        TiffTag.of(
            258,
            SHORT,
            8,
            8,
            8,
        ),
        TiffTag.of(259, SHORT, int(page.compression)),
        TiffTag.of(262, SHORT, int(page.photometric)),
        TiffTag.of(277, SHORT, 3),
        TiffTag.of(284, SHORT, 1),
        TiffTag.of_bytes(305, ASCII, SOFTWARE.encode() + b"\0"),
        TiffTag.of(322, LONG, level.tile_size.width),
        TiffTag.of(323, LONG, level.tile_size.height),
    ]
    if int(page.predictor) != 1:
        tags.append(TiffTag.of(_PREDICTOR, SHORT, int(page.predictor)))
    if page.jpegtables:
        tags.append(TiffTag.of_bytes(_TABLES, UNDEFINED, page.jpegtables))
    icc = page.tags.valueof(_ICC)
    if icc:
        tags.append(TiffTag.of_bytes(_ICC, UNDEFINED, bytes(icc)))
    return tags + _colour_tags(page)


def _colour_tags(page: tifffile.TiffPage) -> list[TiffTag]:
    tags = []
    subsampling = page.tags.valueof(_SUBSAMPLING)
    if subsampling:
        tags.append(TiffTag.of(_SUBSAMPLING, SHORT, *map(int, subsampling)))
    positioning = page.tags.valueof(_POSITIONING)
    if positioning:
        tags.append(TiffTag.of(_POSITIONING, SHORT, int(positioning)))
    reference = page.tags.valueof(_REFERENCE)
    if reference and len(reference) == 12:
        tags.append(TiffTag.of(_REFERENCE, RATIONAL, *map(int, reference)))
    return tags


def _resolution(
    carried: CarriedSlide,
    level: CarriedLevel,
    mpp: float,
) -> list[TiffTag]:
    """Pixels per centimetre: OpenSlide reads no OME-XML."""
    tags = [TiffTag.of(296, SHORT, _CENTIMETRE)]
    first = carried.levels[0].size
    for code, side, of_first in ((282, level.size[0], first[0]), (283, level.size[1], first[1])):
        exact = Fraction(_UM_PER_CENTIMETRE / mpp * side / of_first)
        rounded = exact.limit_denominator(_MAX_DENOMINATOR)
        tags.append(TiffTag.of(code, RATIONAL, rounded.numerator, rounded.denominator))
    return tags
