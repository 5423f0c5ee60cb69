"""The page: a report as HTML, everything inside one file and everything escaped."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.number_format import (
    MISSING,
    FormattedEstimate,
    format_count,
    format_estimate,
    format_number,
    spelt_unit,
)
from ...core.page import page_environment, page_template, page_text
from ...metrics.finding import Finding, Plot, Section
from .facts import Fact, fact_of, take_matrices
from .forest import LEGEND, Axis, Strip
from .model import Material, Report, json_value
from .pictures import EncodedGallery, encode_galleries
from .plots import Drawing, draw

if TYPE_CHECKING:
    from jinja2 import Template

MAX_OVERVIEW_FINDINGS = 3
"""Findings of a section in the overview."""
MAX_REFUSED_SHOWN = 200
NOTICE = "Synthetic tissue, for research use; not for diagnosis."
DIRECTIONS = {
    "low": "lower is better",
    "high": "higher is better",
    "real": "best as in real tissue",
    "zero": "0 is best",
}
PLOT_FORMS = {
    "line": "Lines",
    "scatter": "Points",
    "density": "Distributions",
}


@dataclass(frozen=True)
class FindingRow:
    """A line of a table of findings."""

    name: str
    title: str
    unit: str
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
    """A plot with its texts."""

    plot: Plot
    drawing: Drawing
    alt: str
    mark: str


@dataclass(frozen=True)
class SectionView:
    """A section as the template walks it."""

    section: Section
    anchor: str
    overview: tuple[FindingRow, ...]
    rows: tuple[FindingRow, ...]
    methods: tuple[str, ...]
    plots: tuple[PlotView, ...]
    matrices: tuple[tuple[str, Fact], ...]
    facts: Fact | None
    galleries: tuple[EncodedGallery, ...]


def render(report: Report) -> str:
    """The whole page. Equal reports give equal pages."""
    ratios = []
    for section in report.sections:
        for finding in overview_findings(section):
            if finding.ratio is not None:
                ratios.append(finding.ratio)
    axis = Axis.of(ratios)
    views = _views(report.sections, axis)
    refused = list(report.refused.items())[:MAX_REFUSED_SHOWN]
    values = {
        "title": report.title,
        "notice": NOTICE,
        "report": report,
        "materials": _materials(report),
        "compared": _compared(report),
        "axis": axis,
        "legend": LEGEND,
        "sections": views,
        "refused": refused,
        "contents": _contents(report, views),
    }
    return page_text(_template(), values)


def _contents(report: Report, views: Sequence[SectionView]) -> list[tuple[str, str]]:
    """(anchor, text) of each part of the page."""
    contents = [("glance", "At a glance")]
    if report.warnings or report.refused:
        contents.append(("warnings", "Before you read the numbers"))
    contents += [(view.anchor, view.section.title) for view in views]
    return [*contents, ("materials", "What was measured"), ("reading", "How to read this")]


def overview_findings(section: Section) -> list[Finding]:
    """Findings of the overview.

    The first findings of all tiles that have a ratio, else of single labels, else the first
    finding that is defined.
    """
    compared = []
    for finding in section.findings:
        if finding.ratio is not None and finding.ratio.is_defined:
            compared.append(finding)
    of_all_tiles = [finding for finding in compared if not finding.label]
    chosen = of_all_tiles or compared
    if not chosen:
        chosen = [finding for finding in section.findings if finding.value.is_defined][:1]
    return chosen[:MAX_OVERVIEW_FINDINGS]


def _template() -> Template:
    from markupsafe import Markup

    environment = page_environment()
    environment.globals["safe_svg"] = lambda drawing: Markup(drawing.svg)  # noqa: S704 - plots.py
    environment.filters["count"] = format_count
    environment.filters["facts"] = lambda value: fact_of(json_value(value))
    return page_template(__package__ or "", "template.html.j2", environment)


def _compared(report: Report) -> str:
    """The sides in one sentence."""
    sides = [f"{_tiles(report.synthetic)} are synthetic"]
    if report.real is not None:
        sides.append(f"{_tiles(report.real)} are real")
    if report.reference is not None:
        sides.append(f"{_tiles(report.reference)} are the training set")
    if len(sides) == 1:
        return f"{sides[0]}."
    return f"{', '.join(sides[:-1])} and {sides[-1]}."


def _tiles(material: Material) -> str:
    tiles = "1 tile" if material.tiles == 1 else f"{format_count(material.tiles)} tiles"
    if not material.patients:
        return tiles
    patients = (
        "1 patient" if material.patients == 1 else f"{format_count(material.patients)} patients"
    )
    return f"{tiles} of {patients}"


def _materials(report: Report) -> list[dict[str, str]]:
    sides = {
        "synthetic": report.synthetic,
        "real": report.real,
        "reference": report.reference,
    }
    return [_material(name, side) for name, side in sides.items() if side is not None]


def _material(side: str, material: Material) -> dict[str, str]:
    size = "several sizes"
    if material.size_px:
        width, height = material.size_px
        size = f"{width} × {height} pixels"
    return {
        "side": side,
        "name": material.name,
        "note": material.note,
        "tiles": format_count(material.tiles),
        "patients": format_count(material.patients) if material.patients else "not known",
        "size": size,
        "scale": f"{material.mpp:g} micrometres per pixel" if material.mpp else "not known",
        "codec": material.codec or "not known",
        "sha256": material.sha256,
    }


def _views(sections: Sequence[Section], axis: Axis) -> list[SectionView]:
    every_gallery = [gallery for section in sections for gallery in section.galleries]
    encoded = iter(encode_galleries(every_gallery))
    views = []
    for number, section in enumerate(sections, 1):
        anchor = f"s{number}"
        matrices, rest = take_matrices(json_value(section.facts))
        plots = []
        for plot_number, plot in enumerate(section.plots, 1):
            plots.append(_plot(plot, f"{anchor}p{plot_number}"))
        view = SectionView(
            section,
            anchor,
            tuple(_row(finding, axis) for finding in overview_findings(section)),
            tuple(_row(finding, axis) for finding in section.findings),
            _methods(section.findings),
            tuple(plots),
            tuple(matrices),
            fact_of(rest) if rest else None,
            tuple(next(encoded) for _ in section.galleries),
        )
        views.append(view)
    return views


def _row(finding: Finding, axis: Axis) -> FindingRow:
    value = finding.value
    real = finding.real
    real_n = ""
    if real is not None and real.n and real.n != value.n:
        real_n = format_count(real.n)
    return FindingRow(
        finding.name,
        finding.title or finding.name,
        spelt_unit(value.unit),
        finding.label,
        DIRECTIONS[finding.better],
        finding.note,
        format_estimate(value),
        format_estimate(real) if real else None,
        format_estimate(finding.ratio) if finding.ratio else None,
        format_count(value.n),
        real_n,
        format_count(value.groups) if value.groups else MISSING,
        axis.strip(finding),
    )


def _methods(findings: Iterable[Finding]) -> tuple[str, ...]:
    """How intervals were computed, each method once."""
    methods: dict[str, None] = {}
    for finding in findings:
        for estimate in (finding.value, finding.real, finding.ratio):
            if estimate and estimate.interval and estimate.has_interval:
                methods[estimate.interval] = None
    return tuple(methods)


def _plot(plot: Plot, prefix: str) -> PlotView:
    drawing = draw(plot, prefix)
    names = ", ".join(entry.name for entry in drawing.legend)
    axes = f"{plot.y} against {plot.x}" if plot.y else f"of {plot.x}"
    mark = ""
    if plot.mark is not None:
        value, text = plot.mark
        if math.isfinite(value):
            mark = f"{text}: {format_number(value)}"
    return PlotView(
        plot,
        drawing,
        f"{plot.title}. {PLOT_FORMS[plot.form]}, {axes}: {names}.",
        mark,
    )
