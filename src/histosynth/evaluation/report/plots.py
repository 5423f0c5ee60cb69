"""Plots as inline SVG. All words stay outside, in HTML: the SVG holds lines, marks and numbers of
ticks.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core.arrays import Float64Array
from ...metrics.finding import Plot, Series
from .line_styles import INK, LOOKS, RULE, Look, looks_of
from .number_format import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (440, 250)
"""Of a plot, in pixels of the page at its full width."""
MOST_POINTS = 2000
"""Of one series; evenly thinned beyond."""
MOST_RUG = 150
FEW = 8
"""Of fewer values no density is told: they are shown as they are."""
FAR = 8.0
"""Values farther than so many interquartile ranges from the quartiles are left outside a density's
view."""
GRID = 256
MOST_STEPS = 30
"""Whole numbers of no wider range are counts: they get the steps of a histogram."""


class Entry(NamedTuple):
    """One line of a legend."""

    name: str
    look: Look
    mark: bool
    stroke: bool


@dataclass(frozen=True)
class Drawing:
    """A plot drawn.

    Attributes:
        svg: the element; "" where there was nothing to draw.
        legend: what is what.
        notes: what was left out.
    """

    svg: str
    legend: tuple[Entry, ...]
    notes: tuple[str, ...]


def draw(plot: Plot, prefix: str) -> Drawing:
    """Draw a plot; equal plots give equal bytes.

    Args:
        plot: what is to be shown; values that are not finite are left out.
        prefix: of the ids inside the SVG, which must be unique in a page.
    """
    import matplotlib
    from matplotlib.figure import Figure

    looks = looks_of(plot.series)
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fonts: none of matplotlib's is used
        matplotlib.rcdefaults()  # not what the user's own matplotlibrc says
        matplotlib.rcParams.update(
            {
                "svg.hashsalt": "histosynth",
                "svg.fonttype": "none",
                "font.size": 11,
            }
        )
        figure = Figure(figsize=(SIZE[0] / 72, SIZE[1] / 72), layout="constrained")
        axes = figure.add_subplot()
        if plot.kind == "density":
            legend, notes = _densities(axes, plot.series, looks)
        else:
            legend, notes = _curves(axes, plot, looks)
        if not legend:
            return Drawing("", (), ("there are no values to draw",))
        if plot.mark is not None and np.isfinite(plot.mark[0]):
            _mark(axes, plot.mark[0])
        _dress(axes, plot.kind == "density")
        return Drawing(_svg(figure, prefix), tuple(legend), tuple(notes))


def _mark(axes: Axes, at: float) -> None:
    low, high = axes.get_xlim()
    pad = 0.04 * (high - low)
    axes.axvline(
        at,
        color=INK,
        linewidth=1,
        dashes=(2, 3),
        zorder=1,
    )
    axes.set_xlim(min(low, at - pad), max(high, at + pad))


def _curves(axes: Axes, plot: Plot, looks: Sequence[Look]) -> tuple[list[Entry], list[str]]:
    legend = []
    notes = []
    for order, (series, look) in enumerate(zip(plot.series, looks, strict=True)):
        many = min(len(series.x), len(series.y))
        x, y = (np.asarray(side, np.float64)[:many] for side in (series.x, series.y))
        kept = np.isfinite(x) & np.isfinite(y)
        x = x[kept]
        y = y[kept]
        name = series.name or series.role
        if not len(x):
            notes.append(f"{name}: no values")
            continue
        if len(x) > MOST_POINTS:
            notes.append(f"{name}: {count(MOST_POINTS)} of {count(len(x))} points drawn")
            rows = np.linspace(0, len(x) - 1, MOST_POINTS).astype(np.intp)
            x = x[rows]
            y = y[rows]
        # two points of what was requested are a line to compare with, not data
        scatter = plot.kind == "scatter" and not (series.role == "requested" and len(x) == 2)
        marked = scatter or 2 < len(x) <= 25
        style: dict[str, Any] = {
            "color": look.colour,
            "markersize": 5,
            "markeredgewidth": 0,
        }
        style |= {
            "alpha": look.opacity * (0.7 if scatter and len(x) > 50 else 1),
            "zorder": 3 + order,
        }
        style |= {"marker": look.marker if marked else "", "linewidth": 0 if scatter else 1.8}
        if look.dash and not scatter:
            style["dashes"] = _in_widths(look)
        axes.plot(x, y, **style)
        legend.append(Entry(name, look, marked, not scatter))
    return legend, notes


def _in_widths(look: Look) -> tuple[float, ...]:
    # matplotlib counts strokes in widths of the line
    return tuple(length / 1.8 for length in look.dash)


def _densities(
    axes: Axes, series: Sequence[Series], looks: Sequence[Look]
) -> tuple[list[Entry], list[str]]:
    values = [_finite(each.x) for each in series]
    legend: list[Entry] = []
    notes: list[str] = []
    pooled = np.concatenate(values) if values else np.zeros(0)
    if not len(pooled):
        return legend, notes
    view = _view(pooled)
    beyond = int(((pooled < view[0]) | (pooled > view[1])).sum())
    if beyond:
        notes.append(f"{count(beyond)} far outside {'is' if beyond == 1 else 'are'} not shown")
    values = [each[(each >= view[0]) & (each <= view[1])] for each in values]
    shapes = [_shape(each, view) for each in values]
    top = max((float(y.max()) for _, y in filter(None, shapes)), default=1.0) or 1.0
    across = axes.get_xaxis_transform()
    for row, (one, look, numbers, shape) in enumerate(
        zip(series, looks, values, shapes, strict=True)
    ):
        name = one.name or one.role
        if not len(numbers):
            notes.append(f"{name}: no values")
            continue
        style: dict[str, Any] = {
            "color": look.colour,
            "alpha": look.opacity,
            "zorder": 4 + row,
        }
        strokes: dict[str, Any] = {"dashes": _in_widths(look)} if look.dash else {}
        if shape is not None:
            axes.plot(
                *shape,
                linewidth=1.8,
                **style,
                **strokes,
            )
            axes.fill_between(
                *shape,
                color=look.colour,
                alpha=0.1 * look.opacity,
                linewidth=0,
                zorder=2,
            )
        elif len(numbers) >= FEW:  # all the same
            axes.plot(
                [numbers[0]] * 2,
                [0.16, 0.9],
                transform=across,
                linewidth=1.8,
                **style,
                **strokes,
            )
            notes.append(f"{name}: all values are the same")
        else:
            height = [0.3 + 0.12 * row] * len(numbers)
            axes.plot(
                numbers,
                height,
                look.marker,
                transform=across,
                markersize=6,
                **style,
            )
            notes.append(f"{name}: too few values for a curve, each is shown")
        rug = _thinned(np.sort(numbers), MOST_RUG)
        axes.plot(
            rug,
            [0.02 + 0.03 * row] * len(rug),
            "|",
            transform=across,
            markersize=5,
            **style,
        )
        legend.append(
            Entry(
                name,
                look,
                shape is None and len(numbers) < FEW,
                len(numbers) >= FEW,
            )
        )
    left, right = _padded(view)
    ends = [x[at] for x, _ in filter(None, shapes) for at in (0, -1)]
    axes.set_xlim(min([left, *ends]), max([right, *ends]))
    axes.set_ylim(-0.05 * top - 0.045 * top * len(series), 1.08 * top)
    axes.axhline(
        0,
        color=RULE,
        linewidth=1,
        zorder=1,
    )
    return legend, notes


def _finite(values: Sequence[float]) -> Float64Array:
    numbers = np.asarray(values, np.float64).ravel()
    kept: Float64Array = numbers[np.isfinite(numbers)]
    return kept


def _view(pooled: Float64Array) -> tuple[float, float]:
    """Of all values, but for those so far away that nothing else could be seen."""
    low, high = np.percentile(pooled, [25, 75])
    far = FAR * (high - low)
    inside = pooled[(pooled >= low - far) & (pooled <= high + far)] if far > 0 else pooled
    return float(inside.min()), float(inside.max())


def _padded(view: tuple[float, float]) -> tuple[float, float]:
    pad = 0.04 * (view[1] - view[0]) or 0.5 * abs(view[0]) or 1.0
    return view[0] - pad, view[1] + pad


def _shape(
    values: Float64Array, view: tuple[float, float]
) -> tuple[Float64Array, Float64Array] | None:
    """A kernel density (Scott's rule), or the steps of a histogram of counts; None: it cannot be
    told.
    """
    from scipy.stats import gaussian_kde

    if len(values) < FEW:
        return None
    if view[1] - view[0] <= MOST_STEPS and not (values % 1).any():
        edges = np.arange(view[0] - 0.5, view[1] + 1)
        shares = np.histogram(values, edges)[0] / len(values)
        return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(shares, 2), [0.0]])
    spread = float(values.std())
    if spread <= 1e-9 * max(1e-12, float(np.abs(values).max())):
        return None
    kde = gaussian_kde(_thinned(np.sort(values), MOST_POINTS))
    width = 2.5 * float(kde.factor) * spread
    ends = _padded(view)
    low = max(values.min() - width, ends[0])
    high = min(values.max() + width, ends[1])
    # amounts have no density below 0, nor shares above 1
    low = max(low, 0.0) if view[0] >= 0 else low
    high = min(high, 1.0) if view[0] >= 0 and view[1] <= 1 else high
    x = np.linspace(low, high, GRID)
    return x, np.asarray(kde(x), np.float64)


def _thinned(ordered: Float64Array, most: int) -> Float64Array:
    if len(ordered) <= most:
        return ordered
    kept: Float64Array = ordered[np.linspace(0, len(ordered) - 1, most).astype(np.intp)]
    return kept


def _dress(axes: Axes, density: bool) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(
        colors=INK,
        length=0,
        labelsize=11,
    )
    axes.set_axisbelow(True)
    axes.locator_params(nbins=6)
    if density:  # heights only compare
        axes.set_yticks([])
    else:
        axes.grid(
            axis="y",
            color=RULE,
            linewidth=0.8,
        )
    axes.ticklabel_format(useOffset=False)
    axes.patch.set_visible(False)


def _svg(figure: Any, prefix: str) -> str:
    from io import StringIO

    figure.patch.set_visible(False)
    buffer = StringIO()
    nothing = {key: None for key in ("Date", "Creator", "Format", "Type")}
    figure.savefig(buffer, format="svg", metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # HTML needs no namespaces; the style would hold for the whole page, which has it too
    svg = re.sub(
        r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->",
        "",
        svg,
        flags=re.DOTALL,
    )
    svg = re.sub(
        r"<svg [^>]*>",
        f'<svg viewBox="0 0 {SIZE[0]} {SIZE[1]}">',
        svg,
        count=1,
    )
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", svg)
    # one family for the page, whatever it is
    svg = re.sub(r"font(-size|-family)?: [^;\"]*; ", "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    for look in LOOKS.values():
        svg = svg.replace(look.colour, f"var(--{look.role})")
    svg = svg.replace(INK, "var(--soft)").replace(RULE, "var(--rule)")
    return re.sub(r"\n\s*", "\n", svg).strip()
