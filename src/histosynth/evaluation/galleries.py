"""Pictures of a report: tiles least and most like real tissue, and the nearest pairs of copies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..core.errors import HistosynthError
from ..core.geometry import Box
from ..core.tile import Pixels
from ..metrics.copying.conclude import most_alike_pairs
from ..metrics.finding import Gallery
from ..metrics.neighbours import nearest_rows
from ..metrics.sample import Sample
from ..tissue.augment import pose
from .inputs.collections import Collection
from .inputs.items import Item, read_item

MAX_GALLERY_ROWS = 6
_FEATURES = "embed/features"


@dataclass(frozen=True)
class MeasuredSides:
    """Measurements by side, and the tiles they were taken from.

    Attributes:
        samples: by side: real, synthetic, reference, left_out, library.
        real, synthetic, library: the collections, for pictures.
    """

    samples: Mapping[str, Sample]
    real: Collection
    synthetic: Collection
    library: Collection | None

    def picture(
        self,
        side: str,
        name: str,
    ) -> Pixels | None:
        """A tile's pixels, read again; None where it cannot be read any more."""
        collections = {
            "real": self.real,
            "synthetic": self.synthetic,
            "library": self.library,
        }
        item = _find(collections[side], name)
        if item is None:
            return None
        try:
            return read_item(replace(item, points=None))[0]
        except (HistosynthError, OSError):
            return None


def realism_galleries(measured: MeasuredSides) -> tuple[Gallery, ...]:
    """Synthetic tiles least and most like real tissue, each with the nearest real tile."""
    real = measured.samples["real"]
    synthetic = measured.samples["synthetic"]
    if not len(real) or not len(synthetic):
        return ()
    distances, rows = nearest_rows(synthetic.stack(_FEATURES), real.stack(_FEATURES))
    order = np.argsort(-distances[:, 0], kind="stable")
    chosen = {
        "Least like real tissue": order[:MAX_GALLERY_ROWS],
        "Most like real tissue": order[::-1][:MAX_GALLERY_ROWS],
    }
    galleries = []
    for title, numbers in chosen.items():
        lines = []
        for number in numbers:
            name = synthetic.tiles[int(number)].name
            real_row = int(rows[number, 0])
            real_name = real.tiles[real_row].name
            picture = measured.picture("synthetic", name)
            real_picture = measured.picture("real", real_name)
            if picture is not None and real_picture is not None:
                text = f"{name}: {distances[number, 0]:.2f} from {real_name}"
                lines.append((text, (picture, real_picture)))
        columns = ("synthetic", "nearest real tile in features")
        galleries.append(Gallery(title, columns, tuple(lines)))
    return tuple(galleries)


def copying_galleries(measured: MeasuredSides) -> tuple[Gallery, ...]:
    """The synthetic tiles most like training tissue, rotated as their source, and the source."""
    if measured.library is None:
        return ()
    synthetic = measured.samples["synthetic"]
    library = measured.samples["library"]
    mpp = measured.synthetic.items[0].mpp
    lines = []
    for pair in most_alike_pairs(synthetic, MAX_GALLERY_ROWS):
        name = synthetic.tiles[pair.row].name
        source_name = library.tiles[pair.tile].name
        picture = measured.picture("synthetic", name)
        source = measured.picture("library", source_name)
        if picture is None or source is None:
            continue
        posed = pose(picture, pair.pose)
        rotated = np.ascontiguousarray(posed).astype(np.uint8)
        part = _part(
            source,
            rotated.shape[:2],
            pair.x / mpp,
            pair.y / mpp,
        )
        text = f"{name}: correlation {pair.score:.2f} with {source_name}"
        if math.isfinite(pair.beyond_layout):
            text += (
                f", turned and enlarged to fit {pair.aligned:.2f}, of that beyond the layout of "
                f"nuclei {pair.beyond_layout:.2f}"
            )
        lines.append((text, (rotated, part)))
    columns = ("synthetic, rotated to fit", "that part of the training tile")
    return (Gallery("Nearest pairs", columns, tuple(lines)),)


MakeGalleries = Callable[[MeasuredSides], tuple[Gallery, ...]]

GALLERIES: Mapping[str, MakeGalleries] = {
    "realism": realism_galleries,
    "copying": copying_galleries,
}
"""Pictures that belong to the section of a metric, by its name."""


def _find(collection: Collection | None, name: str) -> Item | None:
    if collection is None:
        return None
    for item in collection.items:
        if item.name == name:
            return item
    return None


def _part(
    pixels: Pixels,
    shape: tuple[int, int],
    x: float,
    y: float,
) -> Pixels:
    """A part of a picture, white outside it.

    Args:
        pixels: (H, W, 3) uint8.
        shape: (height, width) of the part.
        x: left edge of the part in the picture, px.
        y: top edge, px.
    """
    height, width = shape
    part: Pixels = np.full((height, width, 3), 255, np.uint8)
    left = round(x)
    top = round(y)
    inside = Box(left, top, width, height).intersect(Box(0, 0, pixels.shape[1], pixels.shape[0]))
    if inside is None:
        return part
    target = inside.shift(-left, -top)
    part[target.slices] = pixels[inside.slices]
    return part
