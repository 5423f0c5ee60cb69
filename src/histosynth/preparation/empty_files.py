"""Masks of where pictures hold no tissue, as `synthesize --regions` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.errors import HistosynthError
from ..core.folder_lock import in_own_folder
from ..core.images import IMAGE_SUFFIXES, read_rgb
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.sheet import contact_sheet
from ..core.tile import Mask, Pixels
from ..core.units import check_mpp_option
from ..tissue.empty import find_empty
from .files import (
    CONTACT_SHEET,
    ShownPairs,
    refuse_input_folder,
    report_done,
    write_own_picture,
    write_results,
)

_MARKED = (0, 160, 0)
"""Colour of places without tissue on the contact sheet."""


@in_own_folder
def find_empty_files(
    images: Path,
    out: Path,
    *,
    mpp: float,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, float]]:
    """Find places without tissue: `out/<stem>.png`, white there, and `out/look/contact.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        mpp: micrometres per pixel of the pictures.
        on_progress: called after each picture.

    Returns:
        The outcome, and the share of each picture that holds no tissue, by its name.
    """
    check_mpp_option(mpp)
    refuse_input_folder(images, out)
    files = list_files(images, IMAGE_SUFFIXES)
    return write_results(
        out,
        [*(f"{path.stem}.png" for path in files), CONTACT_SHEET],
        lambda own, report: _find_all(files, own, mpp, report),
        on_progress,
    )


def _find_all(
    files: list[Path],
    own: OwnFiles,
    mpp: float,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, float]]:
    outcome = Outcome()
    shares: dict[str, float] = {}
    pairs = ShownPairs()
    for done, path in enumerate(files, start=1):
        try:
            pixels = read_rgb(path)
        except HistosynthError as error:
            outcome.refused[path.name] = error.of(path.name)
        else:
            empty = find_empty(pixels, mpp=mpp)
            shares[path.name] = round(float(empty.mean()), 4)
            picture = _picture_of(empty)
            outcome.written.append(write_own_picture(own, f"{path.stem}.png", picture))
            if not pairs.is_full:
                pairs.add(pixels, _with_marks(pixels, empty))
        report_done(on_progress, done, len(files))
    if pairs.before:
        sheet = contact_sheet(
            [("as they are", pairs.before), ("without tissue", pairs.after)],
            cell=256,
        )
        outcome.written.append(write_own_picture(own, CONTACT_SHEET, sheet))
    return outcome, shares


def _picture_of(empty: Mask) -> Pixels:
    """A mask as a grey picture, white where it is True."""
    return empty.astype(np.uint8) * 255


def _with_marks(
    pixels: Pixels,
    empty: Mask,
) -> Pixels:
    """Pixels with places without tissue in one colour."""
    return np.where(
        empty[..., None],
        np.array(_MARKED, np.uint8),
        pixels,
    )
