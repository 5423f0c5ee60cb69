"""What files state of places of a tile: where it holds no tissue, and how its fibres run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..annotation.empty_regions import (
    GEOJSON_SUFFIXES,
    REGION_SUFFIXES,
    EmptyRegions,
    read_empty_regions,
)
from ..annotation.orientation_lines import OrientationLines, read_orientation_lines
from ..core.condition import Condition
from ..core.errors import BadOrientation, BadRegions
from ..core.geometry import Box
from ..core.orientation import FibreOrientation
from ..core.pairing import pair_by_stem
from ..core.tile import Mask

Stated = TypeVar("Stated", EmptyRegions, OrientationLines)


@dataclass(frozen=True, eq=False)
class StatedMaps:
    """What is stated of one layout.

    Attributes:
        regions: without tissue; None: left to the model.
        lines: along fibres; None: left to the model.
    """

    regions: EmptyRegions | None = None
    lines: OrientationLines | None = None

    def empty(self, box: Box, *, may_miss: bool = False) -> Mask | None:
        """Mask of a window of the layout, True where there is no tissue; see `EmptyRegions`."""
        return None if self.regions is None else self.regions.inside(box, may_miss=may_miss)

    def orientation(self, box: Box, *, may_miss: bool = False) -> FibreOrientation | None:
        """How fibres run in a window of the layout; see `OrientationLines`."""
        return None if self.lines is None else self.lines.inside(box, may_miss=may_miss)

    def refuse_missed(self, conditions: Sequence[Condition]) -> None:
        """Refuse maps that lie beside all tiles that are cut out of a layout.

        Raises:
            BadRegions, BadOrientation: naming the file.
        """
        missed = "none of {} lies in a tile with nuclei"
        remedy = "Its coordinates must be pixels of the layout, as those of the nuclei are."
        regions = self.regions
        if regions is not None and all(each.empty is None for each in conditions):
            found = missed.format("its places without tissue")
            raise BadRegions(f"{regions.path}: {found}.", remedy)
        lines = self.lines
        if lines is None or not lines.lines:
            return
        if all(each.orientation is None for each in conditions):
            found = missed.format("its lines")
            raise BadOrientation(f"{lines.path}: {found}.", remedy)


NOTHING_STATED = StatedMaps()


@dataclass(frozen=True, eq=False)
class MapFiles:
    """Where the maps of files of nuclei are stated.

    Attributes:
        regions: per file of nuclei; None: nowhere.
        lines: per file of nuclei; None: nowhere.
    """

    regions: Sequence[EmptyRegions | Path | None]
    lines: Sequence[OrientationLines | Path | None]

    @classmethod
    def find(
        cls,
        files: Sequence[Path],
        *,
        regions: Path | None,
        orientation: Path | None,
    ) -> MapFiles:
        """Of files of nuclei.

        Args:
            files: the files of nuclei.
            regions: one file of regions for all, a folder of them by stem, or None.
            orientation: the same of lines along fibres.

        Raises:
            BadRegions, BadOrientation, UnreadableImage, BadMask: the one file cannot be used.
            NoFiles, BadPairing: a folder does not fit the files.
        """
        return cls(
            _find(
                regions,
                files,
                read_empty_regions,
                REGION_SUFFIXES,
                "file of regions",
            ),
            _find(
                orientation,
                files,
                read_orientation_lines,
                GEOJSON_SUFFIXES,
                "orientation file",
            ),
        )

    def read(self, index: int) -> StatedMaps:
        """What is stated of one file of nuclei, read now.

        Raises:
            BadRegions, BadOrientation, UnreadableImage, BadMask: a file cannot be used.
        """
        regions = self.regions[index]
        lines = self.lines[index]
        return StatedMaps(
            read_empty_regions(regions) if isinstance(regions, Path) else regions,
            read_orientation_lines(lines) if isinstance(lines, Path) else lines,
        )


def _find(
    place: Path | None,
    files: Sequence[Path],
    read: Callable[[Path], Stated],
    suffixes: Sequence[str],
    what: str,
) -> Sequence[Stated | Path | None]:
    """Per file of nuclei: what is stated in one file for all, or the file to read."""
    if place is None:
        return [None] * len(files)
    if os.path.isfile(place):
        return [read(place)] * len(files)
    return pair_by_stem(files, place, suffixes, what)
