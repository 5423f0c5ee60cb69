"""Lines along the fibres of pictures, as `synthesize --orientation` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..annotation.orientation_lines import orientation_geojson
from ..core.errors import HistosynthError
from ..core.folder_lock import in_own_folder
from ..core.images import IMAGE_SUFFIXES, read_rgb
from ..core.orientation import ORIENTATION_CELL, FibreOrientation
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.sheet import contact_sheet
from ..core.tile import Pixels
from ..core.units import check_mpp_option
from ..tissue.orientation import find_orientation
from .files import (
    CONTACT_SHEET,
    ShownPairs,
    refuse_input_folder,
    report_done,
    write_own_picture,
    write_results,
)

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
    check_mpp_option(mpp)
    refuse_input_folder(images, out)
    files = list_files(images, IMAGE_SUFFIXES)
    return write_results(
        out,
        [*(f"{path.stem}.geojson" for path in files), CONTACT_SHEET],
        lambda own, report: _find_all(
            files,
            own,
            mpp,
            report,
        ),
        on_progress,
    )


def _find_all(
    files: list[Path],
    own: OwnFiles,
    mpp: float,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, float]]:
    outcome = Outcome()
    strengths: dict[str, float] = {}
    pairs = ShownPairs()
    for done, path in enumerate(files, start=1):
        try:
            pixels = read_rgb(path)
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        else:
            orientation = find_orientation(pixels, mpp=mpp)
            strength = np.hypot(
                *np.moveaxis(
                    orientation.axes,
                    2,
                    0,
                )
            )
            strengths[path.name] = round(float(np.median(strength)), 4)
            text = orientation_geojson(orientation, every=_EVERY)
            outcome.written += own.write_texts({f"{path.stem}.geojson": text})
            if not pairs.is_full:
                pairs.add(pixels, _with_lines(pixels, orientation))
        report_done(
            on_progress,
            done,
            len(files),
        )
    if pairs.before:
        sheet = contact_sheet(
            [("as they are", pairs.before), ("how fibres run", pairs.after)],
            cell=256,
        )
        outcome.written.append(
            write_own_picture(
                own,
                CONTACT_SHEET,
                sheet,
            )
        )
    return outcome, strengths


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
