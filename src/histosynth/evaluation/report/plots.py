"""Plots as inline SVG: lines, marks and tick labels. All words are outside, in HTML."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...core.arrays import Float64Array
from ...core.number_format import format_count
from ...metrics.finding import Plot, Series
from .line_styles import LINE_STYLES, PLOT_TEXT_COLOUR, RULE_COLOUR, LineStyle, styles_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_PX = (440, 250)
"""Of a plot, in pixels of the page at its full width."""
MAX_POINTS = 2000
"""Points of one series; of more, evenly spaced ones are drawn."""
MAX_RUG_MARKS = 150
MIN_DENSITY_VALUES = 8
"""Fewer values have no density curve; each is drawn."""
FAR_RANGES = 8.0
"""Values farther than so many interquartile ranges from the quartiles are outside the view."""
DENSITY_POINTS = 256
MAX_HISTOGRAM_STEPS = 30
"""Whole numbers of no wider range are counts: they get the steps of a histogram."""
MAX_MARKED_POINTS = 25
LINE_WIDTH = 1.8
_View = tuple[float, float]
Curve = tuple[Float64Array, Float64Array]
Style = dict[str, Any]


class Entry(NamedTuple):
    """One line of a legend: with a mark, a stroke or both."""

    name: str
    style: LineStyle
    mark: bool
    stroke: bool


@dataclass(frozen=True)
class Drawing:
    """A plot drawn.

    Attributes:
        svg: the element; "" where there was nothing to draw.
        legend: of the series.
        notes: what was left out.
    """

    svg: str
    legend: tuple[Entry, ...]
    notes: tuple[str, ...]


def draw(plot: Plot, prefix: str) -> Drawing:
    """Draw a plot; equal plots give equal bytes.

    Args:
        plot: values that are not finite are left out.
        prefix: of the ids inside the SVG, which must be unique in a page.
    """
    import matplotlib
    from matplotlib.figure import Figure

    styles = styles_of(plot.series)
    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about fonts: none of matplotlib's is used
        matplotlib.rcdefaults()  # not the settings of the user's own matplotlibrc
        matplotlib.rcParams["svg.hashsalt"] = "histosynth"
        matplotlib.rcParams["svg.fonttype"] = "none"
        matplotlib.rcParams["font.size"] = 11
        figure = Figure(
            figsize=(SIZE_PX[0] / 72, SIZE_PX[1] / 72),
            layout="constrained",
        )
        axes = figure.add_subplot()
        if plot.form == "density":
            legend, notes = _draw_densities(axes, plot.series, styles)
        else:
            legend, notes = _draw_curves(axes, plot, styles)
        if not legend:
            return Drawing("", (), ("there are no values to draw",))
        if plot.mark is not None and np.isfinite(plot.mark[0]):
            _draw_mark(axes, plot.mark[0])
        _style_axes(axes, is_density=plot.form == "density")
        return Drawing(
            _svg(figure, prefix),
            tuple(legend),
            tuple(notes),
        )


def _draw_mark(axes: Axes, value: float) -> None:
    """A vertical line at a value, which the view includes."""
    low, high = axes.get_xlim()
    pad = 0.04 * (high - low)
    axes.axvline(
        value,
        color=PLOT_TEXT_COLOUR,
        linewidth=1,
        dashes=(2, 3),
        zorder=1,
    )
    axes.set_xlim(min(low, value - pad), max(high, value + pad))


def _draw_curves(
    axes: Axes,
    plot: Plot,
    styles: Sequence[LineStyle],
) -> tuple[list[Entry], list[str]]:
    legend = []
    notes = []
    for order, (series, style) in enumerate(zip(plot.series, styles, strict=True)):
        name = series.name or series.role
        x, y = _finite_points(series)
        if not len(x):
            notes.append(f"{name}: no values")
            continue
        if len(x) > MAX_POINTS:
            drawn = f"{format_count(MAX_POINTS)} of {format_count(len(x))}"
            notes.append(f"{name}: {drawn} points drawn")
            rows = np.linspace(0, len(x) - 1, MAX_POINTS).astype(np.intp)
            x = x[rows]
            y = y[rows]
        # two points of what was requested are a line to compare with, not data
        is_guide = series.role == "requested" and len(x) == 2
        is_scatter = plot.form == "scatter" and not is_guide
        is_marked = is_scatter or 2 < len(x) <= MAX_MARKED_POINTS
        options = _curve_options(
            style,
            len(x),
            is_scatter=is_scatter,
            is_marked=is_marked,
        )
        axes.plot(x, y, zorder=3 + order, **options)
        legend.append(Entry(name, style, is_marked, not is_scatter))
    return legend, notes


def _finite_points(series: Series) -> Curve:
    """Points of a series whose x and y are finite."""
    count = min(len(series.x), len(series.y))
    x = np.asarray(series.x, np.float64)[:count]
    y = np.asarray(series.y, np.float64)[:count]
    kept = np.isfinite(x) & np.isfinite(y)
    return x[kept], y[kept]


def _curve_options(
    style: LineStyle,
    points: int,
    *,
    is_scatter: bool,
    is_marked: bool,
) -> dict[str, Any]:
    """Options of matplotlib's `plot`."""
    options: dict[str, Any] = {
        "color": style.colour,
        "alpha": style.opacity,
        "markersize": 5,
        "markeredgewidth": 0,
        "marker": style.marker if is_marked else "",
        "linewidth": 0 if is_scatter else LINE_WIDTH,
    }
    if is_scatter and points > 50:
        options["alpha"] = style.opacity * 0.7
    if style.dash and not is_scatter:
        options["dashes"] = _dash_in_widths(style)
    return options


