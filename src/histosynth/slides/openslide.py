"""Vendors' formats and DICOM by OpenSlide, the library that reads most of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .slide import check_levels, level_0_mpp, on_glass


class OpenSlideSlide:
    """A slide that OpenSlide reads.

    Raises:
        UnreadableImage: OpenSlide does not read it, and why.
        MissingScale: it states no scale, and none is given.
    """

    reader = f"openslide {openslide.__library_version__}"

    def __init__(self, path: Path, *, mpp: float | None = None) -> None:
        self.path = path
        try:
            self._slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            reason = str(error) or "OpenSlide does not know this format"
            remedy = (
                "Get the file again: it is cut off, or of a kind that "
                "openslide.org/formats does not list."
            )
            raise UnreadableImage(path, reason, remedy) from error
        try:
            self.levels = check_levels(path, self._slide.level_dimensions)
            facts = self._slide.properties
            stated = [facts.get(f"openslide.mpp-{axis}") for axis in "xy"]
            both = [float(value) for value in stated if value]
            self.mpp = level_0_mpp(path, sum(both) / len(both) if both else None, mpp)
        except Exception:
            self._slide.close()
            raise

    def read(self, level: int, box: Box) -> Pixels:
        """Whole pixels of a level; see `Slide.read`."""
        size = self.levels[level]
        out, inside = on_glass(box, size)
        if inside is None:
            return out
        corner = round(inside.x * size.downsample), round(inside.y * size.downsample)
        try:
            region = self._slide.read_region(corner, level, (inside.width, inside.height))
        except (openslide.OpenSlideError, OSError) as error:
            raise UnreadableImage(self.path, str(error)) from error
        white = Image.new("RGB", region.size, (255, 255, 255))
        white.paste(region, mask=region.getchannel("A"))  # what was never scanned is glass
        out[inside.shift(-box.x, -box.y).slices] = np.asarray(white)
        return out

    def close(self) -> None:
        """Let the file go."""
        self._slide.close()
