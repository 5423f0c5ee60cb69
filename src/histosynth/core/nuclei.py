"""Nuclei: where they stand and of which kind. The whole of what `global` is told.

(0, 0) is the centre of the top-left pixel, so a tile of width W spans [-0.5, W - 0.5) in x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BadNuclei, MissingScale, UnknownClasses
from .geometry import Box, Size
from .tile import read_only

MAX_PER_MM2 = 60_000.0
"""Densest tissue taken: tightly packed lymphocytes reach about 20,000 per mm2."""

ANY = "any"
"""Class name of a nucleus whose kind is not told: what a detector without classes gives."""
ANY_CLASS = 255
"""Its index."""


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Nuclei:
    """N centroids with a class each, in the frame of one tile.

    Attributes:
        xy: (N, 2) float32, pixels, columns x and y, each in [-0.5, side - 0.5).
        class_ids: (N,) uint8, index into `classes`, or `ANY_CLASS` where the kind is not told.
        classes: class names.
        size: (width, height) of the tile in pixels.
        mpp: micrometres per pixel.
    """

    xy: NDArray[np.float32]
    class_ids: NDArray[np.uint8]
    classes: tuple[str, ...]
    size: Size
    mpp: float

    def __post_init__(self) -> None:
        if self.xy.ndim != 2 or self.xy.shape[1] != 2 or len(self.xy) != len(self.class_ids):
            raise ValueError(
                f"xy {self.xy.shape} and class_ids {self.class_ids.shape} do not belong together"
            )
        known = (self.class_ids < len(self.classes)) | (self.class_ids == ANY_CLASS)
        if not known.all():
            raise ValueError(
                f"class_ids holds {self.class_ids[~known][0]}, but there are "
                f"{len(self.classes)} classes"
            )
        object.__setattr__(self, "size", Size(*self.size))
        object.__setattr__(self, "xy", read_only(self.xy.astype(np.float32)))
        object.__setattr__(self, "class_ids", read_only(self.class_ids.astype(np.uint8)))

    def __len__(self) -> int:
        return len(self.xy)

    @classmethod
    def of(
        cls,
        xy: ArrayLike,
        names: Sequence[str],
        *,
        size: tuple[int, int],
        mpp: float | None,
        classes: Sequence[str],
    ) -> Nuclei:
        """Checked nuclei from coordinates (N, 2) and class names (N).

        Raises:
            BadNuclei: a coordinate is not a number or lies outside the tile, or there are too many.
            UnknownKinds: a name is not among `classes`.
            MissingScale: `mpp` is missing or not positive.
        """
        if mpp is None or not mpp > 0:
            raise MissingScale("the set of nuclei")
        unknown = sorted(set(names) - {*classes, ANY})
        if unknown:
            raise UnknownClasses(unknown, classes)
        with np.errstate(over="ignore"):
            points = np.asarray(xy, dtype=np.float32)
        points = points.reshape(0, 2) if points.size == 0 else points
        if points.ndim != 2 or points.shape[1] != 2:
            raise BadNuclei(
                f"Centroids come as (N, 2), not as {points.shape}.", "Give columns x and y."
            )
        _check_points(points, size, mpp)
        index = {ANY: ANY_CLASS, **{name: i for i, name in enumerate(classes)}}
        class_ids = np.array([index[name] for name in names], dtype=np.uint8)
        return cls(points.copy(), class_ids, tuple(classes), Size(*size), mpp)

    @classmethod
    def none(
        cls,
        size: tuple[int, int],
        mpp: float,
        classes: Sequence[str],
    ) -> Nuclei:
        """A tile known to hold no nucleus."""
        return cls(
            np.zeros((0, 2), np.float32),
            np.zeros(0, np.uint8),
            tuple(classes),
            Size(*size),
            mpp,
        )

    def crop(self, box: Box) -> Nuclei:
        """The nuclei inside `box`, in its frame."""
        shifted = self.xy - np.array([box.x, box.y], np.float32)
        limit = np.array([box.width, box.height], np.float32) - 0.5
        inside = np.all((shifted >= -0.5) & (shifted < limit), axis=1)
        return replace(
            self,
            xy=shifted[inside],
            class_ids=self.class_ids[inside],
            size=box.size,
        )

    def shift(self, dx: float, dy: float) -> Nuclei:
        """All moved by (dx, dy) px; those that leave the tile are dropped."""
        moved = replace(self, xy=self.xy + np.array([dx, dy], np.float32))
        return moved.crop(Box(0, 0, *self.size))

    def pose(self, index: int) -> Nuclei:
        """The tile turned: `index` 0..7, a quarter turn `index % 4` times, then mirrored if >= 4.

        The same pose as `np.rot90(pixels, index % 4)`, then `[:, ::-1]`.
        """
        x = self.xy[:, 0].copy()
        y = self.xy[:, 1].copy()
        width, height = self.size
        for _ in range(index % 4):
            x, y, width, height = y, width - 1 - x, height, width
        if index >= 4:
            x = width - 1 - x
        return replace(self, xy=np.stack([x, y], 1).astype(np.float32), size=Size(width, height))

    def to_mpp(self, mpp: float, size: tuple[int, int]) -> Nuclei:
        """The same nuclei on a tile resampled to `mpp` and `size` (px), edges kept on edges."""
        scale = np.array(size, np.float32) / np.array(self.size, np.float32)
        return replace(
            self,
            xy=((self.xy + 0.5) * scale - 0.5).astype(np.float32),
            size=Size(*size),
            mpp=mpp,
        )

    def concat(self, other: Nuclei) -> Nuclei:
        """Both sets on one tile. They must share kinds, size and scale."""
        if (self.classes, self.size, self.mpp) != (other.classes, other.size, other.mpp):
            raise ValueError("nuclei of different kinds, sizes or scales cannot be joined")
        return replace(
            self,
            xy=np.concatenate([self.xy, other.xy]),
            class_ids=np.concatenate([self.class_ids, other.class_ids]),
        )

    def where(self, keep: NDArray[np.bool_]) -> Nuclei:
        """The nuclei marked True in `keep` (N)."""
        return replace(self, xy=self.xy[keep], class_ids=self.class_ids[keep])

    def without_class(self, which: NDArray[np.bool_]) -> Nuclei:
        """The same with the kind of those marked True in `which` (N) no longer told."""
        return replace(self, class_ids=np.where(which, np.uint8(ANY_CLASS), self.class_ids))

    def names(self) -> list[str]:
        """The class name of each nucleus."""
        return [
            ANY if class_ids == ANY_CLASS else self.classes[class_ids]
            for class_ids in self.class_ids
        ]

    def counts(self) -> dict[str, int]:
        """How many there are of each kind; `any` only if there are such."""
        totals = np.bincount(self.class_ids, minlength=ANY_CLASS + 1)
        told = {name: int(totals[index]) for index, name in enumerate(self.classes)}
        return {**told, ANY: int(totals[ANY_CLASS])} if totals[ANY_CLASS] else told

    def rasterize(self, *, cell: int = 2, sigma_px: float = 2.0) -> NDArray[np.float32]:
        """One Gaussian splat a nucleus, one channel a kind, on a grid of `cell` px.

        A splat's peak is 1 where it falls on a cell's centre; splats are sampled at their exact
        sub-pixel place, so that a shift of the nuclei is a shift of the map. Where splats of one
        kind overlap the larger value stands.

        Returns:
            (K, ceil(H / cell), ceil(W / cell)) float32 in [0, 1].
        """
        width, height = (-(-side // cell) for side in self.size)
        out = np.zeros((len(self.classes), height, width), np.float32)
        # centre of cell j is at pixel cell * j + (cell - 1) / 2
        at = (self.xy - (cell - 1) / 2) / cell
        radius = int(np.ceil(3 * sigma_px / cell))
        for (x, y), class_ids in zip(at, self.class_ids, strict=True):
            left = max(round(float(x)) - radius, 0)
            top = max(round(float(y)) - radius, 0)
            right = round(float(x)) + radius + 1
            bottom = round(float(y)) + radius + 1
            channels, peak = (
                (slice(None), 1 / len(out))
                if class_ids == ANY_CLASS
                else (slice(class_ids, class_ids + 1), 1.0)
            )
            patch = out[channels, top:bottom, left:right]
            dx = np.arange(left, left + patch.shape[2]) - x
            dy = np.arange(top, top + patch.shape[1]) - y
            scale = -((cell / sigma_px) ** 2) / 2
            np.maximum(
                patch,
                np.float32(peak) * np.exp(scale * dy**2)[:, None] * np.exp(scale * dx**2),
                out=patch,
            )
        return out


def map_classes(names: Sequence[str], mapping: Mapping[str, str]) -> list[str]:
    """Names after a user's class map; names not in it stay as they are."""
    return [mapping.get(name, name) for name in names]


