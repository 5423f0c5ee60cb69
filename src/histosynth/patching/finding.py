"""Where a slide is spoilt: the gates of `prepare`, place by place instead of tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..annotation.regions import Region
from ..core.arrays import Float32Array
from ..core.geometry import Box
from ..core.progress import ProgressCallback, ignore_progress
from ..core.tile import Mask, Pixels
from ..preparation.quality.coarse import COARSE_PIXEL_UM
from ..preparation.quality.gates.air import is_grey
from ..preparation.quality.gates.blur import BLUR
from ..preparation.quality.gates.fold import both_dyes, is_folded, smooth_dyes
from ..preparation.tissue_mask import TissuePlan, ink_mask, tissue_mask
from ..slides import Slide, read_box, thumbnail
from ..tissue.density import optical_density
from .outlines import mask_regions

_BLUE_RED = 0.6
_BLUE_TO_GREEN = 0.97
_BLUE_PASSED = 0.5
_FOLD_SIDE_UM = 60.0
_FOLD_SIDE_AMOUNT = 0.25
_FOLD_DIRECTIONS = 8
_FOLD_DYES = 0.25
_LEAST_DYE = 0.02
_FOLD_RATIO = 1.75
"""A fold has so much more of both dyes than the tissue on either side of it."""
_BLUR_UM = 128.0
_BLUR_MPP = 0.5
_BLUR_TISSUE = 0.5
"""Share of a window that is tissue, so that its sharpness is that of tissue."""
_BLUR_SHARE = 0.75
_BLUR_LOW = 0.45
"""Of the usual sharpness of this slide: what is below the gate's limit and the first, or below the
second, is blurred."""
_TEAR_UM = (8.0, 60.0)
"""Narrower cracks are ground, wider ones glass or lumina."""
_TEAR_LENGTH_UM = 300.0


@dataclass(frozen=True)
class ArtefactForm:
    """What is looked for.

    Attributes:
        least_um2: smaller places are left.
        margin_um: added around.
        close_um: gaps up to this wide belong to a place.
        is_usual: whether it is looked for where nothing else is stated.
    """

    least_um2: float
    margin_um: float
    close_um: float
    is_usual: bool = True


ARTEFACTS: Mapping[str, ArtefactForm] = {
    "pen": ArtefactForm(
        1200,
        10,
        40,
    ),
    "fold": ArtefactForm(
        2500,
        14,
        30,
    ),
    "bubble": ArtefactForm(
        5000,
        8,
        40,
    ),
    "blur": ArtefactForm(
        15_000,
        40,
        20,
    ),
    "tear": ArtefactForm(
        3000,
        6,
        8,
        is_usual=False,
    ),
}
"""What `find_artefacts` finds, in this order: what two of them cover belongs to the first."""
USUAL_ARTEFACTS = tuple(name for name, form in ARTEFACTS.items() if form.is_usual)


@dataclass(frozen=True, eq=False)
class _Overview:
    """A slide at about 4 um a pixel.

    Attributes:
        pixels: (H, W, 3) uint8.
        density: (H, W, 3) optical density.
        tissue: (H, W) bool.
        mpp: exact, micrometres per pixel.
    """

    pixels: Pixels
    density: Float32Array
    tissue: Mask
    mpp: float


def find_artefacts(
    slide: Slide,
    only: Sequence[str] = USUAL_ARTEFACTS,
    on_progress: ProgressCallback = ignore_progress,
) -> list[Region]:
    """Places that are spoilt, as polygons in level-0 px, each of a class of `ARTEFACTS`.

    Args:
        slide: to look at.
        only: names of `ARTEFACTS`.
        on_progress: called with (done, all) steps.
    """
    overview = _overview(slide)
    masks: dict[str, Mask] = {}
    taken = np.zeros(overview.tissue.shape, bool)
    names = [name for name in ARTEFACTS if name in only]
    for number, name in enumerate(names, 1):
        form = ARTEFACTS[name]
        found = _tidy(
            _FINDERS[name](slide, overview),
            form,
            overview.mpp,
        )
        masks[name] = _large(
            found & ~taken,
            form.least_um2,
            overview.mpp,
        )
        taken |= found
        on_progress(number, len(names))
    step = (
        slide.levels[0].width / overview.tissue.shape[1],
        slide.levels[0].height / overview.tissue.shape[0],
    )
    regions = []
    for name, mask in masks.items():
        regions += mask_regions(
            mask,
            name=name,
            step=step,
        )
    return regions


def _overview(slide: Slide) -> _Overview:
    mpp = max(COARSE_PIXEL_UM, slide.mpp)
    pixels = thumbnail(slide, mpp)
    density = optical_density(pixels).astype(np.float32)
    tissue = tissue_mask(pixels, TissuePlan(mpp=mpp))
    return _Overview(
        pixels,
        density,
        tissue,
        mpp,
    )


def _tidy(mask: Mask, form: ArtefactForm, mpp: float) -> Mask:
    """Gaps closed, small places left out, a margin added."""
    closed = ndimage.binary_closing(
        np.pad(mask, 16),
        _disc(form.close_um / 2 / mpp),
    )[16:-16, 16:-16]
    large = _large(
        closed,
        form.least_um2,
        mpp,
    )
    return np.asarray(ndimage.binary_dilation(large, _disc(form.margin_um / mpp)))


def _large(mask: Mask, least_um2: float, mpp: float) -> Mask:
    """The connected places of at least this area."""
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    keep = np.bincount(labels.ravel(), minlength=count + 1) * mpp**2 >= least_um2
    keep[0] = False
    return np.asarray(keep[labels])


def _disc(radius: float) -> Mask:
    reach = max(round(radius), 0)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(x * x + y * y <= radius * radius + 0.5)


def _pen(slide: Slide, overview: _Overview) -> Mask:
    del slide
    return np.asarray(ndimage.binary_opening(_ink(overview), np.ones((2, 2), bool)))


def _ink(overview: _Overview) -> Mask:
    """Ink of `prepare`, and blue ink, which absorbs red as much as green and lets blue pass."""
    red, green, blue = np.moveaxis(
        overview.density,
        2,
        0,
    )
    is_blue = (red > _BLUE_RED) & (red > _BLUE_TO_GREEN * green) & (blue < _BLUE_PASSED * green)
    return np.asarray(ink_mask(overview.density) | is_blue)


def _folds(slide: Slide, overview: _Overview) -> Mask:
    """Bands with more of both dyes than the slide has, and twice what lies on both sides.

    A fold is the tissue beside it, twice: both dyes in the same ratio. Dense tissue has another.
    """
    del slide
    dyes, tissue = smooth_dyes(overview.density)
    both = both_dyes(dyes)
    ink = ndimage.binary_dilation(_ink(overview), iterations=3)
    tissue = np.asarray(tissue & ~ink)
    if not tissue.any():
        return np.zeros(tissue.shape, bool)
    usual = float(np.median(both[tissue]))
    dense = is_folded(both, usual) & tissue
    step = _FOLD_SIDE_UM / overview.mpp
    found = np.zeros(both.shape, bool)
    for turn in range(_FOLD_DIRECTIONS):
        angle = np.pi * turn / _FOLD_DIRECTIONS
        down = step * np.sin(angle)
        across = step * np.cos(angle)
        first = _shifted(
            dyes,
            down,
            across,
        )
        second = _shifted(
            dyes,
            -down,
            -across,
        )
        found |= _is_twice(
            dyes,
            first,
            second,
        )
    return np.asarray(dense & found)


def _is_twice(
    dyes: Float32Array,
    first: Float32Array,
    second: Float32Array,
) -> Mask:
    """Where there is as much of both dyes as in two layers of what lies on both sides."""
    denser = np.maximum(both_dyes(first), both_dyes(second))
    thinner = np.minimum(both_dyes(first), both_dyes(second))
    # glass on a side says nothing of how dense the tissue there is
    is_denser = both_dyes(dyes) > _FOLD_RATIO * denser
    is_known = thinner > _FOLD_SIDE_AMOUNT
    ratio = _dye_ratio(dyes) - _dye_ratio(first + second)
    is_same = np.abs(ratio) < _FOLD_DYES
    return np.asarray(is_denser & is_known & is_same)


def _dye_ratio(dyes: Float32Array) -> Float32Array:
    """(H, W) logarithm of the ratio of both dyes."""
    logs = np.log(dyes + np.float32(_LEAST_DYE))
    return np.asarray(logs[..., 0] - logs[..., 1])


def _shifted(values: Float32Array, down: float, across: float) -> Float32Array:
    """Values (H, W, C) at places that lie so far away."""
    steps = (
        -down,
        -across,
        0,
    )
    moved: Float32Array = ndimage.shift(
        values,
        steps,
        order=1,
        mode="nearest",
    )
    return moved


def _bubbles(slide: Slide, overview: _Overview) -> Mask:
    del slide
    return np.asarray(is_grey(overview.density) & ~_ink(overview))


def _blur(slide: Slide, overview: _Overview) -> Mask:
    """Windows that are less sharp than the gate allows, and than the slide is elsewhere.

    A window that is partly sharp passes, so that around those found smaller ones are looked at.
    """
    side = round(_BLUR_UM / overview.mpp)
    everywhere = np.ones(overview.tissue.shape, bool)
    windows = _sharpness(
        slide,
        overview,
        side,
        everywhere,
    )
    out = np.zeros(overview.tissue.shape, bool)
    if not windows:
        return out
    usual = float(np.median([window.value for window in windows]))
    limit = min(max(BLUR.default_limit, _BLUR_LOW * usual), _BLUR_SHARE * usual)
    near = np.zeros(overview.tissue.shape, bool)
    for window in windows:
        if window.value < limit:
            out[window.middle.slices] = True
            near[window.box.slices] = True
    around = np.asarray(ndimage.binary_dilation(near, np.ones((side, side), bool)))
    for window in _sharpness(
        slide,
        overview,
        side // 2,
        around,
    ):
        if window.value < limit:
            out[window.middle.slices] = True
    return out


@dataclass(frozen=True)
class _Window:
    """A window of an overview.

    Attributes:
        box: of its pixels.
        value: how sharp it is.
    """

    box: Box
    value: float

    @property
    def middle(self) -> Box:
        """What a window speaks for: so that windows side by side join."""
        quarter = self.box.width // 4, self.box.height // 4
        return Box(
            self.box.x + quarter[0],
            self.box.y + quarter[1],
            2 * quarter[0] + 1,
            2 * quarter[1] + 1,
        )


def _sharpness(
    slide: Slide,
    overview: _Overview,
    side: int,
    where: Mask,
) -> list[_Window]:
    """How sharp windows of tissue are, half a side apart.

    Args:
        slide: to look at.
        overview: of the slide.
        side: of a window, px of the overview.
        where: (H, W) bool; windows that hold some of it are looked at.
    """
    step = side // 2
    height, width = overview.tissue.shape
    found = []
    for y in range(0, max(height - step, 1), step):
        for x in range(0, max(width - step, 1), step):
            box = Box(
                x,
                y,
                min(side, width - x),
                min(side, height - y),
            )
            if where[box.slices].any() and overview.tissue[box.slices].mean() >= _BLUR_TISSUE:
                found.append(_Window(box, _sharpness_of(slide, overview, box)))
    return found


def _sharpness_of(
    slide: Slide,
    overview: _Overview,
    window: Box,
) -> float:
    """How sharp a window of an overview is."""
    height, width = overview.tissue.shape
    factor = (slide.levels[0].width / width, slide.levels[0].height / height)
    mpp = max(_BLUR_MPP, slide.mpp)
    box = Box(
        round(window.x * factor[0]),
        round(window.y * factor[1]),
        max(round(window.width * factor[0]), 1),
        max(round(window.height * factor[1]), 1),
    )
    size = (
        max(round(box.width * slide.mpp / mpp), 1),
        max(round(box.height * slide.mpp / mpp), 1),
    )
    pixels = read_box(
        slide,
        box,
        size,
    )
    return float(BLUR.measure(pixels, mpp))


def _tears(slide: Slide, overview: _Overview) -> Mask:
    """Long narrow places of glass in tissue."""
    del slide
    narrow, wide = _TEAR_UM
    light = overview.density.mean(axis=2) < 0.12
    light &= overview.tissue
    opened = ndimage.binary_opening(light, _disc(narrow / 2 / overview.mpp))
    broad = ndimage.binary_opening(light, _disc(wide / 2 / overview.mpp))
    cracks = opened & ~ndimage.binary_dilation(broad, _disc(wide / 2 / overview.mpp))
    labels, _ = ndimage.label(cracks, np.ones((3, 3)))
    out = np.zeros(light.shape, bool)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        if place is None:
            continue
        length = max(part.stop - part.start for part in place) * overview.mpp
        if length >= _TEAR_LENGTH_UM:
            out[place] |= labels[place] == number
    return out


_FINDERS: Mapping[str, Callable[[Slide, _Overview], Mask]] = {
    "pen": _pen,
    "fold": _folds,
    "bubble": _bubbles,
    "blur": _blur,
    "tear": _tears,
}
