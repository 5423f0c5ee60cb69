"""Vendors' formats and DICOM by OpenSlide, the library that reads most of them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import openslide
from PIL import Image

from ..core.errors import UnreadableImage
from ..core.geometry import Box
from ..core.tile import Pixels
from .aperio import aperio_scale
from .dicom_objects import TRANSFER_SYNTAXES
from .jpeg_colours import is_ycbcr
from .length_units import number_of
from .scale import ScaleStatement, scale_of
from .slide import SlideFacts, check_levels, fitting_levels, on_glass


def format_of(path: Path) -> str:
    """OpenSlide's name of a file's format, e.g. `aperio`; "" for files of other formats."""
    try:
        return str(openslide.OpenSlide.detect_format(path) or "")
    except (openslide.OpenSlideError, OSError):
        return ""


class OpenSlideSlide:
    """A slide that OpenSlide reads.

    Raises:
        UnreadableImage: OpenSlide does not read it, and why.
        MissingScale, ConflictingScales: it states no scale, or two, and none is given.
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
            self._read_header(mpp)
        except Exception:
            self._slide.close()
            raise

    def _read_header(self, mpp: float | None) -> None:
        sizes = self._slide.level_dimensions
        self._numbers = fitting_levels(sizes)
        self.levels = check_levels(self.path, [sizes[number] for number in self._numbers])
        properties = _readable_properties(self._slide.properties)
        syntax = properties.get("dicom.TransferSyntaxUID", "")
        self.facts = SlideFacts(
            make=properties.get("openslide.vendor", ""),
            compression=TRANSFER_SYNTAXES.get(syntax, syntax),
            scale=_stated_scales(properties),
        )
        self._photometric = properties.get("dicom.PhotometricInterpretation", "")
        self.mpp = scale_of(self.path, self.facts.scale, mpp)

    def check_colours(self) -> None:
        """Refuse DICOM of which OpenSlide would show YCbCr as RGB.

        Raises:
            UnreadableImage: its header and its JPEG stream disagree.
        """
        if self._photometric == "RGB" and is_ycbcr(self.path):
            self.close()
            raise UnreadableImage(
                self.path,
                "its header states RGB, but its JPEG stream is YCbCr: colours would be wrong",
                "Convert the slide to DICOM again, with a newer converter.",
            )

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
                self._numbers[level],
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


def _readable_properties(properties: Mapping[str, str]) -> dict[str, str]:
    """A copy without those of damaged names, which OpenSlide lists and does not find."""
    found = {}
    for name in properties:
        with suppress(KeyError, ValueError, openslide.OpenSlideError):
            found[name] = properties[name]
    return found


def _stated_scales(properties: Mapping[str, str]) -> tuple[ScaleStatement, ...]:
    """What OpenSlide reads of the scale, and what an Aperio slide states that it does not read."""
    read = ScaleStatement(
        "openslide.mpp-x and -y",
        x=number_of(properties.get("openslide.mpp-x", "")),
        y=number_of(properties.get("openslide.mpp-y", "")),
        is_habit=properties.get("openslide.vendor") == "generic-tiff",
    )
    aperio = [text for key, text in properties.items() if key.lower() == "aperio.mpp"]
    if not aperio:
        return (_or_magnification(read, properties),)
    return aperio_scale(aperio[0]), read


def _or_magnification(read: ScaleStatement, properties: Mapping[str, str]) -> ScaleStatement:
    """A magnification is named where no scale is stated; it is none."""
    power = properties.get("openslide.objective-power")
    if not power or not read.is_silent:
        return read
    return ScaleStatement("openslide.objective-power", problem=f"only a magnification, {power}x,")
