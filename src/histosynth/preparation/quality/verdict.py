"""Whether a tile passes a gate, and why not."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one gate on one tile.

    Attributes:
        ok: whether the tile passes.
        reason: why not, with the numbers; "" where it passes.
        value: what was measured.
    """

    ok: bool
    reason: str
    value: float

    @classmethod
    def at_most(
        cls,
        value: float,
        limit: float,
        what: str,
    ) -> Verdict:
        """Passes up to `limit`; `what` reads like "ink covers"."""
        if value <= limit:
            return cls(True, "", value)
        return cls(
            False,
            f"{what} {value:.1%}, more than {limit:.1%}",
            value,
        )

    @classmethod
    def at_least(
        cls,
        value: float,
        limit: float,
        what: str,
    ) -> Verdict:
        """Passes from `limit`; `what` reads like "fine detail is"."""
        if value >= limit:
            return cls(True, "", value)
        return cls(
            False,
            f"{what} {value:.2f}, less than {limit:.2f}",
            value,
        )
