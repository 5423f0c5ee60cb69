"""Physical scale: micrometres per pixel (mpp), its limits, and lengths in pixels."""

from __future__ import annotations

from .errors import BadOption

MIN_MPP = 0.05
MAX_MPP = 20.0
"""Scales taken for microscopy. Outside are the 72 or 96 dpi that programs write by habit."""
SCALE_TOLERANCE = 0.03
"""Two scales count as the same where they differ by at most this share."""
_ROUNDING = 1e-9
"""So that the limit itself is within the tolerance, e.g. 0.515 of 0.5."""


def is_mpp(mpp: float) -> bool:
    """Whether a number can be the scale of a microscope image; NaN cannot."""
    return MIN_MPP <= mpp <= MAX_MPP


def check_mpp(mpp: float, name: str = "mpp") -> None:
    """Refuse a scale outside the limits.

    Args:
        mpp: micrometres per pixel.
        name: of the value, as the message shows it.

    Raises:
        ValueError: naming the value and the limits.
    """
    if not is_mpp(mpp):
        raise ValueError(f"{name} must lie in [{MIN_MPP:g}, {MAX_MPP:g}], not {mpp}")


def check_mpp_option(mpp: float) -> None:
    """Refuse a scale that the user gives as an option.

    Raises:
        BadOption: naming the limits.
    """
    if not is_mpp(mpp):
        raise BadOption("--mpp", mpp, f"from {MIN_MPP:g} to {MAX_MPP:g} micrometres per pixel")


def same_scale(mpp: float, reference_mpp: float) -> bool:
    """Whether two scales differ by at most `SCALE_TOLERANCE` of the reference."""
    return abs(mpp / reference_mpp - 1) <= SCALE_TOLERANCE + _ROUNDING


def um_to_px(length_um: float, mpp: float) -> float:
    """A length in micrometres as pixels at a scale."""
    return length_um / mpp
