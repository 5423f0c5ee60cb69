"""Which part of a layout becomes a tile: `--size` and `--crop`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ..core.errors import BadOption
from ..core.geometry import Box, Size, parse_size

if TYPE_CHECKING:
    from ..model.info import BundleInfo

AUTO = "auto"
CENTRE: Final = "centre"
GRID: Final = "grid"
MAX_GRID_TILES = 10_000
"""Of one file."""
_POINT = re.compile(r"\s*(\d{1,7})\s*,\s*(\d{1,7})\s*")
Crop = Literal["centre", "grid"] | tuple[int, int] | None


@dataclass(frozen=True)
class TileSize:
    """Size and place of the tiles of a layout.

    Attributes:
        size: of all tiles, px; None: that of each layout's own picture.
        crop: None: the tile is the whole layout. Else nuclei outside the tile are left out, and the
            tile lies in the centre, begins at (x, y) px, or is one of a grid from the corner.
    """

    size: Size | None = None
    crop: Crop = None

    @classmethod
    def of(cls, size: str, crop: str | None) -> TileSize:
        """The values of `--size` and `--crop`.

        Raises:
            BadOption: one that cannot be used, or that does not go with the other.
        """
        sides = None if size.strip().lower() == AUTO else parse_size(size)
        place = _parse_crop(crop)
        if place == GRID and sides is None:
            raise BadOption(
                "--crop",
                GRID,
                "given together with --size in pixels",
            )
        return cls(sides, place)

    @property
    def needs_own_size(self) -> bool:
        """Whether the size of each layout's own picture must be known."""
        return self.size is None or self.crop in (CENTRE, GRID)

    def boxes(self, own: Size | None, info: BundleInfo) -> list[Box]:
        """The tiles of one layout, px of its picture.

        Args:
            own: size of its picture; None where that is not needed.
            info: of the bundle, whose sizes a tile of a cropped layout gets.

        Raises:
            BadOption: the grid has too many tiles, or none.
        """
        if self.crop is None:
            size = self.size or _known(own)
            return [
                Box(
                    0,
                    0,
                    *size,
                )
            ]
        if isinstance(self.crop, tuple):
            x, y = self.crop
            size = self.size or _largest(
                _behind(
                    _known(own),
                    x,
                    y,
                ),
                info,
            )
            return [
                Box(
                    x,
                    y,
                    *size,
                )
            ]
        whole = _known(own)
        size = self.size or _largest(whole, info)
        if self.crop == GRID:
            return _grid_boxes(whole, size)
        x = (whole.width - size.width) // 2
        y = (whole.height - size.height) // 2
        if min(x, y) < 0:
            raise BadOption(
                "--size",
                f"{size.width}x{size.height}",
                _within(whole),
            )
        return [
            Box(
                x,
                y,
                *size,
            )
        ]


def _parse_crop(text: str | None) -> Crop:
    if text is None:
        return None
    word = text.strip().lower()
    if word == GRID:
        return GRID
    if word in (CENTRE, "center"):
        return CENTRE
    found = _POINT.fullmatch(text)
    if found is None:
        raise BadOption(
            "--crop",
            text or "empty",
            f"{CENTRE}, {GRID}, or X,Y in whole pixels",
        )
    return int(found.group(1)), int(found.group(2))


def _known(own: Size | None) -> Size:
    if own is None:
        raise ValueError("the size of the layout's picture is needed")
    return own


def _behind(
    size: Size,
    x: int,
    y: int,
) -> Size:
    """What is left of a picture from (x, y) px on."""
    if x >= size.width or y >= size.height:
        allowed = f"inside of the picture of {size.width}x{size.height} px"
        raise BadOption("--crop", f"{x},{y}", allowed)
    return Size(size.width - x, size.height - y)


def _largest(size: Size, info: BundleInfo) -> Size:
    """The largest size that the bundle can sample and that fits; checked by the condition."""
    multiple = info.multiple_px
    width, height = (min(side, info.most_px) // multiple * multiple for side in size)
    return Size(max(width, 1), max(height, 1))


def _within(whole: Size) -> str:
    return f"at most {whole.width}x{whole.height} px, the size of its picture"


def _grid_boxes(whole: Size, size: Size) -> list[Box]:
    """Tiles next to each other from the corner; what is left at the right and below is cut off."""
    columns = whole.width // size.width
    rows = whole.height // size.height
    if not columns * rows:
        raise BadOption(
            "--size",
            f"{size.width}x{size.height}",
            _within(whole),
        )
    if columns * rows > MAX_GRID_TILES:
        raise BadOption(
            "--crop",
            f"a grid of {columns * rows:,} tiles",
            f"one of at most {MAX_GRID_TILES:,}",
        )
    boxes = []
    for row in range(rows):
        for column in range(columns):
            boxes.append(
                Box(
                    column * size.width,
                    row * size.height,
                    *size,
                )
            )
    return boxes
