"""Aspect buckets: tiles that are not square are cropped to one of a few shapes of about one area.

A batch holds one shape, so all its tiles are of one bucket. Tiles are never enlarged nor squeezed,
since that would change their scale: a tile can be in a bucket only if both sides suffice (the idea
of buckets: NovelAI 2022).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array
from ...core.errors import BadOption, BadRecipe
from ...core.errors.base import listed
from ...core.geometry import Size


@dataclass(frozen=True)
class Bucket:
    """One shape and the tiles that are cropped to it.

    Attributes:
        width, height: of the crop in pixels.
        tiles: indices of its tiles, rising.
    """

    width: int
    height: int
    tiles: tuple[int, ...]


def bucket_sides(
    area: int,
    multiple: int,
    *,
    longest: float = 2.0,
) -> list[Size]:
    """The shapes of buckets in pixels, narrowest first.

    For each side the other is the largest multiple that keeps within the area. Each shape is there
    turned by a quarter too, so that a turned tile has a bucket.

    Args:
        area: most pixels that a crop may have, e.g. 512 * 512.
        multiple: each side is one of this many pixels, e.g. 64.
        longest: most times that one side may be longer than the other.

    Raises:
        BadOption: a value is out of its range.
    """
    if multiple < 1:
        raise BadOption("multiple", multiple, "at least 1")
    if area < multiple**2:
        raise BadOption("area", area, f"at least {multiple**2} px, one multiple by one")
    if not 1 <= longest <= 8:
        raise BadOption("longest", longest, "in [1, 8]")
    sides: set[Size] = set()
    for long in range(multiple, area // multiple + 1, multiple):
        short = _largest_multiple(area // long, multiple)
        if short <= long <= longest * short:
            sides.add(Size(long, short))
            sides.add(Size(short, long))
    # a square always is one, though it may be far below the area where the multiple is coarse
    square = _largest_multiple(math.isqrt(area), multiple)
    sides.add(Size(square, square))
    return sorted(sides)


def _largest_multiple(length: int, multiple: int) -> int:
    """The largest multiple that is not longer."""
    return length // multiple * multiple


def fill_buckets(
    sizes: Sequence[tuple[int, int]],
    *,
    area: int,
    multiple: int,
    longest: float = 2.0,
    names: Sequence[str] = (),
) -> tuple[Bucket, ...]:
    """Put each tile into the bucket of the nearest aspect that it can be cropped to.

    Args:
        sizes: (N) (width, height) of each tile in pixels.
        area: as in `bucket_sides`.
        multiple: as in `bucket_sides`.
        longest: as in `bucket_sides`.
        names: (N) of the tiles, for a refusal; numbered where absent.

    Returns:
        The buckets that hold a tile, narrowest first; each tile is in one.

    Raises:
        BadRecipe: tiles are too small for every bucket; they are named.
        BadOption: a value is out of its range.
    """
    sides = bucket_sides(
        area,
        multiple,
        longest=longest,
    )
    tiles_of: dict[Size, list[int]] = defaultdict(list)
    too_small = []
    for index, (width, height) in enumerate(sizes):
        nearest = _nearest_bucket(Size(width, height), sides)
        if nearest is None:
            too_small.append(index)
        else:
            tiles_of[nearest].append(index)
    if too_small:
        problem = (
            f"{len(too_small)} of {len(sizes)} tiles fit no bucket of {area} px in "
            f"multiples of {multiple} px"
        )
        tiles = [_describe(index, sizes, names) for index in too_small]
        largest_area = min(_usable_area(sizes[index], multiple, longest) for index in too_small)
        remedy = f"take tiles of at least {multiple} px a side"
        if largest_area:
            remedy = f"lower the area to {largest_area}"
        raise BadRecipe("buckets", [f"{problem}: {listed(tiles)}; {remedy}, or leave them out"])
    buckets = []
    for side in sides:
        if side in tiles_of:
            bucket = Bucket(side.width, side.height, tuple(tiles_of[side]))
            buckets.append(bucket)
    return tuple(buckets)


def _nearest_bucket(tile: Size, sides: Sequence[Size]) -> Size | None:
    """The shape of the nearest aspect that a tile can be cropped to; of two as near, the larger.

    None where the tile is too small for all of them.
    """
    aspect = _log_aspect(tile)

    def rank(side: Size) -> tuple[float, int]:
        distance = abs(_log_aspect(side) - aspect)
        return round(distance, 9), -side.width * side.height

    fitting = []
    for side in sides:
        if side.width <= tile.width and side.height <= tile.height:
            fitting.append(side)
    return min(fitting, key=rank, default=None)


def _log_aspect(size: Size) -> float:
    return math.log(size.width / size.height)


def _describe(
    index: int,
    sizes: Sequence[tuple[int, int]],
    names: Sequence[str],
) -> str:
    name = names[index] if names else f"tile {index}"
    width, height = sizes[index]
    return f"{name} ({width} x {height} px)"


def bucket_shares(
    buckets: Sequence[Bucket],
    shares: Sequence[float],
) -> Float64Array:
    """(K) chance of each bucket: the sum of the shares of its tiles, of all.

    Raises:
        BadRecipe: all shares are 0.
    """
    each = np.asarray(shares, np.float64)
    sums = np.array([each[list(bucket.tiles)].sum() for bucket in buckets])
    total = sums.sum()
    if not total > 0:
        raise BadRecipe("buckets", [f"share is 0 for all of {len(each)} tiles"])
    return np.asarray(sums / total, np.float64)


def _usable_area(
    size: tuple[int, int],
    multiple: int,
    longest: float,
) -> int:
    """Pixels of the largest crop of a tile that could be a bucket, were the area less."""
    short = _largest_multiple(min(size), multiple)
    long = _largest_multiple(max(size), multiple)
    allowed = _largest_multiple(int(short * longest), multiple)
    return short * min(long, allowed)
