"""Sizes and boxes in pixels. Pixel (0, 0) is centred at (0.0, 0.0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .errors import BadOption, BadSize

_MAX_DIGITS = 7
"""Of a side that is typed in; more would not be a picture."""
_BOX_NUMBERS = 4


class Size(NamedTuple):
    """Width and height in pixels; an array's shape is (height, width)."""

    width: int
    height: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), as arrays have it."""
        return self.height, self.width


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle [x, x + width) x [y, y + height), whole pixels of level 0."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width <= 0 or self.height <= 0:
            raise ValueError(f"a box needs a positive size, not {self.width} x {self.height}")

    @property
    def right(self) -> int:
        """First column that is no longer inside."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """First row that is no longer inside."""
        return self.y + self.height

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.width, self.height)

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns), to index an array (H, W, ...)."""
        rows = slice(self.y, self.bottom)
        columns = slice(self.x, self.right)
        return rows, columns

    def shift(self, dx: int, dy: int) -> Box:
        """A box of the same size, moved by (dx, dy)."""
        return Box(
            self.x + dx,
            self.y + dy,
            self.width,
            self.height,
        )

    def intersect(self, other: Box) -> Box | None:
        """The part that two boxes share, or None."""
        x = max(self.x, other.x)
        y = max(self.y, other.y)
        width = min(self.right, other.right) - x
        height = min(self.bottom, other.bottom) - y
        if width <= 0 or height <= 0:
            return None
        return Box(x, y, width, height)


def parse_size(text: str) -> Size:
    """`"512"` or `"512x384"` as a size in pixels.

    Raises:
        BadOption: it is neither.
    """
    sides = [_parse_side(part) for part in text.lower().split("x")]
    if len(sides) not in (1, 2) or 0 in sides:
        raise BadOption("--size", text, "W or WxH in whole pixels, e.g. 512 or 512x384")
    return Size(sides[0], sides[-1])


def parse_box(option: str, text: str) -> Box:
    """`"X,Y,W,H"` as a box in pixels.

    Raises:
        BadOption: it is none.
    """
    parts = text.split(",")
    digits = [part.strip() for part in parts]
    are_numbers = all(part.isascii() and part.isdigit() for part in digits)
    if len(parts) == _BOX_NUMBERS and are_numbers and max(map(len, digits)) <= _MAX_DIGITS:
        x, y, width, height = map(int, digits)
        if width and height:
            return Box(x, y, width, height)
    raise BadOption(option, text, "X,Y,W,H in whole pixels, e.g. 4096,4096,1024,1024")


def _parse_side(text: str) -> int:
    """A side in pixels; 0 where the text is no whole number."""
    digits = text.strip()
    if len(text) > _MAX_DIGITS or not digits.isascii() or not digits.isdigit():
        return 0
    return int(digits)


def check_size(
    width: int,
    height: int,
    *,
    min_px: int,
    max_px: int,
    multiple: int,
) -> None:
    """Refuse sizes that cannot be generated in one pass.

    Args:
        width: of the tile.
        height: of the tile.
        min_px: least side.
        max_px: largest side.
        multiple: each side must be a multiple of this.

    Raises:
        BadSize: naming the nearest size that can.
    """
    for side in (width, height):
        if side % multiple or not min_px <= side <= max_px:
            raise BadSize(width, height, min_px, max_px, multiple)
