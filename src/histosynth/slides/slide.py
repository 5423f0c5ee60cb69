"""What all readers of slides have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .scale import ScaleStatement

_MAX_SIDE_PX = 1_000_000
_MAX_SLIDE_PX = 10**11
"""About four times the largest scans there are; a header that states more is refused."""
_SHAPE_TOLERANCE = 0.01
_ROUNDED_PX = 2
MAX_READ_PX = 1 << 28
"""Most pixels of one read: more would not fit a worker's memory."""


@dataclass(frozen=True, slots=True)
class PyramidLevel:
    """One level of a pyramid: its size in its own pixels, and level-0 pixels per pixel of it."""

    width: int
    height: int
    downsample: float


@dataclass(frozen=True)
class SlideFacts:
    """What a file is, for the record and for people.

    Attributes:
        make: OpenSlide's name of the format, or that of another reader.
        compression: of its pixels; "" where the reader does not state it.
        scale: all that the file states of its scale.
    """

    make: str
    compression: str = ""
    scale: tuple[ScaleStatement, ...] = ()


class Slide(Protocol):
    """A slide. Safe to read from several threads at once; a forked process opens its own."""

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of level 0."""

    @property
    def levels(self) -> Sequence[PyramidLevel]:
        """From the finest, which is level 0, to the coarsest."""

    @property
    def reader(self) -> str:
        """Which library reads it, for the record."""

    @property
    def facts(self) -> SlideFacts:
        """What the file is, and what it states of its scale."""

    def read(
        self,
        level: int,
        box: Box,
    ) -> Pixels:
        """Whole pixels of a level, (H, W, 3) uint8 RGB; white outside the slide.

        Args:
            level: index into `levels`.
            box: in that level's own pixels; may reach outside.
        """

    def close(self) -> None:
        """Close the file."""


class NotThisReader(Exception):
    """A reader does not take a file; another may.

    Args:
        refusal: raised where no other reader is left; None: that of the reader before.
    """

    def __init__(self, refusal: UnreadableImage | None = None) -> None:
        super().__init__(str(refusal or "another reader's"))
        self.refusal = refusal


def on_glass(box: Box, size: PyramidLevel) -> tuple[Pixels, Box | None]:
    """A white picture of a box, and the part of the box that lies on the slide."""
    white: Pixels = np.full((box.height, box.width, 3), 255, np.uint8)
    return white, box.intersect(Box(0, 0, size.width, size.height))


def fitting_levels(sizes: Sequence[tuple[int, int]]) -> list[int]:
    """Which of a pyramid's levels show the same picture as the first, by their shape.

    A thumbnail or macro picture among the levels is left out: its places would be wrong.

    Args:
        sizes: (width, height) of each level, px.

    Returns:
        Indices; the first level always.
    """
    kept = [0] if sizes else []
    for index in range(1, len(sizes)):
        width, height = sizes[index]
        if min(width, height) < 1:
            continue
        across = sizes[0][0] / width
        down = sizes[0][1] / height
        # sides are rounded, or cut to whole px; some writers cut at each level anew
        allowed = _SHAPE_TOLERANCE + _ROUNDED_PX / min(width, height)
        if abs(across / max(down, 1e-9) - 1) <= allowed:
            kept.append(index)
    return kept


def check_levels(path: Path, levels: Sequence[tuple[int, int]]) -> tuple[PyramidLevel, ...]:
    """Sizes (width, height) of a pyramid as levels.

    Raises:
        UnreadableImage: a size that no scanner makes.
    """
    if not levels:
        raise UnreadableImage(path, "it holds no picture")
    full_width, full_height = levels[0]
    is_empty = min(full_width, full_height) < 1
    is_too_long = max(full_width, full_height) > _MAX_SIDE_PX
    if is_empty or is_too_long or full_width * full_height > _MAX_SLIDE_PX:
        size = f"{full_width:,} x {full_height:,} px"
        raise UnreadableImage(
            path, f"its header states {size}, over the limit of {_MAX_SLIDE_PX:,} px"
        )
    checked = []
    for width, height in levels:
        if width and height:
            # the mean of both sides' ratios, as each level's sides are rounded to whole pixels
            downsample = (full_width / width + full_height / height) / 2
            checked.append(PyramidLevel(width, height, downsample))
    return tuple(checked)
