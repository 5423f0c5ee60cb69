"""Aspect buckets: tiles of other than square shape are cropped to one of a few shapes of nearly one
area.

A batch holds one shape, so it has one bucket. Tiles are never enlarged nor squeezed, since that
would change their scale: a tile stands in a bucket only if both sides suffice (the idea of buckets:
NovelAI 2022).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.errors import BadOption, BadRecipe
from ...core.errors.base import some

_STREAM = 0xB0C4E7
"""Keeps the choice of buckets apart from all else that is drawn from (seed, step)."""


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


def bucket_sides(area: int, multiple: int, *, longest: float = 2.0) -> list[tuple[int, int]]:
    """The shapes of buckets, (width, height) in pixels, narrowest first.

    For each side the other is the largest multiple that keeps within the area. With a shape stands
    the one turned by a quarter, so that a turned tile has a bucket too.

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
    sides: set[tuple[int, int]] = set()
    for long in range(multiple, area // multiple + 1, multiple):
        short = area // long // multiple * multiple
        if short <= long <= longest * short:
            sides |= {(long, short), (short, long)}
    # a square always is one, though it may be far below the area where the multiple is coarse
    square = math.isqrt(area) // multiple * multiple
    return sorted(sides | {(square, square)})


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
    sides = bucket_sides(area, multiple, longest=longest)
    aspects = [math.log(width / height) for width, height in sides]
    held: dict[tuple[int, int], list[int]] = defaultdict(list)
    small = []
    for index, (width, height) in enumerate(sizes):
        fits = [
            place for place, (wide, tall) in enumerate(sides) if wide <= width and tall <= height
        ]
        if not fits:
            small.append(index)
            continue
        aspect = math.log(width / height)
        # of two as near, the larger
        best = min(
            fits, key=lambda at: (round(abs(aspects[at] - aspect), 9), -math.prod(sides[at]), at)
        )
        held[sides[best]].append(index)
    if small:
        told = [names[index] if names else f"tile {index}" for index in small]
        told = [
            f"{name} ({sizes[i][0]} x {sizes[i][1]} px)"
            for name, i in zip(told, small, strict=True)
        ]
        most = min(_usable(sizes[index], multiple, longest) for index in small)
        fix = (
            f"lower the area to {most}" if most else f"take tiles of at least {multiple} px a side"
        )
        problem = (
            f"{len(small)} of {len(sizes)} tiles fit no bucket of {area} px in "
            f"multiples of {multiple} px"
        )
        raise BadRecipe("buckets", [f"{problem}: {some(told)}; {fix}, or leave them out"])
    return tuple(Bucket(*side, tuple(held[side])) for side in sides if side in held)


def bucket_shares(buckets: Sequence[Bucket], shares: Sequence[float]) -> NDArray[np.float64]:
    """(K) chance of each bucket: what the shares of its tiles come to, of all.

    Raises:
        BadRecipe: all shares are 0.
    """
    each = np.asarray(shares, np.float64)
    sums = np.array([each[list(bucket.tiles)].sum() for bucket in buckets])
    if not sums.sum() > 0:
        raise BadRecipe("buckets", [f"share is 0 for all of {len(each)} tiles"])
    return np.asarray(sums / sums.sum(), np.float64)


def bucket_of_step(
    buckets: Sequence[Bucket],
    shares: Sequence[float],
    *,
    seed: int,
    step: int,
) -> int:
    """Which bucket a step's batch is of, from (seed, step) alone: a resumed run draws as an
    unbroken one.

    Args:
        buckets: from `fill_buckets`.
        shares: (N) how often each tile is drawn, against the others.
        seed: of the run.
        step: of the run.

    Returns:
        Index of the bucket, drawn in proportion to its tiles' shares.
    """
    return _draw(bucket_shares(buckets, shares), _source(seed, step).random(1))[0]


def tiles_of_step(
    buckets: Sequence[Bucket],
    shares: Sequence[float],
    count: int,
    *,
    seed: int,
    step: int,
) -> tuple[Bucket, tuple[int, ...]]:
    """A step's bucket and `count` tiles of it, in proportion to their shares, some perhaps more
    than once.

    Over many steps each tile is drawn as often as its share says, whatever its bucket.
    """
    source = _source(seed, step)
    bucket = buckets[_draw(bucket_shares(buckets, shares), source.random(1))[0]]
    own = np.asarray(shares, np.float64)[list(bucket.tiles)]
    return bucket, tuple(
        bucket.tiles[place] for place in _draw(own / own.sum(), source.random(count))
    )


def _source(seed: int, step: int) -> np.random.Generator:
    return np.random.default_rng([seed, step, _STREAM])


def _draw(chances: NDArray[np.float64], numbers: NDArray[np.float64]) -> list[int]:
    """Places drawn with these chances by numbers in [0, 1); a place of no chance is never drawn."""
    ends = np.cumsum(chances)
    # scaled by the last end, since sums of floats may miss 1; and the product may be rounded up to
    # it
    places = np.searchsorted(ends, numbers * ends[-1], side="right")
    return [int(place) for place in np.minimum(places, np.flatnonzero(chances)[-1])]


def _usable(size: tuple[int, int], multiple: int, longest: float) -> int:
    """Pixels of the largest crop of a tile that could be a bucket, were the area less."""
    short, long = sorted(side // multiple * multiple for side in size)
    return short * min(long, int(short * longest) // multiple * multiple)
