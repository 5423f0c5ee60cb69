"""Which views a batch is cut from, and in which shape: squares, or one bucket of aspects a
batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .buckets import Bucket, bucket_shares, fill_buckets
from .views import LatentView


class CropPlan(Protocol):
    """What is drawn: see `DiffusionPlan`."""

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
    """What a batch is cut to.

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
        self.of_tiles = views
        self.plan = plan
        self.shares = np.array([each[0].share for each in views])
        self.smallest = np.array([min(min(view.size) for view in each) for each in views])
        self.flat = [view for each in views for view in each]
        self.flat_shares = [view.share / len(each) for each in views for view in each]
        self.buckets: dict[int, tuple[Bucket, ...]] = {}
        if plan.longest > 1:
            sizes = [view.size for view in self.flat]
            for side, share in zip(plan.crops, plan.crop_shares, strict=True):
                if share:
                    self.buckets[side] = fill_buckets(
                        sizes,
                        area=side * side,
                        multiple=grid_px,
                        longest=plan.longest,
                    )

    def sample_shape(self, random: np.random.Generator) -> CropShape:
        """The shape of a batch: a side by its share, and of its buckets one by what its views are
        drawn.
        """
        side = int(random.choice(self.plan.crops, p=np.array(self.plan.crop_shares)))
        if side not in self.buckets:
            return CropShape(side, side, side)
        buckets = self.buckets[side]
        bucket = buckets[
            int(random.choice(len(buckets), p=bucket_shares(buckets, self.flat_shares)))
        ]
        return CropShape(side, bucket.width, bucket.height, bucket)

    def sample_views(
        self,
        random: np.random.Generator,
        shape: CropShape,
        count: int,
    ) -> list[LatentView]:
        """So many views to cut that shape from, by their shares."""
        if shape.bucket is None:
            shares = self.shares * (self.smallest >= shape.side)
            tiles = random.choice(len(self.of_tiles), count, p=shares / shares.sum())
            return [
                self.of_tiles[tile][int(random.integers(len(self.of_tiles[tile])))]
                for tile in tiles
            ]
        rows = np.array(shape.bucket.tiles)
        each = np.array(self.flat_shares)[rows]
        return [self.flat[row] for row in random.choice(rows, count, p=each / each.sum())]
