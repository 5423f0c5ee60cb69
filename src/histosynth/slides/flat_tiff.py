"""Flat TIFF pictures (no tiles) as slides of one level."""

from __future__ import annotations

from pathlib import Path

from .aperio import scale_of_description
from .picture import PictureSlide
from .scale import ScaleStatement
from .slide import NotThisReader
from .tiff_pages import check_one_picture, opened_tiff, pages_of
from .tiff_scale import scales_of_tags


class FlatTiffSlide(PictureSlide):
    """A flat TIFF read whole.

    Raises:
        NotThisReader: it is tiled, and other readers have refused it.
        UnreadableImage, NotRGB: no 8-bit RGB picture, several pictures, or over 12,288 x 12,288 px.
        MissingScale: no scale is given; the resolution in its tags is named, and not used.
    """

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        with opened_tiff(path) as tiff:
            pages = pages_of(tiff)
            if pages[0].is_tiled:
                raise NotThisReader
            check_one_picture(path, pages)
            page = pages[0]
            scales = (scale_of_description(page.description), *scales_of_tags(page))
            stated = [_not_used(each) for each in scales if not each.is_silent]
        super().__init__(path, mpp=mpp, stated=stated)


def _not_used(stated: ScaleStatement) -> ScaleStatement:
    """The same as a statement that is not relied on."""
    if not stated.is_usable:
        return stated
    problem = f"{stated.mpp:.6g} um/px, which in a plain picture may be that of another one,"
    return ScaleStatement(stated.source, problem=problem)
