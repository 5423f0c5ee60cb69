"""One piece of work: its surroundings are read at the bundle's scale, and its regions painted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from ..core.errors import BadRegions
from ..core.geometry import Box, Size
from ..core.nuclei import Nuclei
from ..core.slide_layout import SlideLayout
from ..core.tile import Mask, Pixels
from ..model.bundle import Bundle
from ..sampling.painter import SamplingSettings
from ..slides import read_box
from .canvas import Canvas, paint_canvas
from .glass import with_glass
from .nuclei import nuclei_around
from .patches import Patch, PatchedSlide
from .plan import MendPiece, MendPlan

CONTEXT_PX = 192
"""Tissue around a piece that is read, px of the bundle's scale."""
_LEAST_PX = 256
_SAME_SCALE = 0.1
"""Scales that differ by less are painted at the slide's own."""
_LEAST_KNOWN = 0.1


@dataclass(frozen=True, eq=False)
class PieceWork:
    """What all pieces of a slide share.

    Attributes:
        plan: of the slide.
        bundle: the networks.
        settings: how to sample.
        seed: of all that is drawn.
        nuclei: given ones of the slide; None: they are detected around and drawn inside.
    """

    plan: MendPlan
    bundle: Bundle
    settings: SamplingSettings
    seed: int
    nuclei: SlideLayout | None


def painted_scale(mpp: float, bundle_mpp: float) -> float:
    """Level-0 pixels per pixel that is painted.

    Args:
        mpp: of the slide.
        bundle_mpp: of the bundle.
    """
    factor = bundle_mpp / mpp
    return 1.0 if abs(factor - 1) <= _SAME_SCALE else factor


def paint_piece(
    work: PieceWork,
    slide: PatchedSlide,
    piece: MendPiece,
) -> Patch:
    """Paint a piece; what earlier pieces painted is known tissue.

    Args:
        work: what all pieces share.
        slide: with the patches of earlier pieces.
        piece: what to paint.

    Raises:
        BadRegions: too little known tissue is around.
    """
    factor = painted_scale(slide.mpp, work.bundle.info.mpp)
    box = canvas_box(piece.box, work.plan, factor)
    unknown = work.plan.mask(box)
    for patch in slide.patches.touching(box):
        common = patch.box.intersect(box)
        if common is not None:
            own = patch.mask[common.shift(-patch.box.x, -patch.box.y).slices]
            unknown[common.shift(-box.x, -box.y).slices] &= ~own
    if (~unknown).mean() < _LEAST_KNOWN:
        raise BadRegions(
            f"Around ({piece.box.x:,}, {piece.box.y:,}) px only {(~unknown).mean():.0%} of "
            f"{box.width:,} x {box.height:,} px is known tissue, less than {_LEAST_KNOWN:.0%}.",
            "Draw only what is spoilt, or leave this region out.",
        )
    size = Size(round(box.width / factor), round(box.height / factor))
    pixels = read_box(slide, box, size)
    painted = _painted(
        work,
        pixels,
        _resized_mask(unknown, size),
        (box, factor),
    )
    full = painted
    if size != box.size:
        image = Image.fromarray(painted).resize((box.width, box.height), Image.Resampling.LANCZOS)
        full = np.asarray(image)
    inside = piece.box.shift(-box.x, -box.y).slices
    return Patch(piece.box, full[inside].copy(), piece.mask)


def canvas_box(
    box: Box,
    plan: MendPlan,
    factor: float,
) -> Box:
    """A piece with the tissue around it, inside the slide; its corner lies on the grid."""
    spans = []
    ends = ((box.x, box.width, 0), (box.y, box.height, 1))
    for start, length, axis in ends:
        margin = CONTEXT_PX * factor
        margin = max(margin, (_LEAST_PX * factor - length) / 2)
        grid = plan.grid[axis]
        first = max(math.floor((start - margin) / grid) * grid, 0)
        last = min(math.ceil(start + length + margin), plan.size[axis])
        spans.append((first, last - first))
    return Box(
        spans[0][0],
        spans[1][0],
        spans[0][1],
        spans[1][1],
    )


def _resized_mask(mask: Mask, size: Size) -> Mask:
    """Pixels of another size that hold any of a mask."""
    if mask.shape == size.shape:
        return mask
    levels = Image.fromarray(np.where(mask, 255, 0).astype(np.uint8))
    return np.asarray(levels.resize((size.width, size.height), Image.Resampling.BOX)) > 0


def _painted(
    work: PieceWork,
    pixels: Pixels,
    mask: Mask,
    place: tuple[Box, float],
) -> Pixels:
    """The canvas with glass and tissue in its mask."""
    info = work.bundle.info
    mpp = info.mpp
    filled, tissue = with_glass(
        pixels,
        mask,
        mpp=mpp,
        seed=work.seed,
    )
    if not tissue.any():
        return filled
    if work.nuclei is not None:
        nuclei: Nuclei | None = _given(work.nuclei, place, _size(mask), info.classes, mpp)
    else:
        nuclei = nuclei_around(
            filled,
            tissue,
            mpp=mpp,
            classes=info.classes,
            seed=work.seed,
        )
    return paint_canvas(
        work.bundle,
        Canvas(filled, tissue, nuclei),
        work.settings,
        work.seed,
    )


def _size(mask: Mask) -> Size:
    height, width = mask.shape
    return Size(width, height)


def _given(
    layout: SlideLayout,
    place: tuple[Box, float],
    size: Size,
    classes: Sequence[str],
    mpp: float,
) -> Nuclei:
    """Given nuclei of a canvas, in its frame and scale."""
    box, factor = place
    nuclei = layout.window(box)
    limits = np.array(size, np.float32) - 0.51
    xy = ((nuclei.xy + 0.5) / np.float32(factor) - 0.5).clip(-0.5, limits)
    return replace(
        nuclei,
        xy=xy.astype(np.float32),
        size=size,
        mpp=mpp,
        classes=tuple(classes),
    )
