"""Nuclei of one tile: found by a detector, or cut out of a slide's; none twice on borders."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import BoolArray, Float32Array
from ..core.errors import BadNuclei
from ..core.geometry import Size
from ..core.nuclei import MAX_PER_MM2, Nuclei, max_nuclei
from ..detectors.detector import DetectedNuclei, Detector
from ..slides import Slide, Window, read_box
from .grid import Grid

Margins = tuple[int, int, int, int]
"""Px at left, top, right and bottom of a tile."""
NO_MARGINS: Margins = (0, 0, 0, 0)


def margins_for(corner: tuple[int, int], detector: Detector) -> Margins:
    """Px of tissue to read around a tile, so that a nucleus at its border is found alike from the
    neighbouring tile.

    The window begins on the detector's own lattice, counted from the slide's corner: neighbours
    then cut the shared tissue alike, and agree to which of them a nucleus on the border belongs.
    """
    halo = detector.halo_px
    lattice = detector.lattice_px
    x, y = corner
    left = halo + (x - halo) % lattice
    top = halo + (y - halo) % lattice
    return left, top, halo, halo


def find_at_detector_scale(
    slide: Slide,
    grid: Grid,
    index: int,
    detector: Detector,
) -> DetectedNuclei:
    """Nuclei found at the detector's scale, in px of the tile."""
    ratio = detector.mpp / grid.mpp  # tile px per px of the detector
    x, y = (side / ratio for side in grid.corners[index])
    left, width = _span(x, grid.size / ratio, detector)
    top, height = _span(y, grid.size / ratio, detector)
    step = grid.step * ratio
    window = Window(
        left * step,
        top * step,
        width * step,
        height * step,
    )
    found = detector(read_box(slide, window, (width, height)))
    # px of the detector on the slide, from the corner of its first pixel, to px of the tile
    offset = np.array([left - x, top - y], np.float32)
    xy = (found.xy + 0.5 + offset) * np.float32(ratio) - np.float32(0.5)
    return DetectedNuclei(
        xy.astype(np.float32),
        found.class_ids,
        found.score,
    )


def _span(
    start: float,
    length: float,
    detector: Detector,
) -> tuple[int, int]:
    """First px and number of px to read along one side of a tile, in px of the detector."""
    lattice = detector.lattice_px
    first = int((start - detector.halo_px) // lattice) * lattice
    count = math.ceil(start - first + length) + detector.halo_px
    return first, count


def nuclei_of_found(
    found: DetectedNuclei,
    classes: tuple[str, ...],
    size: int,
    mpp: float,
) -> Nuclei:
    """What a detector found, in px of a square tile, as the tile's nuclei."""
    inside = _is_inside(found.xy, size)
    kept = found.where(np.asarray(inside))
    # hundredths of a pixel: machines that add up in another order still agree
    xy = np.minimum(kept.xy.round(2), np.float32(size - 0.51))
    return Nuclei(
        xy,
        kept.class_ids,
        classes,
        Size(size, size),
        mpp,
    )


def nuclei_of_slide(
    given: Nuclei,
    window: Window,
    size: int,
    mpp: float,
) -> Nuclei:
    """Nuclei of a slide (level-0 px) that lie in a square tile, in its px."""
    step = window.width / size
    corner = np.array([window.x, window.y])
    xy = (given.xy.astype(np.float64) + 0.5 - corner) / step - 0.5
    inside = _is_inside(xy, size)
    kept: Float32Array = np.minimum(xy[inside].round(2), size - 0.51).astype(np.float32)
    return Nuclei(
        kept,
        given.class_ids[inside],
        given.classes,
        Size(size, size),
        mpp,
    )


def refuse_dense_tiles(
    path: Path,
    given: Nuclei,
    grid: Grid,
    indices: Sequence[int],
) -> None:
    """Refuse a file of nuclei in which a tile has more than tissue holds.

    Args:
        path: of the file, for the message.
        given: nuclei of the slide, level-0 px.
        grid: of the tiles.
        indices: of the tiles that are to be read.

    Raises:
        BadNuclei: naming the first tile.
    """
    area_mm2 = (grid.size * grid.mpp / 1000) ** 2
    most = max_nuclei(area_mm2)
    if len(given) <= most:
        return
    by_x = given.xy[np.argsort(given.xy[:, 0], kind="stable")]
    for index in indices:
        window = grid.window(index)
        ends = (window.x - 0.5, window.x + window.width - 0.5)
        first, last = np.searchsorted(by_x[:, 0], ends)
        y = by_x[first:last, 1]
        inside = (y >= window.y - 0.5) & (y < window.y + window.height - 0.5)
        count = int(inside.sum())
        if count > most:
            raise BadNuclei(
                f"{path}: {count:,} nuclei on the tile at x={window.x:g}, y={window.y:g} of "
                f"{grid.size} x {grid.size} px at {grid.mpp:g} um/px are "
                f"{count / area_mm2:,.0f} per mm2; tissue holds at most {MAX_PER_MM2:,.0f}.",
                "Check the scale (--mpp) and that coordinates are in pixels of level 0.",
            )


def _is_inside(xy: NDArray[np.floating[Any]], size: int) -> BoolArray:
    """(N,) whether points (N, 2) lie on the pixels of a square tile."""
    inside: BoolArray = np.all((xy >= -0.5) & (xy < size - 0.5), axis=1)
    return inside
