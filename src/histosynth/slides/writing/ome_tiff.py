"""One pyramidal OME-TIFF in which all readers see all levels.

OME readers look for lower levels in the SubIFDs of the first page, OpenSlide and libvips along the
chain of pages. tifffile writes SubIFDs; then the chain is led through them, so that each level is
in both. OpenSlide reads no OME-XML: the scale is in the resolution tags too.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from ...core.errors import UnreadableImage
from ...core.marking import XMP_TAG
from ...core.store import atomic_write
from .description import SOFTWARE, SlideDescription
from .encoding import Encoding
from .pyramid import Pyramid

_UM_PER_CENTIMETRE = 10_000
_BYTE = 1
_COUNT = struct.Struct("<Q")
_ENTRY_BYTES = 20
_TAG = struct.Struct("<H")
_SUBSAMPLING_TAG = 530
"""YCbCrSubSampling. Where it states 1 x 1, Bio-Formats 7.3.1 (QuPath) changes the colours of JPEG
once more; without it all readers take what the JPEG streams state."""
_REDUCED = 1
TiffTiles = Sequence[Iterable[bytes]]


def write_ome_tiff(
    out: Path,
    pyramid: Pyramid,
    encoding: Encoding,
    description: SlideDescription,
    tiles: TiffTiles,
) -> None:
    """Write a slide from its encoded tiles, whole or not at all.

    Args:
        out: the file; one that is there is replaced.
        pyramid: sizes of levels and tiles.
        encoding: of the tiles.
        description: scale and mark.
        tiles: of each level, the encoded tiles row by row; they are read once.

    Raises:
        NotWritable: it cannot be written.
    """
    with atomic_write(out) as temporary:
        with tifffile.TiffWriter(
            temporary,
            bigtiff=True,
            byteorder="<",
            ome=False,
        ) as writer:
            for level, encoded in enumerate(tiles):
                writer.write(
                    iter(encoded),
                    **_level_options(pyramid, encoding, description, level),
                )
        _chain_levels(temporary, encoding)
        _check_written(temporary, pyramid)


def _level_options(
    pyramid: Pyramid,
    encoding: Encoding,
    description: SlideDescription,
    level: int,
) -> dict[str, Any]:
    width, height = pyramid.levels[level]
    step_x = pyramid.size.width / width
    step_y = pyramid.size.height / height
    per_centimetre = _UM_PER_CENTIMETRE / description.mpp
    options = {
        **encoding.tiff_options,
        "shape": (height, width, 3),
        "dtype": np.uint8,
        "tile": (pyramid.tile_px, pyramid.tile_px),
        "resolution": (per_centimetre / step_x, per_centimetre / step_y),
        "resolutionunit": "CENTIMETER",
        "software": SOFTWARE,
        "metadata": None,
        "iccprofile": description.icc or None,
    }
    if level:
        return {**options, "subfiletype": _REDUCED}
    xmp = description.xmp()
    return {
        **options,
        "subifds": len(pyramid.levels) - 1,
        "description": description.ome_xml(pyramid.size).encode(),
        "extratags": [(XMP_TAG, _BYTE, len(xmp), xmp, True)],
    }


def _chain_levels(path: Path, encoding: Encoding) -> None:
    """Make each lower level the page after the one above it."""
    with tifffile.TiffFile(path) as tiff:
        first = tiff.pages.first
        pages = [first.offset, *(first.subifds or ())]
    dropped = _SUBSAMPLING_TAG if encoding.has_whole_chroma else None
    with path.open("r+b") as file:
        for offset, next_offset in _pairs(pages):
            file.seek(offset)
            (count,) = _COUNT.unpack(file.read(_COUNT.size))
            entries = [file.read(_ENTRY_BYTES) for _ in range(count)]
            kept = [entry for entry in entries if _TAG.unpack_from(entry) != (dropped,)]
            file.seek(offset)
            file.write(_COUNT.pack(len(kept)))
            file.write(b"".join(kept))
            file.write(_COUNT.pack(next_offset))
            file.write(b"\0" * (_ENTRY_BYTES * (count - len(kept))))


def _pairs(pages: Sequence[int]) -> Iterator[tuple[int, int]]:
    yield from zip(pages, [*pages[1:], 0], strict=True)


def _check_written(path: Path, pyramid: Pyramid) -> None:
    """Compare sizes, tiles and ends of what was written, before the file appears.

    Raises:
        UnreadableImage: a level is missing or reaches beyond the file.
    """
    size = path.stat().st_size
    with tifffile.TiffFile(path) as tiff:
        pages = list(tiff.pages)
        for level, page in enumerate(pages):
            ends = np.add(page.dataoffsets, page.databytecounts)
            across, down = pyramid.tiles(level)
            if len(ends) != across * down or ends.max() > size or min(page.databytecounts) < 1:
                raise UnreadableImage(path, f"level {level} was not written whole")
        sizes = [page.shape[1::-1] for page in pages]
    if sizes != [tuple(each) for each in pyramid.levels]:
        raise UnreadableImage(path, "its levels were not written whole")
