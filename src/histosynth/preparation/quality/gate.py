"""What a gate is: a measurement of a tile with a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...core.tile import Pixels
from .verdict import Verdict

Measure = Callable[[Pixels, float], float]
"""Value of a tile (H, W, 3) uint8 at its mpp."""


@dataclass(frozen=True)
class Gate:
    """One gate.

    Attributes:
        name: as in recipes, reasons for refusal and the column `quality_<name>` of a tile set.
        measure: the value of a tile.
        default_limit: the limit of recipes that name none.
        pass_all_limit: the limit at which every tile passes and nothing is measured.
        check_limit: raises `ValueError` for a limit that cannot be.
        conclude: the verdict on a value (first) at a limit (second).
    """

    name: str
    measure: Measure
    default_limit: float
    pass_all_limit: float
    check_limit: Callable[[str, float], None]
    conclude: Callable[[float, float], Verdict]

    def check(
        self,
        pixels: Pixels,
        mpp: float,
        limit: float,
    ) -> Verdict:
        """The verdict on a tile."""
        return self.conclude(self.measure(pixels, mpp), limit)


def share_gate(
    name: str,
    measure: Measure,
    default_limit: float,
    what: str,
) -> Gate:
    """A gate whose value is a share of the tile, which must not be above the limit.

    Args:
        name: of the gate.
        measure: the share, in [0, 1].
        default_limit: in [0, 1].
        what: begins the reason for refusal, e.g. "ink covers".
    """

    def conclude(value: float, limit: float) -> Verdict:
        return Verdict.at_most(value, limit, what)

    return Gate(
        name,
        measure,
        default_limit,
        pass_all_limit=1.0,
        check_limit=_check_share,
        conclude=conclude,
    )


def ratio_gate(
    name: str,
    measure: Measure,
    default_limit: float,
    what: str,
) -> Gate:
    """A gate whose value is a ratio of 0 or more, which must not be below the limit.

    Args:
        name: of the gate.
        measure: the ratio.
        default_limit: 0 or more.
        what: begins the reason for refusal, e.g. "fine detail is".
    """

    def conclude(value: float, limit: float) -> Verdict:
        return Verdict.at_least(value, limit, what)

    return Gate(
        name,
        measure,
        default_limit,
        pass_all_limit=0.0,
        check_limit=_check_not_negative,
        conclude=conclude,
    )


def _check_share(name: str, limit: float) -> None:
    if not 0 <= limit <= 1:
        raise ValueError(f"{name} must be a share in [0, 1], not {limit}")


def _check_not_negative(name: str, limit: float) -> None:
    if not limit >= 0:
        raise ValueError(f"{name} must not be negative, not {limit}")