def _dash_in_widths(style: LineStyle) -> tuple[float, ...]:
    """Matplotlib counts strokes in widths of the line."""
    return tuple(length / LINE_WIDTH for length in style.dash)


def _draw_densities(
    axes: Axes,
    series: Sequence[Series],
    styles: Sequence[LineStyle],
) -> tuple[list[Entry], list[str]]:
    values = [_finite(each.x) for each in series]
    pooled = np.concatenate(values) if values else np.zeros(0)
    if not len(pooled):
        return [], []
    view = _view(pooled)
    legend: list[Entry] = []
    notes = _outside_note(pooled, view)
    curves = []
    for row, (one, style) in enumerate(zip(series, styles, strict=True)):
        name = one.name or one.role
        numbers = _inside(values[row], view)
        if not len(numbers):
            notes.append(f"{name}: no values")
            continue
        curve = _density(numbers, view)
        if curve is not None:
            curves.append(curve)
        note = _draw_density(axes, row, style, numbers, curve)
        if note:
            notes.append(f"{name}: {note}")
        is_curve = len(numbers) >= MIN_DENSITY_VALUES
        legend.append(
            Entry(
                name,
                style,
                mark=not is_curve,
                stroke=is_curve,
            )
        )
    _fit_density_axes(axes, view, curves, len(series))
    return legend, notes


def _inside(values: Float64Array, view: _View) -> Float64Array:
    low, high = view
    kept: Float64Array = values[(values >= low) & (values <= high)]
    return kept


def _outside_note(pooled: Float64Array, view: _View) -> list[str]:
    """States how many values are outside the view."""
    beyond = len(pooled) - len(_inside(pooled, view))
    if not beyond:
        return []
    verb = "is" if beyond == 1 else "are"
    return [f"{format_count(beyond)} far outside {verb} not shown"]


def _draw_density(
    axes: Axes,
    row: int,
    style: LineStyle,
    numbers: Float64Array,
    curve: Curve | None,
) -> str:
    """Draw one distribution; returns a note where it has no curve."""
    across = axes.get_xaxis_transform()
    options: Style = {
        "color": style.colour,
        "alpha": style.opacity,
        "zorder": 4 + row,
    }
    strokes: Style = {"linewidth": LINE_WIDTH}
    if style.dash:
        strokes["dashes"] = _dash_in_widths(style)
    note = ""
    if curve is not None:
        axes.plot(*curve, **options, **strokes)
        axes.fill_between(
            *curve,
            color=style.colour,
            alpha=0.1 * style.opacity,
            linewidth=0,
            zorder=2,
        )
    elif len(numbers) >= MIN_DENSITY_VALUES:
        note = "all values are the same"
        x = [numbers[0], numbers[0]]
        y = [0.16, 0.9]
        axes.plot(
            x,
            y,
            transform=across,
            **options,
            **strokes,
        )
    else:
        note = "too few values for a curve, each is shown"
        y = [0.3 + 0.12 * row] * len(numbers)
        axes.plot(
            numbers,
            y,
            style.marker,
            transform=across,
            markersize=6,
            **options,
        )
    _draw_rug(axes, row, numbers, options)
    return note


def _draw_rug(
    axes: Axes,
    row: int,
    numbers: Float64Array,
    options: Style,
) -> None:
    """Marks of the values below the curves, one row a series."""
    rug = _evenly(np.sort(numbers), MAX_RUG_MARKS)
    axes.plot(
        rug,
        [0.02 + 0.03 * row] * len(rug),
        "|",
        transform=axes.get_xaxis_transform(),
        markersize=5,
        **options,
    )


def _fit_density_axes(
    axes: Axes,
    view: _View,
    curves: Sequence[Curve],
    count: int,
) -> None:
    """Limits that include all curves, and room for the rugs of `count` series."""
    top = max((float(y.max()) for _, y in curves), default=1.0) or 1.0
    left, right = _padded(view)
    for x, _ in curves:
        left = min(left, x[0], x[-1])
        right = max(right, x[0], x[-1])
    axes.set_xlim(left, right)
    axes.set_ylim(-0.05 * top - 0.045 * top * count, 1.08 * top)
    axes.axhline(
        0,
        color=RULE_COLOUR,
        linewidth=1,
        zorder=1,
    )


