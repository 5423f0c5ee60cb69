"""The scale that a file of annotations states for its coordinates, and that of its picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import BadNuclei
from ..core.units import is_mpp
from .number_text import is_number, parse_number

UM_AT_1X = 10.0
"""Micrometres per pixel at a magnification of 1: at 40x scanners have about 0.25."""
_SAME = 0.02
"""Scales that are measured and differ by less, as a share, are the same."""
_NOMINAL_STEPS = 0.25
"""Farthest that a magnification may lie from a whole number of doublings, in doublings."""


@dataclass(frozen=True)
class CoordinateScale:
    """The scale of a file's coordinates.

    Attributes:
        mpp: micrometres per pixel.
        text: as the file states it, e.g. `mag 40`.
        is_nominal: from a magnification, which names a scale only roughly.
    """

    mpp: float
    text: str
    is_nominal: bool = False

    def factor_to(self, mpp: float) -> float | None:
        """What turns a length in the file's pixels into pixels of a picture of `mpp`.

        Pyramids and magnifications double, so that the factor is a power of two. None: it is none,
        and where the coordinates belong is not known.
        """
        doublings = math.log2(self.mpp / mpp)
        nearest = round(doublings)
        farthest = _NOMINAL_STEPS if self.is_nominal else math.log2(1 + _SAME)
        return 2.0**nearest if abs(doublings - nearest) <= farthest else None


def coordinate_scale_of(values: Mapping[str, Any]) -> CoordinateScale | None:
    """The scale that JSON of HoVer-Net, CellViT or TIAToolbox states; None where it states none.

    Raises:
        ValueError: a value that is no scale.
    """
    slide = values.get("wsi_metadata")
    if isinstance(slide, Mapping):
        # CellViT writes level-0 pixels, whatever scale its network worked at
        return _mpp(slide, "base_mpp", "wsi_metadata.base_mpp") or _magnification(
            slide, "base_magnification", "wsi_metadata.base_magnification"
        )
    resolution = values.get("resolution")
    if isinstance(resolution, Mapping):
        return _resolution(resolution)
    return (
        _mpp(values, "mpp", "mpp")
        or _magnification(values, "mag", "mag")
        or _magnification(values, "magnification", "magnification")
    )


def _mpp(
    values: Mapping[str, Any],
    key: str,
    name: str,
) -> CoordinateScale | None:
    value = _number(values.get(key), name)
    if value is None:
        return None
    if not is_mpp(value):
        raise ValueError(f"{name} is {value:g}, which is no microscope's scale")
    return CoordinateScale(value, f"{name} {value:g}")


def _magnification(
    values: Mapping[str, Any],
    key: str,
    name: str,
) -> CoordinateScale | None:
    value = _number(values.get(key), name)
    if value is None:
        return None
    if not (value > 0 and is_mpp(UM_AT_1X / value)):
        raise ValueError(f"{name} is {value:g}, which is no microscope's magnification")
    return CoordinateScale(UM_AT_1X / value, f"{name} {value:g}", is_nominal=True)


def _resolution(values: Mapping[str, Any]) -> CoordinateScale | None:
    """TIAToolbox's `resolution` and `units`; level and baseline 0 or 1 are the slide's pixels."""
    units = values.get("units")
    value = values.get("resolution")
    if units == "mpp":
        return _mpp(values, "resolution", "resolution in mpp")
    if units == "power":
        return _magnification(values, "resolution", "resolution in power")
    if (units, value) in (("level", 0), ("baseline", 1)):
        return None
    raise ValueError(f"a resolution of {value!r} {units!r}")


def _number(value: Any, name: str) -> float | None:
    """A number, also as text: OpenSlide's properties are texts, and tools copy them."""
    if value is None:
        return None
    if isinstance(value, str) and is_number(value):
        return parse_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}, not a number")
    return float(value)


def factor_of(
    scale: CoordinateScale | None,
    mpp: float,
    name: str,
) -> float:
    """What turns a file's pixels into those of its picture.

    Args:
        scale: that the file states; None: its pixels are the picture's.
        mpp: of the picture, micrometres per pixel.
        name: of the file, for the message.

    Raises:
        BadNuclei: the two scales do not fit.
    """
    if scale is None:
        return 1.0
    factor = scale.factor_to(mpp)
    if factor is None:
        about = f"about {scale.mpp:g}" if scale.is_nominal else f"{scale.mpp:g}"
        raise BadNuclei(
            f"{name} states {scale.text} ({about} um/px), but its picture has {mpp:g} um/px: in "
            "whose pixels its coordinates are is not known.",
            "Correct the scale (--mpp), or write the coordinates in the picture's pixels and "
            "remove the scale from the file.",
        )
    return factor
