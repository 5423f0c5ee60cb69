"""The pages of a TIFF slide: which are its levels, and which pictures are refused by their tags."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import tifffile

from ..core.errors import NotRGB, UnreadableImage
from .slide import NotThisReader, fitting_levels
from .tiff_forms import RGB, YCBCR, TiffForm
from .tiff_segments import BROKEN_TIFF, PlanePart, TiffLevel

MAX_PAGES = 20_000
_REDUCED = 1
_UPRIGHT = 1
_PALETTE = 3
_ALPHA = (1, 2)
_GREY = (0, 1)
_OTHER_COLOURS = {
    4: "a mask",
    5: "a CMYK picture",
    8: "a CIELAB picture",
    9: "an ICCLAB picture",
    32803: "a raw picture of a camera",
}
_EXPORT_RGB = "H&E needs colour: export the slide as 8-bit RGB."


def refused_here(path: Path, reason: str) -> NotThisReader:
    """Another reader may take the file."""
    return NotThisReader(UnreadableImage(path, reason))


@contextmanager
def opened_tiff(path: Path) -> Iterator[tifffile.TiffFile]:
    """A TIFF file for the time of a block, in which its damage is refused in a sentence.

    Raises:
        NotThisReader: tifffile does not read it.
    """
    try:
        with _silent(), tifffile.TiffFile(path) as tiff:
            yield tiff
    except BROKEN_TIFF as error:
        raise refused_here(path, str(error) or "tifffile does not read it") from error


@contextmanager
def _silent() -> Iterator[None]:
    """Keep tifffile from logging every oddity of a damaged file; the refusal has what matters."""
    log = logging.getLogger("tifffile")
    before = log.disabled
    log.disabled = True
    try:
        yield
    finally:
        log.disabled = before


def pages_of(tiff: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    """The top-level pages."""
    pages = []
    for page in islice(tiff.pages, MAX_PAGES):
        if not isinstance(page, tifffile.TiffPage):
            raise ValueError("a page without tags of its own")
        pages.append(page)
    if not pages:
        raise ValueError("it holds no page")
    return pages


def sub_pages(page: tifffile.TiffPage) -> list[tifffile.TiffPage]:
    """The pages of its SubIFDs, where most OME-TIFF files keep reduced levels."""
    below = page.pages
    if below is None:
        return []
    return [each for each in islice(below, MAX_PAGES) if isinstance(each, tifffile.TiffPage)]


def is_reduced(page: tifffile.TiffPage) -> bool:
    """Whether a page states that it is a reduced version of another."""
    return bool(int(page.tags.valueof("NewSubfileType") or 0) & _REDUCED)


def form_of(make: str, page: tifffile.TiffPage) -> TiffForm:
    """How a page keeps its pixels."""
    return TiffForm(
        make,
        int(page.compression),
        int(page.photometric),
        int(page.planarconfig),
    )


def is_plain_rgb(page: tifffile.TiffPage) -> bool:
    """Whether a page holds three unsigned 8-bit samples and is no volume."""
    return (
        page.samplesperpixel == 3
        and page.bitspersample == 8
        and int(page.sampleformat) == 1
        and page.imagedepth == 1
        and int(page.photometric) in (RGB, YCBCR)
    )


def reduced_levels(pages: Sequence[tifffile.TiffPage]) -> list[tifffile.TiffPage]:
    """The first page and its reduced versions, from the finest: SubIFDs and top-level pages."""
    first = pages[0]
    below = sub_pages(first)
    below += [page for page in pages[1:] if is_reduced(page)]
    return _largest_first(first, below)


def tiled_levels(pages: Sequence[tifffile.TiffPage]) -> list[tifffile.TiffPage]:
    """The first page and all tiled ones of its shape, as Aperio has its levels."""
    return _largest_first(pages[0], pages[1:])


def _largest_first(
    first: tifffile.TiffPage,
    below: Sequence[tifffile.TiffPage],
) -> list[tifffile.TiffPage]:
    by_size = {(page.imagewidth, page.imagelength): page for page in below if page.is_tiled}
    by_size.pop((first.imagewidth, first.imagelength), None)
    ordered = [first, *sorted(by_size.values(), key=lambda page: -page.imagewidth)]
    sizes = [(page.imagewidth, page.imagelength) for page in ordered]
    return [ordered[index] for index in fitting_levels(sizes)]


def levels_of(pages: Sequence[tifffile.TiffPage]) -> list[TiffLevel]:
    """Each page as a level that holds R, G and B together."""
    return [TiffLevel((PlanePart(page),)) for page in pages]


def check_one_picture(path: Path, pages: Sequence[tifffile.TiffPage]) -> None:
    """Refuse a file in which another picture is as large as the first.

    Raises:
        UnreadableImage: channels, focal planes or several scans.
    """
    first = pages[0]
    area = first.imagewidth * first.imagelength
    full = [
        page
        for page in pages[1:]
        if page.imagewidth * page.imagelength >= area and not is_reduced(page)
    ]
    if full:
        raise UnreadableImage(
            path,
            f"it holds {len(full) + 1:,} pictures of full size (channels, focal planes or several "
            "scans), and does not state which one is the slide",
            "Export the picture of the slide alone, as a pyramid or OME-TIFF.",
        )


def check_colour(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse what is no upright 8-bit colour picture, as plain pictures are refused.

    Raises:
        NotRGB: grayscale, more than 8 bits, CMYK, more channels than RGB and alpha.
        UnreadableImage: stored turned or mirrored.
    """
    found = _other_pixels(page)
    if found:
        raise NotRGB(str(path), found, _EXPORT_RGB)
    orientation = int(page.tags.valueof("Orientation") or _UPRIGHT)
    if orientation != _UPRIGHT:
        raise UnreadableImage(
            path,
            f"its tag Orientation is {orientation}: its tiles are stored turned or mirrored",
            "Save it upright, e.g.  vips autorot IN.tif OUT.tif[tile,pyramid,compression=deflate]",
        )


def _other_pixels(page: tifffile.TiffPage) -> str:
    """What a page holds instead of 8-bit colour; "" for 8-bit colour."""
    photometric = int(page.photometric)
    if photometric in _GREY:
        return "a grayscale picture" if page.samplesperpixel == 1 else _channels(page)
    if page.bitspersample != 8 or int(page.sampleformat) != 1:
        return f"a picture of {page.dtype or 'unusual'} pixels"
    if photometric in _OTHER_COLOURS:
        return _OTHER_COLOURS[photometric]
    is_colour = photometric == _PALETTE or page.samplesperpixel == 3
    return "" if is_colour or has_alpha(page) else _channels(page)


def has_alpha(page: tifffile.TiffPage) -> bool:
    """Whether the fourth of four samples is stated to be an alpha channel."""
    extra = tuple(map(int, page.extrasamples))
    return page.samplesperpixel == 4 and len(extra) == 1 and extra[0] in _ALPHA


def _channels(page: tifffile.TiffPage) -> str:
    return f"a picture of {page.samplesperpixel} channels"
