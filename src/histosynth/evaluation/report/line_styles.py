"""How series are drawn, on plots and in their legends: never told apart by colour alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...metrics.finding import Series


@dataclass(frozen=True)
class Look:
    """How a series is drawn: never by its colour alone.

    Attributes:
        role: names the colour, a variable of the page's style.
        colour: stands for it in what matplotlib writes. Okabe & Ito (2008), as on contact sheets.
        dash: lengths of strokes and gaps; empty: solid.
        marker: as matplotlib calls it.
        shape: the same mark as an SVG path about (0, 0).
        opacity: a second series of the same role is paler.
    """

    role: str
    colour: str
    dash: tuple[float, ...]
    marker: str
    shape: str
    opacity: float = 1.0


LOOKS = {
    "real": Look("real", "#0072b2", (), "o", "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z"),
    "synthetic": Look("synthetic", "#d55e00", (7, 3), "^", "M0,-4.5L4.5,4L-4.5,4Z"),
    "reference": Look("reference", "#009e73", (7, 2, 2, 2), "s", "M-3.5,-3.5H3.5V3.5H-3.5Z"),
    "requested": Look("requested", "#cc79a7", (2, 2), "D", "M0,-5L5,0L0,5L-5,0Z"),
}
INK = "#333131"
RULE = "#dddbdb"
"""Stand for colours of the page's style; nothing else in matplotlib is of these."""


def looks_of(series: Sequence[Series]) -> list[Look]:
    """One look each; a second series of a role has other strokes and is paler."""
    seen: dict[str, int] = {}
    looks = []
    for each in series:
        look = LOOKS[each.role]
        times = seen.get(each.role, 0)
        seen[each.role] = times + 1
        if times:  # of the same role: paler, and other strokes
            dash = ((4.0 + 2 * times, 1.5), (1.5, 1.5 * times))[times % 2]
            look = Look(
                look.role,
                look.colour,
                dash,
                look.marker,
                look.shape,
                max(0.35, 0.75**times),
            )
        looks.append(look)
    return looks