def _finite(values: Sequence[float]) -> Float64Array:
    numbers = np.asarray(values, np.float64).ravel()
    kept: Float64Array = numbers[np.isfinite(numbers)]
    return kept


def _view(pooled: Float64Array) -> _View:
    """The range of all values except those so far away that nothing else could be seen."""
    low, high = np.percentile(pooled, [25, 75])
    far = FAR_RANGES * (high - low)
    inside = pooled
    if far > 0:
        inside = pooled[(pooled >= low - far) & (pooled <= high + far)]
    return float(inside.min()), float(inside.max())


def _padded(view: _View) -> _View:
    pad = 0.04 * (view[1] - view[0]) or 0.5 * abs(view[0]) or 1.0
    return view[0] - pad, view[1] + pad


def _density(values: Float64Array, view: _View) -> Curve | None:
    """A kernel density (Scott's rule), or a histogram of counts; None: too few or equal values."""
    if len(values) < MIN_DENSITY_VALUES:
        return None
    is_whole = not (values % 1).any()
    if is_whole and view[1] - view[0] <= MAX_HISTOGRAM_STEPS:
        return _histogram(values, view)
    spread = float(values.std())
    if spread <= 1e-9 * max(1e-12, float(np.abs(values).max())):
        return None
    return _kernel_density(values, view, spread)


def _histogram(values: Float64Array, view: _View) -> Curve:
    edges = np.arange(view[0] - 0.5, view[1] + 1)
    shares = np.histogram(values, edges)[0] / len(values)
    return np.repeat(edges, 2), np.concatenate([[0.0], np.repeat(shares, 2), [0.0]])


def _kernel_density(
    values: Float64Array,
    view: _View,
    spread: float,
) -> Curve:
    from scipy.stats import gaussian_kde

    kernel = gaussian_kde(_evenly(np.sort(values), MAX_POINTS))
    width = 2.5 * float(kernel.factor) * spread
    ends = _padded(view)
    low = max(values.min() - width, ends[0])
    high = min(values.max() + width, ends[1])
    # amounts have no density below 0, nor shares above 1
    if view[0] >= 0:
        low = max(low, 0.0)
        if view[1] <= 1:
            high = min(high, 1.0)
    x = np.linspace(low, high, DENSITY_POINTS)
    return x, np.asarray(kernel(x), np.float64)


def _evenly(ordered: Float64Array, most: int) -> Float64Array:
    """At most `most` values, evenly spaced over all of them."""
    if len(ordered) <= most:
        return ordered
    kept: Float64Array = ordered[np.linspace(0, len(ordered) - 1, most).astype(np.intp)]
    return kept


def _style_axes(axes: Axes, *, is_density: bool) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(RULE_COLOUR)
    axes.tick_params(
        colors=PLOT_TEXT_COLOUR,
        length=0,
        labelsize=11,
    )
    axes.set_axisbelow(True)
    axes.locator_params(nbins=6)
    if is_density:  # heights have no unit, they only compare
        axes.set_yticks([])
    else:
        axes.grid(
            axis="y",
            color=RULE_COLOUR,
            linewidth=0.8,
        )
    axes.ticklabel_format(useOffset=False)
    axes.patch.set_visible(False)


def _svg(figure: Figure, prefix: str) -> str:
    """The figure as an SVG element for HTML, with ids and colours of the page."""
    figure.patch.set_visible(False)
    buffer = StringIO()
    no_metadata = {key: None for key in ("Date", "Creator", "Format", "Type")}
    figure.savefig(
        buffer,
        format="svg",
        metadata=no_metadata,
    )
    text = buffer.getvalue()
    svg = text[text.index("<svg") :]
    # HTML needs no namespaces; a style would apply to the whole page, which has its own
    unused = r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->"
    svg = re.sub(unused, "", svg, flags=re.DOTALL)
    opening = f'<svg viewBox="0 0 {SIZE_PX[0]} {SIZE_PX[1]}">'
    svg = re.sub(r"<svg [^>]*>", opening, svg, count=1)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", svg)
    # the page's font, whatever it is
    svg = re.sub(r"font(-size|-family)?: [^;\"]*; ", "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    for style in LINE_STYLES.values():
        svg = svg.replace(style.colour, f"var(--{style.role})")
    svg = svg.replace(PLOT_TEXT_COLOUR, "var(--soft)").replace(
        RULE_COLOUR,
        "var(--rule)",
    )
    return re.sub(r"\n\s*", "\n", svg).strip()
