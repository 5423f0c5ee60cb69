"""Plain pictures (PNG, JPEG, ...) as slides of one level, held in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..core.errors import ImageTooLarge, UnreadableImage
from ..core.geometry import Box
from ..core.images import read_picture_info, read_rgb
from ..core.tile import Pixels
from .remedies import pyramid_remedy
from .scale import ScaleStatement, scale_of
from .slide import SlideFacts, check_levels, on_glass


class PictureSlide:
    """A picture read whole.

    Args:
        path: the file.
        mpp: micrometres per pixel; a picture's dpi is never used.
        stated: what the file states of its scale, for the refusal.

    Raises:
        UnreadableImage, NotRGB: no 8-bit RGB picture, or over 12,288 x 12,288 px.
        MissingScale: no scale is given.
    """

    reader = "pillow"

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
        stated: Sequence[ScaleStatement] = (),
    ) -> None:
        self.path = path
        try:
            _, picture_format = read_picture_info(path)
            self.facts = SlideFacts(f"{picture_format} picture", scale=tuple(stated))
            self.mpp = scale_of(path, stated, mpp)
            self._pixels = read_rgb(path)
        except ImageTooLarge as error:
            raise UnreadableImage(path, error.reason, pyramid_remedy(path)) from error
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
