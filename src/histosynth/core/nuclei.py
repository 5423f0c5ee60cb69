"""Nuclei: their centroids and classes. In `global` they are all that the model is given.

(0, 0) is the centre of the top-left pixel, so a tile of width W spans [-0.5, W - 0.5) in x.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import BoolArray, Float32Array
from .errors import BadNuclei, MissingScale, UnknownClasses
from .geometry import Box, Size
from .line_of_facts import line_of_facts
from .nucleus_shapes import (
    checked_shapes,
    ellipse_maps,
    known_shapes,
    turned_shapes,
    unknown_shapes,
)
from .splats import raise_to_gaussians
from .tile import read_only

MAX_PER_MM2 = 60_000.0
"""Densest tissue taken: tightly packed lymphocytes reach about 20,000 per mm2."""
_MAX_ON_TINY_TILES = 16
"""So many nuclei are taken whatever the density."""

SHAPE_MAPS = 2
"""Maps of `rasterize_shapes`."""
SPLAT_SIGMA_PX = 2.0
"""Of the Gaussian at each nucleus of `rasterize`."""
SHAPE_SIGMA_PX = 2.0
"""Of that at each nucleus of `rasterize_shapes`."""

ANY = "any"
"""Class name of a nucleus whose class is not known: the only one of a detector without classes."""
ANY_CLASS = 255
"""Its index."""


@dataclass(
    frozen=True,
    slots=True,
    eq=False,
)
class Nuclei:
    """N centroids with a class each, in the frame of one tile; notebooks show them as a picture.

    Attributes:
        xy: (N, 2) float32, pixels, columns x and y, each in [-0.5, side - 0.5).
        class_ids: (N,) uint8, index into `classes`, or `ANY_CLASS` where the class is not known.
        classes: class names.
        size: of the tile in pixels; a plain (width, height) is taken too.
        mpp: micrometres per pixel.
        shapes: (N, 3) float32 area, elongation and angle, see `nucleus_shapes`; None: none is
            known.
    """

    xy: Float32Array
    class_ids: NDArray[np.uint8]
    classes: tuple[str, ...]
    size: Size
    mpp: float
    shapes: Float32Array | None = None

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
        if self.shapes is not None and self.shapes.shape != (len(self.xy), 3):
            raise ValueError(f"shapes {self.shapes.shape} do not belong to {len(self.xy)} nuclei")
        xy = self.xy.astype(np.float32)
        class_ids = self.class_ids.astype(np.uint8)
        object.__setattr__(self, "size", Size(*self.size))
        object.__setattr__(self, "xy", read_only(xy))
        object.__setattr__(
            self,
            "class_ids",
            read_only(class_ids),
        )
        if self.shapes is not None:
            shapes = self.shapes.astype(np.float32)
            object.__setattr__(self, "shapes", read_only(shapes))

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        width, height = self.size
        counts = [f"{count} {name}" for name, count in self.counts().items()]
        found = f"{len(self)} on {width} x {height} px at {self.mpp:g} um/px"
        return line_of_facts("Nuclei", [f"{found}: {', '.join(counts) or 'no classes'}"])

    def _repr_png_(self) -> bytes:
        """Dots by class with a legend, for notebooks."""
        from .nuclei_picture import nuclei_png

        return nuclei_png(self)

    @classmethod
    def of(
        cls,
        xy: ArrayLike,
        names: Sequence[str],
        *,
        size: tuple[int, int],
        mpp: float | None,
        classes: Sequence[str],
        shapes: ArrayLike | None = None,
    ) -> Nuclei:
        """Checked nuclei from coordinates (N, 2), class names (N) and shapes (N, 3) if known.

        Raises:
            BadNuclei: a coordinate is not a number or lies outside the tile, there are too many,
                or a shape is none of a nucleus.
            UnknownClasses: a name is not among `classes`.
            MissingScale: `mpp` is missing or not positive.
        """
        if mpp is None or not mpp > 0:
            raise MissingScale("the set of nuclei")
        unknown = sorted(set(names) - {*classes, ANY})
        if unknown:
            raise UnknownClasses(unknown, classes)
        points = _as_points(xy)
        _check_count(len(points), size, mpp)
        _check_finite(points)
        _check_inside(points, size)
        index_of = {name: index for index, name in enumerate(classes)}
        index_of = {ANY: ANY_CLASS, **index_of}
        class_ids = np.array([index_of[name] for name in names], dtype=np.uint8)
        if shapes is not None:
            width, height = size
            shapes = checked_shapes(
                shapes,
                len(points),
                tile_um2=width * height * mpp**2,
            )
        return cls(
            points,
            class_ids,
            tuple(classes),
            Size(*size),
            mpp,
            shapes,
        )

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
        """The nuclei inside `box`, in its frame.

        A nucleus on the border of two boxes that touch is inside the right or lower one only.
        """
        corner = np.array([box.x, box.y], np.float32)
        shifted = self.xy - corner
        inside = _is_inside(shifted, box.size)
        return replace(
            self,
            xy=shifted[inside],
            class_ids=self.class_ids[inside],
            size=box.size,
            shapes=self._shapes_of(inside),
        )

    def shift(self, dx: float, dy: float) -> Nuclei:
        """All moved by (dx, dy) px; those that leave the tile are dropped."""
        step = np.array([dx, dy], np.float32)
        moved = replace(self, xy=self.xy + step)
        return moved.crop(Box(0, 0, *self.size))

    def pose(self, index: int) -> Nuclei:
        """The tile turned: `index` 0..7, a quarter turn `index % 4` times, then mirrored if >= 4.

        The same pose as `np.rot90(pixels, index % 4)`, then `[:, ::-1]`.
        """
        x = self.xy[:, 0].copy()
        y = self.xy[:, 1].copy()
        width, height = self.size
        for _ in range(index % 4):
            x, y = y, width - 1 - x
            width, height = height, width
        if index >= 4:
            x = width - 1 - x
        xy = np.stack([x, y], 1)
        shapes = self.shapes
        if shapes is not None:
            shapes = turned_shapes(shapes, index % 4, mirrored=index >= 4)
        return replace(
            self,
            xy=xy,
            size=Size(width, height),
            shapes=shapes,
        )

    def to_mpp(
        self,
        mpp: float,
        size: tuple[int, int],
    ) -> Nuclei:
        """The same nuclei on a tile resampled to `mpp` and `size` (px), edges kept on edges."""
        scale = np.array(size, np.float32) / np.array(self.size, np.float32)
        xy = (self.xy + 0.5) * scale - 0.5
        return replace(
            self,
            xy=xy.astype(np.float32),
            size=Size(*size),
            mpp=mpp,
        )

    def concat(self, other: Nuclei) -> Nuclei:
        """Both sets on one tile. They must share classes, size and scale."""
        own_frame = (self.classes, self.size, self.mpp)
        other_frame = (other.classes, other.size, other.mpp)
        if own_frame != other_frame:
            raise ValueError("nuclei of different classes, sizes or scales cannot be joined")
        return replace(
            self,
            xy=np.concatenate([self.xy, other.xy]),
            class_ids=np.concatenate([self.class_ids, other.class_ids]),
            shapes=self._joined_shapes(other),
        )

    def _joined_shapes(self, other: Nuclei) -> Float32Array | None:
        if self.shapes is None and other.shapes is None:
            return None
        return np.concatenate([self.shapes_or_unknown(), other.shapes_or_unknown()])

    def _shapes_of(self, keep: BoolArray) -> Float32Array | None:
        return None if self.shapes is None else self.shapes[keep]

    def shapes_or_unknown(self) -> Float32Array:
        """(N, 3), rows of nan where none is known."""
        return unknown_shapes(len(self)) if self.shapes is None else self.shapes

    def where(self, keep: BoolArray) -> Nuclei:
        """The nuclei marked True in `keep` (N)."""
        return replace(
            self,
            xy=self.xy[keep],
            class_ids=self.class_ids[keep],
            shapes=self._shapes_of(keep),
        )

    def without_shape(self, which: BoolArray) -> Nuclei:
        """The same nuclei; the shapes of those marked True in `which` (N) are not known."""
        shapes = self.shapes_or_unknown().copy()
        shapes[which] = np.nan
        return replace(self, shapes=shapes)

    def without_class(self, which: BoolArray) -> Nuclei:
        """The same nuclei; those marked True in `which` (N) become of class `any`."""
        class_ids = np.where(which, np.uint8(ANY_CLASS), self.class_ids)
        return replace(self, class_ids=class_ids)

    def names(self) -> list[str]:
        """The class name of each nucleus."""
        names = []
        for class_id in self.class_ids:
            names.append(ANY if class_id == ANY_CLASS else self.classes[class_id])
        return names

    def counts(self) -> dict[str, int]:
        """How many there are of each class; `any` only if there are such."""
        totals = np.bincount(self.class_ids, minlength=ANY_CLASS + 1)
        counts = {name: int(totals[index]) for index, name in enumerate(self.classes)}
        any_count = int(totals[ANY_CLASS])
        if any_count:
            counts[ANY] = any_count
        return counts

    def rasterize(
        self,
        *,
        cell: int = 2,
        sigma_px: float = SPLAT_SIGMA_PX,
    ) -> Float32Array:
        """One Gaussian splat a nucleus, one channel a class, on a grid of `cell` px.

        A splat's peak is 1 where it falls on a cell's centre; splats are sampled at their exact
        sub-pixel position, so that a shift of the nuclei is a shift of the map. Where splats of one
        class overlap the larger value is taken. A nucleus of class `any` is in all K channels, with
        a peak of 1 / K.

        Returns:
            (K, ceil(H / cell), ceil(W / cell)) float32 in [0, 1].
        """
        width = -(-self.size.width // cell)
        height = -(-self.size.height // cell)
        out = np.zeros((len(self.classes), height, width), np.float32)
        # centre of cell j is at pixel cell * j + (cell - 1) / 2
        centres = (self.xy - (cell - 1) / 2) / cell
        is_any = self.class_ids == ANY_CLASS
        for channel, grid in enumerate(out):
            here = is_any | (self.class_ids == channel)
            peaks = np.where(is_any[here], np.float32(1 / len(out)), np.float32(1))
            raise_to_gaussians(
                grid,
                centres[here],
                peaks,
                cell=cell,
                sigma_px=sigma_px,
            )
        return out

    def rasterize_shapes(self, *, cell: int = 2) -> Float32Array:
        """Ellipses of the nuclei whose shapes are known, and splats at their centroids, on a grid
        of `cell` px.

        Returns:
            (2, ceil(H / cell), ceil(W / cell)) float32 in [0, 1], see `ellipse_maps` and
            `rasterize`.
        """
        width = -(-self.size.width // cell)
        height = -(-self.size.height // cell)
        out = np.zeros((SHAPE_MAPS, height, width), np.float32)
        if self.shapes is None:
            return out
        known = known_shapes(self.shapes)
        out[0] = ellipse_maps(
            self.xy[known],
            self.shapes[known],
            mpp=self.mpp,
            grid=(height, width),
            cell=cell,
        )
        centres = (self.xy[known] - (cell - 1) / 2) / cell
        raise_to_gaussians(
            out[1],
            centres,
            np.ones(len(centres), np.float32),
            cell=cell,
            sigma_px=SHAPE_SIGMA_PX,
        )
        return out


def map_classes(
    names: Sequence[str],
    mapping: Mapping[str, str],
) -> list[str]:
    """Names after a user's class map; names not in it stay as they are."""
    return [mapping.get(name, name) for name in names]


