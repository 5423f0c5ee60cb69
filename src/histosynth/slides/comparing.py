"""Patches of a slide against OpenSlide, before tifffile's pixels are taken for the slide's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from .openslide import OpenSlideSlide
from .slide import PyramidLevel, Slide
from .tiff_pages import refused_here

_PATCH_PX = 64
_CORNER_PX = 256
_MAX_COLOUR_DIFFERENCE = 8.0
"""Mean grey levels; decoders of one JPEG differ by less than one."""
_ANY_MPP = 1.0


def compare_levels(slide: Slide, reference: OpenSlideSlide) -> None:
    """Read a patch of each level with both readers.

    Raises:
        NotThisReader: they differ a little; OpenSlide's pixels are the measure.
        UnreadableImage: they differ in colour.
    """
    for number, size in enumerate(reference.levels):
        level = _same_size(slide.levels, size)
        if level is not None and _differ(slide, level, reference, number):
            raise refused_here(slide.path, "OpenSlide shows other pixels")


def compare_with_openslide(slide: Slide) -> None:
    """The same for a slide that OpenSlide may not read; small differences are allowed.

    Raises:
        UnreadableImage: they differ in colour.
    """
    try:
        reference = OpenSlideSlide(slide.path, mpp=_ANY_MPP)
    except UnreadableImage:
        return
    if _same_size(slide.levels, reference.levels[0]) == 0:
        _differ(slide, 0, reference, 0)
    reference.close()


def _differ(
    slide: Slide,
    level: int,
    reference: OpenSlideSlide,
    number: int,
) -> bool:
    """Whether a patch differs at all between both readers' levels of one size."""
    box = _patch_of(slide.levels[level])
    ours = slide.read(level, box).astype(int)
    difference = np.abs(ours - reference.read(number, box))
    if difference.mean() > _MAX_COLOUR_DIFFERENCE:
        raise UnreadableImage(
            slide.path,
            "its tags and its compressed pixels disagree about colour: two readers show level "
            f"{level} with {difference.mean():.0f} grey levels between them",
            "Convert it again with a program that shows it rightly, to an 8-bit RGB pyramid.",
        )
    return bool(difference.any())


def _patch_of(level: PyramidLevel) -> Box:
    """The middle of a level, or its corner where OpenSlide could not be given the middle exactly.

    OpenSlide takes whole level-0 px: at a step of 4.016 they lie between px of the level.
    """
    is_whole = level.downsample == round(level.downsample)
    if not is_whole:
        return Box(
            0,
            0,
            min(level.width, _CORNER_PX),
            min(level.height, _CORNER_PX),
        )
    return Box(
        max(level.width - _PATCH_PX, 0) // 2,
        max(level.height - _PATCH_PX, 0) // 2,
        min(level.width, _PATCH_PX),
        min(level.height, _PATCH_PX),
    )


def _same_size(levels: Sequence[PyramidLevel], size: PyramidLevel) -> int | None:
    """The index of the level of that size."""
    for index, level in enumerate(levels):
        if (level.width, level.height) == (size.width, size.height):
            return index
    return None
