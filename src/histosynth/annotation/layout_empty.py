"""Regions without tissue of a whole slide: outlines of a mask as GeoJSON, and masks of windows."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ..core.arrays import BoolArray
from ..core.geometry import Box
from ..core.tile import Mask
from .empty_regions import read_empty_regions
from .regions import Region, moved_region, region_mask, regions_geojson


class SlideEmptyRegions:
    """Polygons without tissue, of which the mask of any window is drawn.

    Args:
        regions: in px of the slide, from the first pixel's corner.
    """

    def __init__(self, regions: Sequence[Region]) -> None:
        self.regions = tuple(regions)
        boxes = []
        for region in self.regions:
            corners = np.array(region.outline)
            boxes.append([*corners.min(axis=0), *corners.max(axis=0)])
        self._boxes = np.array(boxes).reshape(
            -1,
            4,
        )

    @cached_property
    def digest(self) -> str:
        """Hex digest of the polygons."""
        return hashlib.sha256(regions_geojson(self.regions).encode()).hexdigest()

    def touches(self, box: Box) -> bool:
        """Whether a box may hold a part of a region."""
        return bool(self._touched(box.x, box.y, box.right, box.bottom).any())

    def cells(
        self,
        corner: tuple[float, float],
        shape: tuple[int, int],
        cell_px: float,
    ) -> Mask:
        """Cells of which the centre lies in a region.

        Args:
            corner: of the first cell, px of the slide from the first pixel's corner.
            shape: rows and columns.
            cell_px: side of a cell, px.

        Returns:
            (rows, columns) bool.
        """
        left, top = corner
        right = left + shape[1] * cell_px
        bottom = top + shape[0] * cell_px
        touched = self._touched(
            left,
            top,
            right,
            bottom,
        )
        moved = []
        for number in np.flatnonzero(touched).tolist():
            moved.append(
                moved_region(
                    self.regions[number],
                    left,
                    top,
                )
            )
        return region_mask(
            moved,
            shape,
            (cell_px, cell_px),
        )

    def _touched(
        self,
        left: float,
        top: float,
        right: float,
        bottom: float,
    ) -> BoolArray:
        """(R,) regions whose rectangle overlaps one."""
        lefts, tops, rights, bottoms = self._boxes.T
        across = (lefts < right) & (rights > left)
        return np.asarray(across & (tops < bottom) & (bottoms > top))

    def inside(self, box: Box) -> Mask:
        """(H, W) bool, pixels of a box that show no tissue."""
        touched = self._touched(box.x, box.y, box.right, box.bottom)
        moved = []
        for number in np.flatnonzero(touched).tolist():
            moved.append(
                moved_region(
                    self.regions[number],
                    box.x,
                    box.y,
                )
            )
        return region_mask(
            moved,
            box.size.shape,
            (1.0, 1.0),
        )


def empty_path_of(path: Path) -> Path:
    """Where the regions without tissue of a layout lie: `layout.empty.geojson` of
    `layout.parquet`.
    """
    return path.with_name(f"{path.stem}.empty.geojson")


def read_slide_empty(path: Path) -> SlideEmptyRegions:
    """Regions of a file of GeoJSON.

    Raises:
        BadRegions: it holds no region without tissue, or cannot be read.
    """
    return SlideEmptyRegions(read_empty_regions(path).regions)
