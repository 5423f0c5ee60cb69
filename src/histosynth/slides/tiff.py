"""Aperio SVS and generic TIFF pyramids by tifffile: the fast path, for what the tables name.

OpenSlide decides the make, and its pixels are the measure: one patch of each level is compared when
a slide is opened. Segments are read where they lie in the file and decoded alone, with the libjpeg
and OpenJPEG that OpenSlide uses too, so the pixels are the same. Everything else goes to OpenSlide.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tifffile

from ..core.errors import UnreadableImage
from .aperio import scale_of_description
from .comparing import compare_levels
from .jpeg2000 import has_colour_transform
from .openslide import OpenSlideSlide, format_of
from .scale import ScaleStatement, scale_of
from .slide import NotThisReader, SlideFacts, check_levels
from .tiff_forms import FAST, ONLY_TIFFFILE, compression_name, is_in
from .tiff_pages import (
    check_colour,
    check_one_picture,
    form_of,
    is_plain_rgb,
    levels_of,
    opened_tiff,
    pages_of,
    reduced_levels,
    refused_here,
    tiled_levels,
)
from .tiff_scale import scales_of_tags
from .tiff_segments import SegmentedSlide

_ANY_MPP = 1.0
"""Stands in until the scale is settled from what OpenSlide reads."""
_APERIO_YCBCR = 33003


def _aperio_scales(page: tifffile.TiffPage) -> tuple[ScaleStatement, ...]:
    return (scale_of_description(page.description),)


_PYRAMIDS = {"aperio": tiled_levels, "generic-tiff": reduced_levels}
_SCALES = {"aperio": _aperio_scales, "generic-tiff": scales_of_tags}
"""Where each make keeps its levels and its scale, for what OpenSlide does not read."""


class TiffSlide(SegmentedSlide):
    """A tiled 8-bit RGB pyramid of a form that a table names.

    Args:
        path: the file.
        mpp: micrometres per pixel, where the file states none or a wrong one.

    Raises:
        NotThisReader: another reader may take it.
        NotRGB: it holds no 8-bit colour.
        UnreadableImage: the file is cut off, contradicts itself, holds several pictures, or its
            header states an impossible size.
        MissingScale, ConflictingScales: it states no scale, or two, and none is given.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        make = format_of(path)
        if make not in _PYRAMIDS:
            raise refused_here(path, "no make that tifffile is known to read rightly")
        with opened_tiff(path) as tiff:
            pages = pages_of(tiff)
            _check_pages(path, make, pages)
            if is_in(ONLY_TIFFFILE, form_of(make, pages[0])):
                reference = None
                level_pages = _PYRAMIDS[make](pages)
                scale = _SCALES[make](pages[0])
            else:
                reference = _open_reference(path)
                level_pages = _find_levels(path, make, pages, reference)
                scale = _scale_facts(make, reference, pages[0])
            _check_forms(path, make, level_pages)
            compression = compression_name(int(pages[0].compression))
            facts = SlideFacts(make, compression, scale)
            super().__init__(
                path,
                levels_of(level_pages),
                facts,
                scale_of(path, scale, mpp),
            )
        if reference is not None:
            compare_levels(self, reference)
            reference.close()


def _check_pages(
    path: Path,
    make: str,
    pages: Sequence[tifffile.TiffPage],
) -> None:
    """Refuse what no reader may pass on as H&E."""
    first = pages[0]
    if first.is_tiled:
        check_levels(path, [(first.imagewidth, first.imagelength)])
        check_colour(path, first)
    if make == "generic-tiff":
        check_one_picture(path, pages)
    if int(first.compression) == _APERIO_YCBCR and has_colour_transform(first):
        raise UnreadableImage(
            path,
            "its compression 33003 means YCbCr, but its JPEG 2000 stream transforms colour itself",
            "Convert it again with a program that shows it rightly, to an 8-bit RGB pyramid.",
        )


def _open_reference(path: Path) -> OpenSlideSlide:
    """The slide as OpenSlide reads it."""
    try:
        return OpenSlideSlide(path, mpp=_ANY_MPP)
    except UnreadableImage as error:
        raise NotThisReader(error) from error


def _find_levels(
    path: Path,
    make: str,
    pages: Sequence[tifffile.TiffPage],
    reference: OpenSlideSlide,
) -> list[tifffile.TiffPage]:
    """The page of each level: OpenSlide's, and of generic pyramids those of SubIFDs too."""
    if make == "generic-tiff":
        return reduced_levels(pages)
    found = []
    for level in reference.levels:
        size = (level.width, level.height)
        fitting = [
            page for page in pages if page.is_tiled and (page.imagewidth, page.imagelength) == size
        ]
        if len(fitting) != 1 or 0 in fitting[0].databytecounts:
            # where nothing was scanned, OpenSlide fills in from another level
            raise refused_here(path, "levels that OpenSlide puts together")
        found += fitting
    return found


def _check_forms(
    path: Path,
    make: str,
    pages: Sequence[tifffile.TiffPage],
) -> None:
    """Leave to OpenSlide what no table names."""
    for page in pages:
        form = form_of(make, page)
        is_known = is_in(FAST, form) or is_in(ONLY_TIFFFILE, form)
        if not (page.is_tiled and is_plain_rgb(page) and is_known):
            raise refused_here(path, "not a tiled 8-bit RGB pyramid of a form that is known")


def _scale_facts(
    make: str,
    reference: OpenSlideSlide,
    page: tifffile.TiffPage,
) -> tuple[ScaleStatement, ...]:
    """Tags of generic pyramids as exact ratios; everything else as OpenSlide reads it."""
    if make == "generic-tiff":
        return scales_of_tags(page)
    return reference.facts.scale
