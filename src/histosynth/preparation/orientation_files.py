"""Lines along the fibres of pictures, as `synthesize --orientation` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..annotation.orientation_lines import orientation_geojson
from ..core.folder_lock import in_own_folder
from ..core.orientation import ORIENTATION_CELL, FibreOrientation
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.progress import ProgressCallback
from ..core.tile import Pixels
from ..tissue.orientation import find_orientation
from .map_files import WrittenMap, write_maps

_LINE = (0, 120, 0)
_EVERY = 3
"""Cells from one line to the next."""


@in_own_folder
def find_orientation_files(
    images: Path,
    out: Path,
    *,
    mpp: float,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, float]]:
    """Measure how fibres run: `out/<stem>.geojson`, short lines, and `out/look/contact.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        mpp: micrometres per pixel of the pictures.
        on_progress: called after each picture.

    Returns:
        The outcome, and the median strength in each picture, by its name.
    """

    def write(own: OwnFiles, stem: str, pixels: Pixels) -> WrittenMap:
        orientation = find_orientation(pixels, mpp=mpp)
        text = orientation_geojson(orientation, every=_EVERY)
        files = own.write_texts({f"{stem}.geojson": text})
        strength = np.linalg.norm(orientation.axes, axis=2)
        median = float(np.median(strength))
        return WrittenMap(files, median, _with_lines(pixels, orientation))

    return write_maps(
        images,
        out,
        mpp=mpp,
        suffix=".geojson",
        title="how fibres run",
        write=write,
        on_progress=on_progress,
    )


def _with_lines(pixels: Pixels, orientation: FibreOrientation) -> Pixels:
    """Pixels with a line in every third cell, the longer the clearer the axis is."""
    picture = Image.fromarray(pixels)
    draw = ImageDraw.Draw(picture)
    for row in range(
        1,
        orientation.axes.shape[0],
        _EVERY,
    ):
        for column in range(
            1,
            orientation.axes.shape[1],
            _EVERY,
        ):
            cosine, sine = orientation.axes[row, column].tolist()
            angle = np.arctan2(sine, cosine) / 2
            half = _EVERY * ORIENTATION_CELL * float(np.hypot(cosine, sine))
            x = (column + 0.5) * ORIENTATION_CELL
            y = (row + 0.5) * ORIENTATION_CELL
            move_x = half * float(np.cos(angle))
            move_y = half * float(np.sin(angle))
            draw.line(
                (x - move_x, y - move_y, x + move_x, y + move_y),
                fill=_LINE,
                width=2,
            )
    return np.asarray(picture)
