"""Measurements of the tiles of one side: the only input from which metrics draw conclusions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

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
    """

    name: str
    patient: str
    label: str
    values: Mapping[str, Values]


@dataclass(frozen=True, eq=False)
class Sample:
    """The tiles of one side."""

    tiles: tuple[TileMeasurements, ...]

    def __len__(self) -> int:
        return len(self.tiles)

    @property
    def patients(self) -> list[str]:
        """(N) names; an unknown patient has a name of the tile's own."""
        return [tile.patient or f"\0{tile.name}" for tile in self.tiles]

    @property
    def labels(self) -> list[str]:
        """(N) labels."""
        return [tile.label for tile in self.tiles]

    def has(self, key: str) -> bool:
        """Whether there are tiles, and every one has this value."""
        return bool(self.tiles) and all(key in tile.values for tile in self.tiles)

    def stack(self, key: str) -> NDArray[np.float64]:
        """(N, ...) one value of each tile, of one shape."""
        values = [np.asarray(tile.values[key], np.float64) for tile in self.tiles]
        return np.stack(values)

    def each(self, key: str) -> list[Values]:
        """One value of each tile, of any shape."""
        return [tile.values[key] for tile in self.tiles]

    def where(self, keep: Callable[[TileMeasurements], bool]) -> Sample:
        """The tiles for which `keep` is true."""
        return Sample(tuple(tile for tile in self.tiles if keep(tile)))

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> Sample:
        """The tiles of these rows, in this order; rows may repeat."""
        return Sample(tuple(self.tiles[int(row)] for row in rows))

    def measured(self, prefix: str) -> Sample:
        """The tiles that have a value whose name begins with `prefix`."""
        return self.where(lambda tile: any(name.startswith(prefix) for name in tile.values))

    def under(self, prefix: str) -> Sample:
        """The tiles of `measured(prefix)` with only those values, named without the prefix."""
        tiles = []
        for tile in self.tiles:
            values = {
                name.removeprefix(prefix): value
                for name, value in tile.values.items()
                if name.startswith(prefix)
            }
            if values:
                tiles.append(
                    TileMeasurements(
                        tile.name,
                        tile.patient,
                        tile.label,
                        values,
                    )
                )
        return Sample(tuple(tiles))
