"""Plain pictures (PNG, JPEG, flat TIFF) as slides of one level, held in memory."""

from __future__ import annotations

from pathlib import Path

from ..core.geometry import Box
from ..core.images import read_rgb
from ..core.tile import Pixels
from .slide import check_levels, level_0_mpp, on_glass


class PictureSlide:
    """A picture read whole.

    Raises:
        UnreadableImage, NotRGB: no 8-bit RGB picture, or over 16,384 x 16,384 px.
        MissingScale: no scale is given; a picture's dpi is never used.
    """

    reader = "pillow"

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        self.path = path
        self.mpp = level_0_mpp(path, None, mpp)
        self._pixels = read_rgb(path)
        height, width, _ = self._pixels.shape
        self.levels = check_levels(path, [(width, height)])

    def read(
        self,
        level: int,
        box: Box,
    ) -> Pixels:
        """Whole pixels; see `Slide.read`."""
        out, inside = on_glass(box, self.levels[level])
        if inside is None:
            return out
        out[inside.shift(-box.x, -box.y).slices] = self._pixels[inside.slices]
        return out

    def close(self) -> None:
        """There is no file to close."""
