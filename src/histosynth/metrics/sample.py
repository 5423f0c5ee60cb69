"""Measurements of the tiles of one side: the only input from which metrics draw conclusions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class TileMeasurements:
    """One tile and what was measured of it.

    Attributes:
        name: of the tile, the same on both sides where they belong together (e.g. inpainted tiles).
        patient: owner of the tissue; of a synthetic tile the patient whose nuclei were requested.
            "" where it is not known: then the tile counts as a patient of its own.
        label: subtype, may be "".
        values: arrays by name; which there are depends on the metrics.
        layout: of a synthetic tile, which nuclei it was generated from, the same for all of its
            variants; "" where it is not known: then the tile counts as of a layout of its own.
    """

    name: str
    patient: str
    label: str
    values: Mapping[str, Values]
    layout: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """The tiles of one side."""

    tiles: tuple[TileMeasurements, ...]

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def patients(self) -> list[str]:
        """(N) names; an unknown patient has a name of the tile's own."""
        names = []
        for tile in self.tiles:
            own_name = f"\0{tile.name}"
            names.append(tile.patient or own_name)
        return names

    @property
    def layouts(self) -> list[str]:
        """(N) names; an unknown layout has a name of the tile's own."""
        names = []
        for tile in self.tiles:
            name = tile.layout
            if not name:
                name = f"\0{tile.name}"
            names.append(name)
        return names

    @property
    def labels(self) -> list[str]:
        """(N) labels."""
        return [tile.label for tile in self.tiles]

    def has(self, key: str) -> bool:
        """Whether there are tiles, and every one has this value."""
        if not self.tiles:
            return False
        return all(key in tile.values for tile in self.tiles)

    def stack(self, key: str) -> NDArray[np.float64]:
        """(N, ...) one value of each tile, of one shape."""
        values = []
        for tile in self.tiles:
            value = tile.values[key]
            values.append(np.asarray(value, np.float64))
        return np.stack(values)

    def each(self, key: str) -> list[Values]:
        """One value of each tile, of any shape."""
        return [tile.values[key] for tile in self.tiles]

    def where(self, keep: Callable[[TileMeasurements], bool]) -> Sample:
        """The tiles for which `keep` is true."""
        kept = [tile for tile in self.tiles if keep(tile)]
        return Sample(tuple(kept))

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Sample:
        """The tiles of these rows, in this order; rows may repeat."""
        taken = [self.tiles[int(row)] for row in rows]
        return Sample(tuple(taken))

    def measured(self, prefix: str) -> Sample:
        """The tiles that have a value whose name begins with `prefix`."""

        def has_one(tile: TileMeasurements) -> bool:
            return any(name.startswith(prefix) for name in tile.values)

        return self.where(has_one)

    def under(self, prefix: str) -> Sample:
        """The tiles of `measured(prefix)` with only those values, named without the prefix."""
        tiles = []
        for tile in self.tiles:
            values = {}
            for name, value in tile.values.items():
                if not name.startswith(prefix):
                    continue
                short_name = name.removeprefix(prefix)
                values[short_name] = value
            if values:
                changed = replace(
                    tile,
                    values=values,
                )
                tiles.append(changed)
        return Sample(tuple(tiles))
