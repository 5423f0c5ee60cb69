"""Boxes in pixels. Pixel (0, 0) is centred at (0.0, 0.0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from .errors import BadOption, BadSize


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

    def shift(self, dx: int, dy: int) -> Box:
        """The same box elsewhere."""
        return Box(self.x + dx, self.y + dy, self.width, self.height)

    def intersect(self, other: Box) -> Box | None:
        """What two boxes share, or None."""
        x = max(self.x, other.x)
        y = max(self.y, other.y)
        right = min(self.right, other.right)
        bottom = min(self.bottom, other.bottom)
        return Box(x, y, right - x, bottom - y) if right > x and bottom > y else None

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns), to index an array (H, W, ...)."""
        return slice(self.y, self.bottom), slice(self.x, self.right)


def parse_size(text: str) -> Size:
    """`"512"` or `"512x384"` as a size in pixels.

    Raises:
        BadOption: it is neither.
    """
    parts = text.lower().split("x")
    plain = all(
        part.strip().isascii() and part.strip().isdigit() and len(part) < 8 for part in parts
    )
    if len(parts) not in (1, 2) or not plain or not all(int(part) for part in parts):
        raise BadOption("--size", text, "W or WxH in whole pixels, e.g. 512 or 512x384")
    width = int(parts[0])
    height = int(parts[-1])
    return Size(width, height)


def check_size(
    width: int,
    height: int,
    *,
    least: int,
    most: int,
    multiple: int,
) -> None:
    """Refuse sizes that cannot be painted in one pass.

    Raises:
        BadSize: naming the nearest size that can.
    """
    if any(side % multiple or not least <= side <= most for side in (width, height)):
        raise BadSize(width, height, least, most, multiple)
