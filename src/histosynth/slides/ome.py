"""OME-TIFF by tifffile: OpenSlide sees one level of it, one of its planes, and never its XML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tifffile

from ..core.errors import NotRGB, UnreadableImage
from .comparing import compare_with_openslide
from .jpeg2000 import has_colour_transform
from .ome_pictures import check_is_rgb, choose_scan, order_of_planes, plane_pages
from .ome_xml import BadXML, OmePicture, OmeText, is_ome_xml, parse_ome, whole_number
from .scale import scale_of
from .slide import SlideFacts, fitting_levels
from .tiff_forms import RGB, YCBCR, compression_name
from .tiff_pages import (
    check_colour,
    has_alpha,
    is_plain_rgb,
    is_reduced,
    opened_tiff,
    pages_of,
    refused_here,
    sub_pages,
)
from .tiff_scale import scales_of_tags
from .tiff_segments import PlanePart, SegmentedSlide, TiffLevel

_JPEG_2000 = (33003, 33004)
"""In Aperio's slides YCbCr, in Bio-Formats' files RGB: the stream decides."""
_JPEG = 7
_GREY = 1
_SEPARATE = 2

Planes = tuple[tifffile.TiffPage, ...]
"""The pages of a level: one with all samples, or three with one each, red first."""


class OmeSlide(SegmentedSlide):
    """The scan in an OME-TIFF of 8-bit RGB, its samples together or in three planes.

    Args:
        path: the file.
        mpp: micrometres per pixel, where the file states none or a wrong one.

    Raises:
        NotThisReader: no OME-TIFF.
        NotRGB: grayscale, fluorescence or more than 8 bits.
        UnreadableImage: damaged, of several scans or planes, or its XML contradicts its pages.
        MissingScale, ConflictingScales: XML and tags state no scale, or two that differ by more
            than 1 %, and none is given.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        with opened_tiff(path) as tiff:
            description = tiff.pages.first.description
            if not is_ome_xml(description):
                raise refused_here(path, "no OME-TIFF")
            pages = pages_of(tiff)
            try:
                text = parse_ome(description)
                _check_is_here(path, text)
                scan = choose_scan(path, text.pictures)
                levels = _find_levels(path, text, scan, pages)
            except BadXML as error:
                raise UnreadableImage(
                    path,
                    str(error),
                    "Export it again as OME-TIFF.",
                ) from error
            first = levels[0].page
            scale = (scan.scale, *scales_of_tags(first))
            facts = SlideFacts("ome-tiff", compression_name(int(first.compression)), scale)
            super().__init__(
                path,
                levels,
                facts,
                scale_of(path, scale, mpp),
            )
        if first is pages[0] and first.planarconfig != _SEPARATE and first.samplesperpixel == 3:
            compare_with_openslide(self)


def _check_is_here(path: Path, text: OmeText) -> None:
    """Refuse files that are a part of a set."""
    if text.metadata_file:
        raise UnreadableImage(
            path,
            f"its OME-XML is in another file, {text.metadata_file}",
            "Export it as one OME-TIFF.",
        )
    if not text.pictures:
        raise BadXML("its OME-XML names no picture")


def _find_levels(
    path: Path,
    text: OmeText,
    scan: OmePicture,
    pages: Sequence[tifffile.TiffPage],
) -> list[TiffLevel]:
    """The levels of the scan, from the finest."""
    if scan.count("SizeC") == 4 and scan.places:
        start = plane_pages(scan, 1, is_only=False)[0]
        _check_three_samples(path, pages[start : start + 1])
    check_is_rgb(path, scan)
    files = sorted(set(scan.files))
    if len(files) > 1:
        raise UnreadableImage(
            path,
            f"its planes lie in {len(files):,} files, such as {files[0]} and {files[1]}",
            "Export it as one OME-TIFF.",
        )
    full = _full_planes(path, text, scan, pages)
    _check_planes(path, scan, full)
    sub_levels = _sub_levels(full)
    offsets = {page.offset for planes in sub_levels for page in planes}
    # some writers lead the chain of pages through the SubIFDs
    others = [page for page in pages if page.offset not in offsets]
    below = [*sub_levels, *_top_levels(text, others, full)]
    ordered = sorted(below, key=lambda planes: -planes[0].imagewidth)
    levels = [_as_level(planes) for planes in (full, *ordered)]
    kept = fitting_levels([level.size for level in levels])
    return [levels[index] for index in kept]


def _full_planes(
    path: Path,
    text: OmeText,
    scan: OmePicture,
    pages: Sequence[tifffile.TiffPage],
) -> Planes:
    """The pages of the finest level."""
    is_only = len(text.pictures) == 1
    is_together = any(whole_number(each, "SamplesPerPixel", 1) == 3 for each in scan.channels)
    start = plane_pages(scan, 1, is_only)[0]
    if start < len(pages) and pages[start].samplesperpixel == 3:
        is_together = True
    if is_together:
        return tuple(_pick(path, pages, [start]))
    order = order_of_planes(path, scan.channels)
    numbers = plane_pages(scan, 3, is_only)
    return tuple(_pick(path, pages, [numbers[plane] for plane in order]))


