"""The scale of a slide: from all that its file states of it, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ConflictingScales, MissingScale
from ..core.units import MAX_MPP, MIN_MPP, check_mpp_option, is_mpp

MAX_DIFFERENCE = 0.01
"""Two statements of one scale may differ by so much: rounding, and pixels that are not quite
square."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ScaleStatement:
    """What one part of a file states of the scale of level 0.

    Attributes:
        source: where it stands, e.g. `PhysicalSizeX of its OME-XML`.
        x: um/px across, or None.
        y: um/px down, or None.
        problem: what stands there and is not understood; "" where it is.
        is_habit: programs write a resolution there without knowing one (72 dpi): a value that no
            microscope has says nothing.
    """

    source: str
    x: float | None = None
    y: float | None = None
    problem: str = ""
    is_habit: bool = False

    @property
    def mpp(self) -> float | None:
        """The mean of the stated axes, um/px."""
        if self.x is None or self.y is None:
            return self.y if self.x is None else self.x
        return (self.x + self.y) / 2

    @property
    def is_usable(self) -> bool:
        """Whether a scale of a microscope is stated."""
        return not self.problem and self.mpp is not None and is_mpp(self.mpp)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is stated at all."""
        return not self.problem and self.mpp is None

    def __str__(self) -> str:
        if self.problem:
            return f"{self.problem} in {self.source}"
        mpp = self.mpp or 0.0
        limits = "" if is_mpp(mpp) else f", outside {MIN_MPP:g} to {MAX_MPP:g}"
        return f"{mpp:.6g} um/px in {self.source}{limits}"


def scale_of(
    path: Path,
    stated: Sequence[ScaleStatement],
    given: float | None,
) -> float:
    """The scale of level 0: what the user gives, else what the file states.

    Args:
        path: the file.
        stated: what its parts state, the most trusted first.
        given: by the user, or None.

    Raises:
        BadOption: what the user gives cannot be a microscope's scale.
        MissingScale: nothing usable is stated.
        ConflictingScales: two parts, or both axes, differ by more than 1 %.
    """
    if given is not None:
        check_mpp_option(given)
        return given
    usable = [each for each in stated if each.is_usable]
    unclear = [each for each in stated if not (each.is_usable or each.is_silent)]
    is_unsure = any(not each.is_habit for each in unclear)
    if not usable or is_unsure:
        raise MissingScale(str(path), "; ".join(map(str, unclear)))
    return _common_mpp(path, usable)


def _common_mpp(path: Path, usable: Sequence[ScaleStatement]) -> float:
    """The scale that all statements agree on."""
    first = _mpp_of(usable[0])
    for each in usable:
        _check_axes(path, each)
        if not _is_same(first, _mpp_of(each)):
            raise ConflictingScales(str(path), str(usable[0]), str(each))
    return first


def _mpp_of(stated: ScaleStatement) -> float:
    assert stated.mpp is not None  # noqa: S101 - usable ones have a value
    return stated.mpp


def _check_axes(path: Path, stated: ScaleStatement) -> None:
    """Refuse pixels that are not square."""
    if stated.x is None or stated.y is None or _is_same(stated.x, stated.y):
        return
    raise ConflictingScales(
        str(path),
        f"{stated.x:.6g} um/px across",
        f"{stated.y:.6g} um/px down, in {stated.source}",
    )


def _is_same(mpp: float, other: float) -> bool:
    """Whether two positive scales differ by at most 1 % of the smaller."""
    small, large = sorted((mpp, other))
    return small > 0 and large / small - 1 <= MAX_DIFFERENCE + _ROUNDING