def _check_points(points: NDArray[np.float32], size: tuple[int, int], mpp: float) -> None:
    width, height = size
    area_mm2 = width * height * (mpp / 1000) ** 2
    most = max(int(MAX_PER_MM2 * area_mm2), 16)
    if len(points) > most:
        raise BadNuclei(
            f"{len(points):,} nuclei on a tile of {width} x {height} px at {mpp:g} um/px are "
            f"{len(points) / area_mm2:,.0f} per mm2; tissue holds at most {MAX_PER_MM2:,.0f}.",
            "Check the scale (--mpp) and the coordinates' unit (pixels of the tile).",
        )
    broken = ~np.isfinite(points).all(axis=1)
    if broken.any():
        first = int(np.flatnonzero(broken)[0])
        raise BadNuclei(
            f"{int(broken.sum())} of {len(points)} centroids are not numbers (first: row "
            f"{first + 1}).",
            "Remove those rows.",
        )
    outside = ((points < -0.5) | (points >= np.array([width, height], np.float32) - 0.5)).any(
        axis=1
    )
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        x, y = (float(value) for value in points[first])
        raise BadNuclei(
            f"{int(outside.sum())} of {len(points)} centroids lie outside the tile of {width} "
            f"x {height} px "
            f"(first: row {first + 1} at x={x:g}, y={y:g}).",
            "Give a larger --size, or coordinates in pixels of this tile.",
        )
