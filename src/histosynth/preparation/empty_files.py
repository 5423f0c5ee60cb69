"""Masks of where pictures hold no tissue, as `synthesize --regions` takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..core.folder_lock import in_own_folder
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.progress import ProgressCallback
from ..core.tile import Mask, Pixels
from ..tissue.empty import find_empty
from .files import write_own_picture
from .map_files import WrittenMap, write_maps

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

    def write(own: OwnFiles, stem: str, pixels: Pixels) -> WrittenMap:
        empty = find_empty(pixels, mpp=mpp)
        file = write_own_picture(own, f"{stem}.png", _picture_of(empty))
        share = float(empty.mean())
        return WrittenMap([file], share, _with_marks(pixels, empty))

    return write_maps(
        images,
        out,
        mpp=mpp,
        suffix=".png",
        title="without tissue",
        write=write,
        on_progress=on_progress,
    )


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
