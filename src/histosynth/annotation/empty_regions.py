"""Regions of a tile that hold no tissue: lumina, glass and the inside of fat cells, from a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import BadRegions
from ..core.geometry import Box
from ..core.images import IMAGE_SUFFIXES, read_mask
from ..core.number_format import counted
from ..core.tile import Mask
from .regions import Region, find_regions, moved_region, region_mask

EMPTY_NAMES = ("lumen", "background", "glass", "fat", "empty")
"""Classes of regions without tissue, in small letters."""
GEOJSON_SUFFIXES = (".geojson", ".json")
REGION_SUFFIXES = (*GEOJSON_SUFFIXES, *IMAGE_SUFFIXES)
_REMEDY = f"Give regions of the classes {', '.join(EMPTY_NAMES)}, or a mask picture."


@dataclass(frozen=True, eq=False)
class EmptyRegions:
    """What a file states of places without tissue.

    Attributes:
        path: of the file.
        regions: polygons, in pixels of the layout; of a mask picture: none.
        picture: (H, W) bool of a mask picture; None: the file holds polygons.
        notes: what of the file is not followed.
    """

    path: Path
    regions: tuple[Region, ...] = ()
    picture: Mask | None = None
    notes: tuple[str, ...] = ()

    def inside(self, box: Box, *, may_miss: bool = False) -> Mask:
        """(H, W) bool of a window of the layout, True where there is no tissue.

        Args:
            box: the window, px.
            may_miss: whether all regions may lie outside, as in one of many windows.

        Raises:
            BadRegions: the window does not lie on the mask picture, or none of the polygons lies in
                it.
        """
        if self.picture is not None:
            return self._cut(self.picture, box)
        moved = [
            moved_region(
                region,
                box.x,
                box.y,
            )
            for region in self.regions
        ]
        mask = region_mask(
            moved,
            box.size.shape,
            (1.0, 1.0),
        )
        if not (may_miss or mask.any()):
            raise BadRegions(
                f"{self.path}: none of its {counted(len(moved), 'region')} without tissue lies in "
                f"the tile of {box.width} x {box.height} px at {box.x},{box.y}.",
                "Its coordinates must be pixels of the tile, as those of the nuclei are.",
            )
        return mask

    def _cut(self, picture: Mask, box: Box) -> Mask:
        height, width = picture.shape
        is_inside = box.x >= 0 and box.y >= 0
        is_inside &= box.right <= width
        is_inside &= box.bottom <= height
        if not is_inside:
            raise BadRegions(
                f"{self.path} has {width} x {height} px, and the tile of {box.width} x "
                f"{box.height} px at {box.x},{box.y} does not lie in it.",
                "Give a mask picture of the layout's size.",
            )
        return picture[box.slices]


def read_empty_regions(path: Path) -> EmptyRegions:
    """Regions without tissue of a file: GeoJSON, or a mask picture that is black where tissue is.

    Regions of other classes are left to the model, which the notes state.

    Raises:
        BadRegions: it holds no region without tissue, or cannot be read.
        UnreadableImage, BadMask: it is a picture, and no mask.
    """
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return EmptyRegions(path, picture=read_mask(path))
    found = find_regions(path)
    empty = []
    others: Counter[str] = Counter()
    for region in found.regions:
        if region.name.lower() in EMPTY_NAMES:
            empty.append(region)
        else:
            others[region.name or "no class"] += 1
    listed = sorted(others.items())
    names = ", ".join(f"{name} ({count:,})" for name, count in listed)
    if not empty:
        held = f"its regions are of {names}" if others else "it holds no regions"
        raise BadRegions(f"{path} states no place without tissue: {held}.", _REMEDY)
    notes: tuple[str, ...] = ()
    if others:
        notes = (
            f"{path}: regions of other classes are left to the model: {names}; those without "
            f"tissue are {', '.join(EMPTY_NAMES)}.",
        )
    return EmptyRegions(
        path,
        tuple(empty),
        notes=notes,
    )
