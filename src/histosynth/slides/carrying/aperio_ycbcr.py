"""Aperio slides of compression 33003 by tiles: tifffile shows them in false colours."""

from __future__ import annotations

from collections.abc import Sequence

import tifffile

from ...core.errors import UnreadableImage
from ...core.tile import Pixels
from ..comparing import compare_levels
from ..openslide import OpenSlideSlide
from ..slide import NotThisReader, Slide
from ..tiff_pages import is_plain_rgb, levels_of, opened_tiff, pages_of, tiled_levels
from ..tiff_segments import PlanePart, SegmentedSlide
from .codecs import APERIO_YCBCR, decode_jpeg2000

_APERIO = "aperio"


class AperioYcbcrSlide(SegmentedSlide):
    """A slide whose tiles are JPEG 2000 of YCbCr, in the colours that OpenSlide shows."""

    def _decode(
        self,
        part: PlanePart,
        index: int,
    ) -> Pixels:
        data = self.segment_bytes(self._number_of(part.page), index)
        if not data:
            return super()._decode(part, index)
        return decode_jpeg2000(part.page, data)

    def _number_of(self, page: tifffile.TiffPage) -> int:
        pages = [level.page for level in self.tiff_levels]
        return pages.index(page)


def aperio_ycbcr(slide: Slide) -> SegmentedSlide | None:
    """The tiles of a slide that OpenSlide reads; None: it is of another form.

    Raises:
        UnreadableImage: its tiles do not show what OpenSlide shows.
    """
    if not isinstance(slide, OpenSlideSlide) or slide.facts.make != _APERIO:
        return None
    try:
        with opened_tiff(slide.path) as tiff:
            pages = tiled_levels(pages_of(tiff))
            if not _are_levels_of(slide, pages):
                return None
            found = AperioYcbcrSlide(
                slide.path,
                levels_of(pages),
                slide.facts,
                slide.mpp,
            )
            compare_levels(found, slide)
    except NotThisReader as error:
        raise UnreadableImage(
            slide.path,
            "its tiles of compression 33003 do not decode to what OpenSlide shows, so that they "
            "cannot be carried over",
            "Write it anew without loss: --rewrite deflate (about 2 bytes a pixel).",
        ) from error
    return found


def _are_levels_of(slide: Slide, pages: Sequence[tifffile.TiffPage]) -> bool:
    """Whether pages of compression 33003 are the levels that OpenSlide reads, all scanned."""
    sizes = [(page.imagewidth, page.imagelength) for page in pages]
    return sizes == [(level.width, level.height) for level in slide.levels] and all(
        int(page.compression) == APERIO_YCBCR
        and is_plain_rgb(page)
        and int(page.planarconfig) == 1
        and 0 not in page.databytecounts
        for page in pages
    )
