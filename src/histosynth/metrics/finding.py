"""Results of metrics: findings in sections, each with its interval and the score of real tissue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..core.estimate import Estimate
from ..core.tile import Pixels

Better = Literal["low", "high", "real", "zero"]
"""Which way is better: lower, higher, as real tissue has it, or exactly 0."""


@dataclass(frozen=True)
class Finding:
    """One number of a metric.

    Attributes:
        name: e.g. `FD_histo`; what was measured and with what.
        value: of the synthetic set.
        better: which way is better.
        real: the same measure of real tissue: the real baseline of a distance (real against real),
            or the score of the same detector on real tiles. None where there is none.
        ratio: value / real, with its own interval. 1 is real tissue.
        label: of which subtype; "" for all.
        note: for the reader, e.g. the warning of a small sample.
        title: the name in plain words, for people; "" for the name itself.
    """

    name: str
    value: Estimate
    better: Better
    real: Estimate | None = None
    ratio: Estimate | None = None
    label: str = ""
    note: str = ""
    title: str = field(default="", compare=False)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the title stays out, since programs go by the name."""
        return {
            "name": self.name,
            "label": self.label,
            "value": self.value.as_dict(),
            "real": self.real.as_dict() if self.real else None,
            "ratio": self.ratio.as_dict() if self.ratio else None,
            "better": self.better,
            "note": self.note,
        }


@dataclass(frozen=True)
class Series:
    """One line or one cloud of a plot: `role` is its side, which decides its colour."""

    role: Literal["real", "synthetic", "reference", "requested"]
    name: str
    x: Sequence[float]
    y: Sequence[float] = ()
    """Empty: `x` are values to show the distribution of."""


@dataclass(frozen=True)
class Plot:
    """A plot of a section.

    Attributes:
        title: what it shows.
        x: of the axis, with its unit.
        y: of the axis, with its unit; "" for distributions.
        series: what is drawn.
        form: `line`, `scatter` or `density` (distributions of `x`).
        mark: a vertical line, e.g. a threshold.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    form: Literal["line", "scatter", "density"] = "line"
    mark: tuple[float, str] | None = None


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures next to each other: each row has one per column, and a line of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Pixels, ...]], ...]


@dataclass(frozen=True, eq=False)
class Section:
    """All results of one metric.

    Attributes:
        key: in JSON.
        title: for people.
        about: one or two sentences: what is measured, how it is to be read.
        findings: the numbers.
        facts: JSON-able extras: settings, versions, tables.
        plots: for the HTML report.
        galleries: for the HTML report.
        verdict: what the findings mean, in about two sentences.
    """

    key: str
    title: str
    about: str
    findings: tuple[Finding, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    verdict: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; plots and pictures stay out."""
        return {
            "title": self.title,
            "about": self.about,
            "verdict": self.verdict,
            "findings": [each.as_dict() for each in self.findings],
            "facts": self.facts,
        }