def _is_inside(points: Float32Array, size: Size) -> BoolArray:
    """(N, 2) => (N,), whether points lie on a tile: each in [-0.5, side - 0.5)."""
    limit = np.array([size.width, size.height], np.float32) - 0.5
    inside = (points >= -0.5) & (points < limit)
    return np.asarray(inside.all(axis=1))


def _as_points(xy: ArrayLike) -> Float32Array:
    with np.errstate(over="ignore"):
        points = np.asarray(xy, dtype=np.float32)
    if points.size == 0:
        points = points.reshape(0, 2)
    if points.ndim != 2 or points.shape[1] != 2:
        raise BadNuclei(
            f"Centroids come as (N, 2), not as {points.shape}.", "Give columns x and y."
        )
    return points


def max_nuclei(area_mm2: float) -> int:
    """Most nuclei that are taken on a tile of that area."""
    return max(int(MAX_PER_MM2 * area_mm2), _MAX_ON_TINY_TILES)


def _check_count(
    count: int,
    size: tuple[int, int],
    mpp: float,
) -> None:
    width, height = size
    area_mm2 = width * height * (mpp / 1000) ** 2
    if count > max_nuclei(area_mm2):
        raise BadNuclei(
            f"{count:,} nuclei on a tile of {width} x {height} px at {mpp:g} um/px are "
            f"{count / area_mm2:,.0f} per mm2; tissue holds at most {MAX_PER_MM2:,.0f}.",
            "Check the scale (--mpp) and the coordinates' unit (pixels of the tile).",
        )


def _check_finite(points: Float32Array) -> None:
    broken = ~np.isfinite(points).all(axis=1)
    if broken.any():
        first = int(np.flatnonzero(broken)[0])
        raise BadNuclei(
            f"{int(broken.sum())} of {len(points)} centroids are not numbers (first: row "
            f"{first + 1}).",
            "Remove those rows.",
        )


def _check_inside(
    points: Float32Array,
    size: tuple[int, int],
) -> None:
    width, height = size
    outside = ~_is_inside(points, Size(width, height))
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        x, y = (float(value) for value in points[first])
        raise BadNuclei(
            f"{int(outside.sum())} of {len(points)} centroids lie outside the tile of {width} "
            f"x {height} px (first: row {first + 1} at x={x:g}, y={y:g}).",
            "Give a larger --size, or coordinates in pixels of this tile.",
        )
