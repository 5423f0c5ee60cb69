"""Maps of pictures, one file each, with a sheet to look at: the part that all kinds share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import HistosynthError
from ..core.images import IMAGE_SUFFIXES, read_rgb
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.pairing import list_files
from ..core.progress import ProgressCallback
from ..core.sheet import contact_sheet
from ..core.tile import Pixels
from ..core.units import check_mpp_option
from .files import (
    CONTACT_SHEET,
    ShownPairs,
    refuse_input_folder,
    report_done,
    write_own_picture,
    write_results,
)


@dataclass(frozen=True, eq=False)
class WrittenMap:
    """The map of one picture.

    Attributes:
        files: that were written.
        number: of the picture, for the user.
        shown: the picture with its map drawn in, (H, W, 3) uint8.
    """

    files: list[Path]
    number: float
    shown: Pixels


WriteMap = Callable[[OwnFiles, str, Pixels], WrittenMap]
"""Writes the map of a picture (H, W, 3), from the files of a folder and the picture's stem."""


def write_maps(
    images: Path,
    out: Path,
    *,
    mpp: float,
    suffix: str,
    title: str,
    write: WriteMap,
    on_progress: ProgressCallback | None = None,
) -> tuple[Outcome, dict[str, float]]:
    """Write `out/<stem><suffix>` of each picture, and `out/look/contact.png`.

    Args:
        images: picture or folder of them.
        out: folder.
        mpp: micrometres per pixel of the pictures, which is checked.
        suffix: of the files.
        title: of the second row of the sheet.
        write: of one picture.
        on_progress: called after each picture.

    Returns:
        The outcome, and the number of each picture by its name.
    """
    check_mpp_option(mpp)
    refuse_input_folder(images, out)
    files = list_files(images, IMAGE_SUFFIXES)

    def write_all(
        own: OwnFiles,
        report: ProgressCallback | None,
    ) -> tuple[Outcome, dict[str, float]]:
        outcome = Outcome()
        numbers: dict[str, float] = {}
        pairs = ShownPairs()
        for done, path in enumerate(files, start=1):
            try:
                pixels = read_rgb(path)
            except HistosynthError as error:
                outcome.refused[path.name] = error.of(path.name)
            else:
                found = write(own, path.stem, pixels)
                outcome.written += found.files
                numbers[path.name] = round(found.number, 4)
                if not pairs.is_full:
                    pairs.add(pixels, found.shown)
            report_done(report, done, len(files))
        if pairs.before:
            rows = [("as they are", pairs.before), (title, pairs.after)]
            sheet = contact_sheet(rows, cell=256)
            outcome.written.append(write_own_picture(own, CONTACT_SHEET, sheet))
        return outcome, numbers

    return write_results(
        out,
        [*(f"{path.stem}{suffix}" for path in files), CONTACT_SHEET],
        write_all,
        on_progress,
    )
