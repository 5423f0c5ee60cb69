"""All levels of a slide to an OME-TIFF, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from ...core.marking import XMP_TAG
from ...core.tile import Pixels
from ..writing.aperio_form import aperio_text
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
_SUBFILE = 254
_DESCRIPTION = 270
_ROWS = 278
_DEFLATE = 8
_RGB = 2
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
    *,
    thumbnail: Callable[[], Pixels] | None = None,
) -> None:
    """Write a slide of the same levels: an OME-TIFF, or an SVS as Aperio has it.

    Label, macro picture and thumbnail are not carried over: they show what was there before, and
    names.

    Args:
        path: of the new file.
        carried: the slide.
        description: what the file states of itself.
        tile_of: gives every tile.
        thumbnail: (H, W, 3) uint8 of the new slide, which an SVS has; None: it is an OME-TIFF.
    """
    text = aperio_of(carried, description) if thumbnail else ome_of(carried, description)
    pages = [
        _page(
            carried,
            level,
            description,
            tile_of,
        )
        for level in carried.levels
    ]
    first = TiffPageParts([*pages[0].tags, *_first_tags(text, description)], pages[0].tiles)
    if thumbnail is None:
        write_pages(path, [first, *map(_as_reduced, pages[1:])])
        return
    pages = [first, _thumbnail_page(thumbnail()), *pages[1:]]
    write_pages(
        path,
        pages,
        is_nested=False,
    )


def ome_of(carried: CarriedSlide, description: SlideDescription) -> str:
    """The OME-XML of a slide that is carried over."""
    return description.ome_xml(carried.levels[0].size)


def aperio_of(carried: CarriedSlide, description: SlideDescription) -> str:
    """The description of a slide that is carried over to an SVS."""
    first = carried.levels[0]
    return aperio_text(
        description,
        first.size,
        first.tile_size,
        first.page.description,
    )


def _first_tags(text: str, description: SlideDescription) -> list[TiffTag]:
    return [
        TiffTag.of_bytes(_DESCRIPTION, ASCII, text.encode() + b"\0"),
        TiffTag.of_bytes(XMP_TAG, BYTE, description.xmp()),
    ]


def _as_reduced(page: TiffPageParts) -> TiffPageParts:
    tags = [tag for tag in page.tags if tag.code != _SUBFILE]
    return TiffPageParts([*tags, TiffTag.of(_SUBFILE, LONG, 1)], page.tiles)


def _thumbnail_page(pixels: Pixels) -> TiffPageParts:
    """A page of one strip, as Aperio has it after level 0: readers skip it."""
    height, width = pixels.shape[:2]
    data = bytes(imagecodecs.zlib_encode(np.ascontiguousarray(pixels).tobytes()))
    tags = [
        TiffTag.of(_SUBFILE, LONG, 0),
        *_colour_picture(
            (width, height),
            _DEFLATE,
            _RGB,
        ),
        TiffTag.of(_ROWS, LONG, height),
    ]
    return TiffPageParts(
        tags,
        lambda: iter([data]),
        is_tiled=False,
    )


def _page(
    carried: CarriedSlide,
    level: CarriedLevel,
    description: SlideDescription,
    tile_of: TileOf,
) -> TiffPageParts:
    def tiles() -> Iterator[bytes]:
        for index in range(level.count):
            yield tile_of(level, index)

    return TiffPageParts([*_tags(level), *_resolution(carried, level, description.mpp)], tiles)


def _colour_picture(
    size: tuple[int, int],
    compression: int,
    photometric: int,
) -> list[TiffTag]:
    """Tags of a picture of 8-bit colour."""
    width, height = size
    return [
        TiffTag.of(256, LONG, width),
        TiffTag.of(257, LONG, height),
        TiffTag.of(
            258,
            SHORT,
            8,
            8,
            8,
        ),
        TiffTag.of(259, SHORT, compression),
        TiffTag.of(262, SHORT, photometric),
        TiffTag.of(277, SHORT, 3),
        TiffTag.of(284, SHORT, 1),
        TiffTag.of_bytes(305, ASCII, SOFTWARE.encode() + b"\0"),
    ]


def _tags(level: CarriedLevel) -> list[TiffTag]:
    """Tags of how pixels are kept: those of the slide."""
    page = level.page
    tags = [
        TiffTag.of(_SUBFILE, LONG, 0),
        *_colour_picture(
            level.size,
            int(page.compression),
            int(page.photometric),
        ),
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
