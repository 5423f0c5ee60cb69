"""Layouts of slides as GeoJSON of QuPath, out a part at a time, and in through the readers of
`annotation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from ..core.geometry import Box, Size
from ..core.nuclei import ANY, ANY_CLASS, Nuclei
from ..core.slide_layout import FramedLayout
from ..core.store import atomic_write, digest
from ..core.tile import Mask
from ..core.visible import json_line
from ..tissue.layouts.slide_rows import HUNDREDTHS, SlideRows
from .layout_empty import SlideEmptyRegions
from .slide_nuclei import read_slide_nuclei

_CORNER_SHIFT = HUNDREDTHS // 2
"""QuPath puts (0, 0) at the corner of the first pixel, layouts at its centre."""


class HeldLayout(FramedLayout):
    """Nuclei of a slide in memory, of which a window is cut at a time: `SlideLayout`.

    Args:
        rows: of the slide.
        classes: names of the classes.
        size: (width, height) of the slide, px.
        mpp: micrometres per pixel.
        empty: regions without tissue; None: none are known.
    """

    def __init__(
        self,
        rows: SlideRows,
        *,
        classes: Sequence[str],
        size: tuple[int, int],
        mpp: float,
        empty: SlideEmptyRegions | None = None,
    ) -> None:
        super().__init__(
            classes,
            size,
            mpp,
        )
        self._rows = rows.sorted()
        self._empty = empty

    @property
    def digest(self) -> str:
        """Hex digest of all that decides where the nuclei are."""
        return digest(
            {
                "x": self._rows.x.tolist(),
                "y": self._rows.y.tolist(),
                "classes": [self._classes, self._rows.class_ids.tolist()],
                "slide": [self._size, self._mpp],
                "empty": "" if self._empty is None else self._empty.digest,
            }
        )

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> SlideRows:
        """All nuclei, by row."""
        return self._rows

    def window(self, box: Box) -> Nuclei:
        """The nuclei inside a box, in its frame; see `SlideLayout`."""
        return self.rows_inside(box).nuclei(
            box,
            classes=self._classes,
            mpp=self._mpp,
        )

    def rows_inside(self, box: Box) -> SlideRows:
        """The nuclei inside a box, in the slide's frame."""
        edges = np.array([box.y, box.bottom]) * HUNDREDTHS - HUNDREDTHS // 2
        first, last = np.searchsorted(self._rows.y, edges)
        return self._rows.take(np.arange(first, last)).inside(box)

    @property
    def empty_regions(self) -> SlideEmptyRegions | None:
        """Regions without tissue; None: none are known."""
        return self._empty

    def empty(self, box: Box) -> Mask | None:
        """(H, W) bool, pixels of a box that show no tissue; None: no such regions are known."""
        return None if self._empty is None else self._empty.inside(box)


def read_layout(
    path: Path | str,
    *,
    size: tuple[int, int],
    mpp: float,
    mapping: Mapping[str, str] | None = None,
    empty: SlideEmptyRegions | None = None,
) -> HeldLayout:
    """Nuclei of a whole slide from a file of any form that `docs/annotations.md` lists.

    Args:
        path: e.g. GeoJSON of QuPath, px of the slide.
        size: (width, height) of the slide, px.
        mpp: micrometres per pixel of the slide.
        mapping: class names of the file to yours; None: they stay as they are.
        empty: regions without tissue.

    Raises:
        BadNuclei: see `read_slide_nuclei`.
        UnmappedClasses: a class is not in the map.
    """
    found = read_slide_nuclei(
        Path(path),
        mapping or {},
        size=Size(*size),
        mpp=mpp,
    )
    return HeldLayout(
        SlideRows.of(found.nuclei),
        classes=found.nuclei.classes,
        size=size,
        mpp=mpp,
        empty=empty,
    )


def write_layout_geojson(
    path: Path | str,
    parts: Iterable[SlideRows],
    *,
    classes: Sequence[str],
    colours: Mapping[str, Sequence[int]],
    writing: Callable[[Path], AbstractContextManager[Path]] = atomic_write,
) -> int:
    """Write point detections that QuPath imports, a line each, whole or not at all.

    Args:
        path: `*.geojson`.
        parts: nuclei, any number at a time.
        classes: names of the classes.
        colours: RGB of classes, 0 to 255; of those that are missing QuPath chooses its own.
        writing: yields the temporary file that becomes the file.

    Returns:
        Number of nuclei.
    """
    names = [*classes, ANY]
    properties = [_properties(name, colours.get(name)) for name in names]
    total = 0
    with writing(Path(path)) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for rows in parts:
            index = np.where(rows.class_ids == ANY_CLASS, len(classes), rows.class_ids)
            x = (rows.x + _CORNER_SHIFT) / HUNDREDTHS
            y = (rows.y + _CORNER_SHIFT) / HUNDREDTHS
            lines = []
            for left, top, number in zip(
                x.tolist(),
                y.tolist(),
                index.tolist(),
                strict=True,
            ):
                lines.append(
                    f'{{"type": "Feature", "geometry": {{"type": "Point", "coordinates": '
                    f'[{left:.2f}, {top:.2f}]}}, "properties": {properties[number]}}}'
                )
            if lines:
                file.write(("," if total else "") + "\n" + ",\n".join(lines))
            total += len(lines)
        file.write("\n]}\n")
    return total


def _properties(name: str, colour: Sequence[int] | None) -> str:
    classification: dict[str, object] = {"name": name}
    if colour is not None:
        classification["color"] = list(colour)
    return json_line({"objectType": "detection", "classification": classification})
