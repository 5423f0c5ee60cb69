"""How series are drawn, in plots and legends: never distinguished by colour alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...metrics.finding import Series


@dataclass(frozen=True)
class LineStyle:
    """How a series is drawn.

    Attributes:
        role: names the colour, a variable of the page's style.
        colour: stands for it in the output of matplotlib. Okabe & Ito (2008), as on contact sheets.
        dash: lengths of strokes and gaps; empty: solid.
        marker: matplotlib's name of the mark.
        shape: the same mark as an SVG path around (0, 0).
        opacity: a second series of the same role is paler.
    """

    role: str
    colour: str
    dash: tuple[float, ...]
    marker: str
    shape: str
    opacity: float = 1.0


LINE_STYLES = {
    "real": LineStyle("real", "#0072b2", (), "o", "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0Z"),
    "synthetic": LineStyle("synthetic", "#d55e00", (7, 3), "^", "M0,-4.5L4.5,4L-4.5,4Z"),
    "reference": LineStyle("reference", "#009e73", (7, 2, 2, 2), "s", "M-3.5,-3.5H3.5V3.5H-3.5Z"),
    "requested": LineStyle("requested", "#cc79a7", (2, 2), "D", "M0,-5L5,0L0,5L-5,0Z"),
}
PLOT_TEXT_COLOUR = "#333131"
RULE_COLOUR = "#dddbdb"
"""Replaced by colours of the page's style; matplotlib uses them for nothing else."""
MIN_OPACITY = 0.35


def styles_of(series: Sequence[Series]) -> list[LineStyle]:
    """One style each; a second series of a role has another dash and is paler."""
    earlier: Counter[str] = Counter()
    styles = []
    for each in series:
        style = LINE_STYLES[each.role]
        repeats = earlier[each.role]
        earlier[each.role] += 1
        if repeats:
            dashes = ((4.0 + 2 * repeats, 1.5), (1.5, 1.5 * repeats))
            opacity = max(MIN_OPACITY, 0.75**repeats)
            style = replace(
                style,
                dash=dashes[repeats % 2],
                opacity=opacity,
            )
        styles.append(style)
    return styles
