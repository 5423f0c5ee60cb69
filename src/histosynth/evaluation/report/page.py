"""The page: a report as HTML, everything inside one file and everything escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

from ...core.estimate import Estimate
from ...metrics.finding import Finding, Plot, Section
from .facts import Fact, fact, lifted
from .forest import KEY, Axis, Strip
from .model import Material, Report, finite
from .number_format import FormattedEstimate, count, number, told
from .pictures import Shown, encode
from .plots import Drawing, draw

KEYS_PER_SECTION = 3
"""Findings of a section that stand in the overview."""
MOST_REFUSED = 200
DIRECTIONS = {
    "low": "lower is better",
    "high": "higher is better",
    "real": "best as in real tissue",
    "zero": "0 is best",
}
_CONTROLS = [*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(0x202A, 0x202F)]
_CONTROLS += [0x200E, 0x200F, 0x2028, 0x2029, *range(0x2066, 0x206A)]
_VISIBLE = {code: f"\\u{code:04x}" for code in _CONTROLS if code != 0x202F}


@dataclass(frozen=True)
class Row:
    """A line of a table of findings."""

    name: str
    label: str
    direction: str
    note: str
    value: FormattedEstimate
    real: FormattedEstimate | None
    ratio: FormattedEstimate | None
    n: str
    real_n: str
    patients: str
    strip: Strip | None


@dataclass(frozen=True)
class PlotView:
    """A plot with its words."""

    plot: Plot
    drawing: Drawing
    alt: str
    mark: str


@dataclass(frozen=True)
class SectionView:
    """A section as the template walks it."""

    section: Section
    anchor: str
    keys: tuple[Row, ...]
    rows: tuple[Row, ...]
    methods: tuple[str, ...]
    plots: tuple[PlotView, ...]
    heats: tuple[tuple[str, Fact], ...]
    facts: Fact | None
    galleries: tuple[Shown, ...]


def render(report: Report) -> str:
    """The whole page. Equal reports give equal pages."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    files = resources.files(__package__ or "")
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["safe_svg"] = lambda drawing: Markup(drawing.svg)  # noqa: S704 - plots.py
    environment.filters["count"] = count
    environment.filters["facts"] = lambda value: fact(finite(value))
    template = environment.from_string(
        files.joinpath("template.html.j2").read_text(encoding="utf-8")
    )
    axis = Axis.of(each.ratio for s in report.sections for each in key_findings(s) if each.ratio)
    text = template.render(
        report=report,
        style=Markup(files.joinpath("style.css").read_text(encoding="utf-8")),  # noqa: S704
        materials=[_material(*side) for side in _sides(report) if side[1]],
        axis=axis,
        key=KEY,
        sections=_views(report.sections, axis),
        refused=list(report.refused.items())[:MOST_REFUSED],
    )
    # names of files can hold what UTF-8 cannot, and what would turn the text around them
    return text.translate(_VISIBLE).encode("utf-8", "backslashreplace").decode("utf-8")


def key_findings(section: Section) -> list[Finding]:
    """Those of the overview: the first that hold for all tiles and have a ratio, else the first
    told one.
    """
    compared = [
        each for each in section.findings if each.ratio is not None and each.ratio.is_defined
    ]
    chosen = [each for each in compared if not each.label] or compared
    return (chosen or [each for each in section.findings if each.value.is_defined][:1])[
        :KEYS_PER_SECTION
    ]


def _sides(report: Report) -> list[tuple[str, Material | None]]:
    return [("synthetic", report.synthetic), ("real", report.real), ("reference", report.reference)]


def _material(side: str, of: Material | None) -> dict[str, str]:
    if of is None:
        return {}
    size = f"{of.size_px[0]} × {of.size_px[1]} px" if of.size_px else "not all the same"
    return {
        "side": side,
        "name": of.name,
        "note": of.note,
        "tiles": count(of.tiles),
        "patients": count(of.patients) if of.patients else "not known",
        "size": size,
        "scale": f"{of.mpp:g} µm/px" if of.mpp else "not known",
        "codec": of.codec or "not known",
        "sha256": of.sha256,
    }


def _views(sections: Iterable[Section], axis: Axis) -> list[SectionView]:
    sections = list(sections)
    shown = iter(encode([gallery for section in sections for gallery in section.galleries]))
    views = []
    for index, section in enumerate(sections, 1):
        tables, rest = lifted(finite(section.facts))
        views.append(
            SectionView(
                section,
                f"s{index}",
                tuple(_row(each, axis) for each in key_findings(section)),
                tuple(_row(each, axis) for each in section.findings),
                _methods(section.findings),
                tuple(_plot(plot, f"s{index}p{at}") for at, plot in enumerate(section.plots, 1)),
                tuple(tables),
                fact(rest) if rest else None,
                tuple(next(shown) for _ in section.galleries),
            )
        )
    return views


def _row(finding: Finding, axis: Axis) -> Row:
    value = finding.value
    real = finding.real
    ratio = finding.ratio
    return Row(
        finding.name,
        finding.label,
        DIRECTIONS[finding.better],
        finding.note,
        told(value),
        told(real) if real else None,
        told(ratio) if ratio else None,
        count(value.n),
        count(real.n) if real and real.n and real.n != value.n else "",
        count(value.groups) if value.groups else "–",
        axis.strip(finding),
    )


def _methods(findings: Iterable[Finding]) -> tuple[str, ...]:
    """How intervals were made, each way once."""
    estimates = [e for f in findings for e in (f.value, f.real, f.ratio) if e and _has_interval(e)]
    return tuple(dict.fromkeys(each.interval for each in estimates if each.interval))


def _has_interval(estimate: Estimate) -> bool:
    return math.isfinite(estimate.low) and math.isfinite(estimate.high)


def _plot(plot: Plot, prefix: str) -> PlotView:
    drawing = draw(plot, prefix)
    names = ", ".join(entry.name for entry in drawing.legend)
    kind = {
        "line": "Lines",
        "scatter": "Points",
        "density": "Distributions",
    }[plot.kind]
    against = f"{plot.y} against {plot.x}" if plot.y else f"of {plot.x}"
    mark = ""
    if plot.mark is not None and math.isfinite(plot.mark[0]):
        mark = f"{plot.mark[1]}: {number(plot.mark[0])}"
    return PlotView(
        plot,
        drawing,
        f"{plot.title}. {kind}, {against}: {names}.",
        mark,
    )
