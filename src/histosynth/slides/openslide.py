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

    def __init__(
        self,
        path: Path,
        *,
        mpp: float | None = None,
    ) -> None:
        self.path = path
        try:
            self._slide = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise UnreadableImage(
                path,
                str(error) or "OpenSlide does not read this format",
                "Get the file again: it is cut off, or of a format that "
                "openslide.org/formats does not list.",
            ) from error
        try:
            self.levels = check_levels(path, self._slide.level_dimensions)
            self.mpp = level_0_mpp(path, self._stated_mpp(), mpp)
        except Exception:
            self._slide.close()
            raise

    def _stated_mpp(self) -> float | None:
        """The mean of both axes' scales, of those that are stated."""
        scales = []
        for axis in "xy":
            value = self._slide.properties.get(f"openslide.mpp-{axis}")
            if value:
                scales.append(float(value))
        return sum(scales) / len(scales) if scales else None

    def read(
        self,
        level: int,
        box: Box,
    ) -> Pixels:
        """Whole pixels of a level; see `Slide.read`."""
        size = self.levels[level]
        out, inside = on_glass(box, size)
        if inside is None:
            return out
        x = round(inside.x * size.downsample)
        y = round(inside.y * size.downsample)
        try:
            region = self._slide.read_region(
                (x, y),
                level,
                (inside.width, inside.height),
            )
        except (openslide.OpenSlideError, OSError) as error:
            raise UnreadableImage(self.path, str(error)) from error
        white = Image.new("RGB", region.size, (255, 255, 255))
        white.paste(region, mask=region.getchannel("A"))  # what was never scanned is glass
        out[inside.shift(-box.x, -box.y).slices] = np.asarray(white)
        return out

    def close(self) -> None:
        """Close the file."""
        self._slide.close()
