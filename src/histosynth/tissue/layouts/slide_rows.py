"""Nuclei of a part of a slide as rows of whole numbers, in an order that is the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...core.arrays import BoolArray, Float32Array, IndexArray
from ...core.geometry import Box, Size
from ...core.nuclei import Nuclei

HUNDREDTHS = 100
"""Of a pixel: whole steps of a coordinate."""
HundredthArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SlideRows:
    """N nuclei in the frame of their slide.

    Attributes:
        x: (N,) int64, hundredths of a pixel; (0, 0) is the centre of the first pixel.
        y: (N,) int64.
        class_ids: (N,) uint8.
        shapes: (N, 3) float32, see `Nuclei`; None: none is known.
    """

    x: HundredthArray
    y: HundredthArray
    class_ids: NDArray[np.uint8]
    shapes: Float32Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    @classmethod
    def none(cls) -> SlideRows:
        """No nucleus."""
        return cls(
            np.zeros(0, np.int64),
            np.zeros(0, np.int64),
            np.zeros(0, np.uint8),
        )

    @classmethod
    def of(cls, nuclei: Nuclei, corner: tuple[int, int] = (0, 0)) -> SlideRows:
        """Rows of nuclei of a window whose first pixel is at `corner`."""
        steps = np.rint(nuclei.xy.astype(np.float64) * HUNDREDTHS).astype(np.int64)
        return cls(
            steps[:, 0] + corner[0] * HUNDREDTHS,
            steps[:, 1] + corner[1] * HUNDREDTHS,
            nuclei.class_ids,
            nuclei.shapes,
        )

    def take(self, which: BoolArray | IndexArray) -> SlideRows:
        """The rows marked True, or of these indices."""
        return SlideRows(
            self.x[which],
            self.y[which],
            self.class_ids[which],
            None if self.shapes is None else self.shapes[which],
        )

    def sorted(self) -> SlideRows:
        """By row, then column, then class."""
        return self.take(np.lexsort((self.class_ids, self.x, self.y)))

    def inside(self, box: Box) -> SlideRows:
        """The rows inside a box; one on the border of two boxes is in the right or lower one."""
        half = HUNDREDTHS // 2
        is_in = (self.x >= box.x * HUNDREDTHS - half) & (self.x < box.right * HUNDREDTHS - half)
        is_in &= self.y >= box.y * HUNDREDTHS - half
        is_in &= self.y < box.bottom * HUNDREDTHS - half
        return self.take(is_in)

    def nuclei(
        self,
        box: Box,
        *,
        classes: tuple[str, ...],
        mpp: float,
    ) -> Nuclei:
        """Those inside a box as nuclei in its frame."""
        found = self.inside(box).sorted()
        steps = np.stack(
            [found.x - box.x * HUNDREDTHS, found.y - box.y * HUNDREDTHS],
            1,
        )
        return Nuclei(
            (steps / HUNDREDTHS).astype(np.float32),
            found.class_ids,
            classes,
            box.size,
            mpp,
            found.shapes,
        )


def joined_rows(parts: Sequence[SlideRows]) -> SlideRows:
    """All rows of parts that hold shapes, or that all hold none."""
    if not parts:
        return SlideRows.none()
    shapes = [part.shapes for part in parts if part.shapes is not None]
    return SlideRows(
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
        np.concatenate([part.class_ids for part in parts]),
        np.concatenate(shapes) if shapes else None,
    )


def on_slide(box: Box, size: Size) -> Box | None:
    """The part of a box that lies on a slide."""
    return box.intersect(
        Box(
            0,
            0,
            *size,
        )
    )
