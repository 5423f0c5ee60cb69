"""Which views a batch is cut from, and in which shape: squares, or one aspect bucket a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .buckets import Bucket, bucket_shares, fill_buckets
from .views import LatentView


class CropPlan(Protocol):
    """The part of a recipe that a sampler needs: see `DiffusionPlan`."""

    @property
    def crops(self) -> tuple[int, ...]:
        """Sides, px."""

    @property
    def crop_shares(self) -> tuple[float, ...]:
        """Share of each side."""

    @property
    def longest(self) -> float:
        """Largest aspect ratio of the shapes; 1: squares only."""


@dataclass(frozen=True)
class CropShape:
    """The shape of a batch's crops.

    Attributes:
        side: of the recipe's crop, px; other shapes have about its area.
        width, height: of the crops, px.
        bucket: views that are cut so; None: any that are large enough.
    """

    side: int
    width: int
    height: int
    bucket: Bucket | None = None


class BatchSampler:
    """Draws shapes and views, all randomness from the generator handed in.

    Args:
        views: of each tile.
        plan: crops, their shares and the longest aspect.
        grid_px: both sides of a crop are multiples of this.
    """

    def __init__(
        self,
        views: Sequence[Sequence[LatentView]],
        plan: CropPlan,
        *,
        grid_px: int,
    ) -> None:
        self._views_of_tiles = views
        self._plan = plan
        self._tile_shares = np.array([own[0].share for own in views])
        self._shortest_sides = np.array([_shortest_side(own) for own in views])
        self._views: list[LatentView] = []
        self._view_shares: list[float] = []
        for own in views:
            for view in own:
                self._views.append(view)
                self._view_shares.append(view.share / len(own))
        self._buckets: dict[int, tuple[Bucket, ...]] = {}
        if plan.longest > 1:
            self._buckets = self._fill_buckets(grid_px)

    def _fill_buckets(self, grid_px: int) -> dict[int, tuple[Bucket, ...]]:
        """By side of the recipe's crops that have a share."""
        plan = self._plan
        sizes = [view.size for view in self._views]
        buckets = {}
        for side, share in zip(plan.crops, plan.crop_shares, strict=True):
            if share:
                buckets[side] = fill_buckets(
                    sizes,
                    area=side * side,
                    multiple=grid_px,
                    longest=plan.longest,
                )
        return buckets

    def sample_shape(self, random: np.random.Generator) -> CropShape:
        """The shape of a batch: a side by its share, and one of its buckets by the shares of its
        views.
        """
        plan = self._plan
        side = int(random.choice(plan.crops, p=np.array(plan.crop_shares)))
        if side not in self._buckets:
            return CropShape(side, side, side)
        buckets = self._buckets[side]
        chances = bucket_shares(buckets, self._view_shares)
        bucket = buckets[int(random.choice(len(buckets), p=chances))]
        return CropShape(
            side,
            bucket.width,
            bucket.height,
            bucket,
        )

    def sample_views(
        self,
        random: np.random.Generator,
        shape: CropShape,
        count: int,
    ) -> list[LatentView]:
        """`count` views to cut that shape from, by their shares; some perhaps more than once."""
        if shape.bucket is None:
            return self._sample_tiles(random, shape.side, count)
        indices = np.array(shape.bucket.tiles)
        shares = np.array(self._view_shares)[indices]
        chosen = random.choice(indices, count, p=shares / shares.sum())
        return [self._views[index] for index in chosen]

    def _sample_tiles(
        self,
        random: np.random.Generator,
        side: int,
        count: int,
    ) -> list[LatentView]:
        """Views of tiles that are large enough: tiles by their shares, their views alike."""
        is_large = self._shortest_sides >= side
        shares = self._tile_shares * is_large
        tiles = random.choice(
            len(self._views_of_tiles),
            count,
            p=shares / shares.sum(),
        )
        chosen = []
        for tile in tiles:
            own = self._views_of_tiles[tile]
            chosen.append(own[int(random.integers(len(own)))])
        return chosen


def _shortest_side(views: Sequence[LatentView]) -> int:
    """Of a tile's views, px."""
    return min(min(view.size) for view in views)
