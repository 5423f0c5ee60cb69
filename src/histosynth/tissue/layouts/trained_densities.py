"""Densities that a network was trained on, and the places of a layout that lie beyond them.

A network has seen no denser tissue than its training tiles hold: what it paints there is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.arrays import Float64Array, IndexArray
from ...core.geometry import Box, Size
from ...core.nuclei import Nuclei
from ...core.number_format import counted
from .slide_rows import HUNDREDTHS, SlideRows

SQUARE_UM = 120.0
"""Side of the squares in which nuclei are counted."""
ALL_CLASSES = "all classes"
_UM2_PER_MM2 = 1e6


@dataclass(frozen=True)
class TrainedDensities:
    """Densest squares of `SQUARE_UM` of what a network was trained on.

    Attributes:
        about: the tiles they were counted in, for people.
        per_mm2: nuclei per mm2 of the densest square, by class.
        all_per_mm2: of the densest square, whatever the classes.
    """

    about: str
    per_mm2: dict[str, float]
    all_per_mm2: float

    def most(self, name: str) -> float:
        """Of a class, or of `ALL_CLASSES`; a class that is not known has the limit of all."""
        return self.per_mm2.get(name, self.all_per_mm2)


COMPACT_DENSITIES = TrainedDensities(
    "573 squares of 120 um of the 82 training tiles of 75 patients of brca-m2c",
    {
        "epithelial": 8125.0,
        "lymphocyte": 14861.0,
        "stromal": 5556.0,
    },
    15694.0,
)
"""Of the bundle in the package; half a square apart."""


def trained_densities(classes: Sequence[str]) -> TrainedDensities | None:
    """Of the bundle in the package; None: it does not have all of these classes, so that nothing
    is known.
    """
    is_known = set(classes) <= set(COMPACT_DENSITIES.per_mm2)
    return COMPACT_DENSITIES if is_known else None


@dataclass(frozen=True)
class DensePlaces:
    """Squares of a layout in which a class is denser than in training.

    Attributes:
        name: of the class, or `ALL_CLASSES`.
        squares: how many.
        per_mm2: nuclei per mm2 in the densest one.
        most: nuclei per mm2 in the densest square of training.
        box: the densest one, px of the slide.
    """

    name: str
    squares: int
    per_mm2: float
    most: float
    box: Box

    def sentence(self, trained: TrainedDensities) -> str:
        """For people: the range, and the place."""
        box = self.box
        squares = counted(self.squares, "square")
        return (
            f"{self.name}: up to {self.per_mm2:,.0f} nuclei per mm2 (densest at "
            f"{box.x},{box.y},{box.width},{box.height} px; {squares} of {SQUARE_UM:g} um), and "
            f"the network has seen 0 to {self.most:,.0f} ({trained.about}): expect unlike tissue "
            "there."
        )


class DensityTally:
    """Nuclei of each class in squares of `SQUARE_UM` of a slide, counted a part at a time.

    Args:
        classes: names of the classes.
        size: (width, height) of the slide, px.
        mpp: micrometres per pixel.
    """

    def __init__(
        self,
        classes: Sequence[str],
        size: tuple[int, int],
        mpp: float,
    ) -> None:
        self._classes = tuple(classes)
        self._size = Size(*size)
        self._side = SQUARE_UM / mpp
        columns, rows = (max(1, int(side // self._side)) for side in size)
        self._shape = (rows, columns)
        # one class more: nuclei whose class is not known
        self._counts = np.zeros((len(classes) + 1, rows, columns), np.int64)

    def add_rows(self, rows: SlideRows) -> None:
        """Count nuclei of the slide."""
        self._add(
            rows.x / HUNDREDTHS,
            rows.y / HUNDREDTHS,
            rows.class_ids.astype(np.intp),
        )

    def add_nuclei(self, nuclei: Nuclei, corner: tuple[int, int] = (0, 0)) -> None:
        """Count nuclei of a window whose first pixel is at `corner`."""
        xy = nuclei.xy.astype(np.float64) + corner
        self._add(
            xy[:, 0],
            xy[:, 1],
            nuclei.class_ids.astype(np.intp),
        )

    def beyond(self, trained: TrainedDensities) -> tuple[DensePlaces, ...]:
        """Classes that are somewhere denser than in training, all together last."""
        rows, columns = self._shape
        heights = _sides(self._size.height, self._side, rows)
        widths = _sides(self._size.width, self._side, columns)
        areas = heights[:, None] * widths / self._side**2 * SQUARE_UM**2
        densities = self._counts / areas * _UM2_PER_MM2
        found = []
        layers = [*densities[:-1], densities.sum(axis=0)]
        for name, layer in zip(
            (*self._classes, ALL_CLASSES),
            layers,
            strict=True,
        ):
            most = trained.most(name)
            squares = int((layer > most).sum())
            if squares:
                place = int(layer.argmax())
                found.append(
                    DensePlaces(
                        name,
                        squares,
                        float(layer.flat[place]),
                        most,
                        self._box(place),
                    )
                )
        return tuple(found)

    def _add(
        self,
        x: Float64Array,
        y: Float64Array,
        class_ids: IndexArray,
    ) -> None:
        rows, columns = self._shape
        column = ((x + 0.5) / self._side).astype(np.intp).clip(0, columns - 1)
        row = ((y + 0.5) / self._side).astype(np.intp).clip(0, rows - 1)
        layer = np.minimum(class_ids, len(self._classes))
        np.add.at(
            self._counts,
            (layer, row, column),
            1,
        )

    def _box(self, place: int) -> Box:
        """Of a square; the last of a row or column reaches to the slide's edge."""
        row, column = divmod(place, self._shape[1])
        left, top = int(column * self._side), int(row * self._side)
        right = self._end(column, 1, self._size.width)
        bottom = self._end(row, 0, self._size.height)
        return Box(
            left,
            top,
            max(1, right - left),
            max(1, bottom - top),
        )

    def _end(self, index: int, axis: int, length: int) -> int:
        is_last = index + 1 == self._shape[axis]
        return length if is_last else int((index + 1) * self._side)


def density_warnings(
    tally: DensityTally,
    classes: Sequence[str],
    trained: TrainedDensities | None = None,
) -> tuple[str, ...]:
    """Sentences on classes that are denser than in training; none where no range is known.

    Args:
        tally: of all nuclei.
        classes: names of the classes.
        trained: range of the network; None: of the bundle in the package.
    """
    trained = trained or trained_densities(classes)
    if trained is None:
        return ()
    return tuple(place.sentence(trained) for place in tally.beyond(trained))


def _sides(
    length: float,
    side: float,
    count: int,
) -> Float64Array:
    """(count,) lengths of squares along an axis, of which the last one takes the rest."""
    sides = np.full(count, side)
    sides[-1] = length - side * (count - 1)
    return sides