def _pick(
    path: Path,
    pages: Sequence[tifffile.TiffPage],
    numbers: Sequence[int],
) -> list[tifffile.TiffPage]:
    if max(numbers) >= len(pages) or len(set(numbers)) < len(numbers):
        listed_pages = ", ".join(map(str, numbers))
        raise BadXML(f"its OME-XML places planes on pages {listed_pages} of {len(pages):,}")
    return [pages[number] for number in numbers]


def _check_planes(
    path: Path,
    scan: OmePicture,
    planes: Planes,
) -> None:
    """Pages must hold what the XML states: 8-bit samples of its size."""
    wanted = (scan.count("SizeX", 0), scan.count("SizeY", 0))
    for page in planes:
        size = (page.imagewidth, page.imagelength)
        if size != wanted:
            raise BadXML(
                f"its OME-XML states {wanted[0]:,} x {wanted[1]:,} px, its page has "
                f"{size[0]:,} x {size[1]:,} px"
            )
        if len(planes) == 1:
            _check_three_samples(path, planes)
            check_colour(path, page)
        if not _is_readable(page, len(planes)):
            raise NotRGB(
                str(path),
                f"a picture whose planes are {page.dtype}, {page.samplesperpixel} samples",
                "Export the scan as 8-bit RGB.",
            )
        _check_compression(path, page)


def _check_three_samples(path: Path, pages: Sequence[tifffile.TiffPage]) -> None:
    """Refuse RGB with a fourth sample by what it is."""
    for page in pages:
        if int(page.photometric) == RGB and page.samplesperpixel == 4:
            fourth = "an alpha" if has_alpha(page) else "a fourth"
            depth = "" if page.bitspersample == 8 else f" of {page.bitspersample} bits"
            raise NotRGB(
                str(path),
                f"RGB with {fourth} channel{depth}",
                f"Export it as 8-bit RGB, without {fourth} channel.",
            )


def _is_readable(page: tifffile.TiffPage, planes: int) -> bool:
    """Whether a page holds RGB, or one 8-bit channel of three."""
    if planes == 1:
        return is_plain_rgb(page)
    return (
        page.samplesperpixel == 1
        and page.bitspersample == 8
        and int(page.sampleformat) == 1
        and page.imagedepth == 1
        and int(page.photometric) in (_GREY, RGB)
    )


def _check_compression(path: Path, page: tifffile.TiffPage) -> None:
    """Refuse codes under which colours are not certain."""
    code = int(page.compression)
    is_colour = page.samplesperpixel == 3 and page.planarconfig != _SEPARATE
    if code in _JPEG_2000 and is_colour and not has_colour_transform(page):
        raise UnreadableImage(
            path,
            f"its compression {code} is JPEG 2000 of RGB in some programs and YCbCr in others",
            "Export it with another compression, such as JPEG or LZW.",
        )
    if int(page.photometric) == YCBCR and not (code == _JPEG and is_colour):
        raise UnreadableImage(
            path,
            f"its pixels are YCbCr, packed as {compression_name(code)} of planar configuration "
            f"{int(page.planarconfig)}, which is not read",
            "Export it as RGB.",
        )


def _as_level(planes: Planes) -> TiffLevel:
    """Pages as one level; a page with separate planes holds them one after the other."""
    page = planes[0]
    if len(planes) > 1 or page.planarconfig != _SEPARATE:
        return TiffLevel(tuple(PlanePart(each) for each in planes))
    segments = TiffLevel((PlanePart(page),)).segment_count
    return TiffLevel(tuple(PlanePart(page, segments * plane) for plane in range(3)))


def _sub_levels(full: Planes) -> list[Planes]:
    """Reduced levels in the SubIFDs of each plane."""
    below = [sub_pages(page) for page in full]
    return [planes for planes in zip(*below, strict=False) if _is_like(planes, full)]


def _top_levels(
    text: OmeText,
    pages: Sequence[tifffile.TiffPage],
    full: Planes,
) -> list[Planes]:
    """Reduced levels that are pages of their own, where no other picture can own them."""
    if len(text.pictures) > 1:
        return []
    by_size: dict[tuple[int, int], list[tifffile.TiffPage]] = {}
    for page in pages:
        if is_reduced(page) and page not in full:
            by_size.setdefault((page.imagewidth, page.imagelength), []).append(page)
    return [tuple(group) for group in by_size.values() if _is_like(tuple(group), full)]


def _is_like(planes: Planes, full: Planes) -> bool:
    """Whether pages are a reduced level of the same layout."""
    return len(planes) == len(full) and all(
        _is_readable(page, len(full))
        and page.planarconfig == full[0].planarconfig
        and (page.imagewidth, page.imagelength) == (planes[0].imagewidth, planes[0].imagelength)
        and page.imagewidth < full[0].imagewidth
        for page in planes
    )
