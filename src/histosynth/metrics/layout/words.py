"""What the findings on layout mean, in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ..finding import Section
from ..verdict import Wording, count_verdict, no_conclusion

_WORDINGS = {
    "requested": Wording(
        "nuclei are arranged as requested",
        "Nuclei are arranged as requested, as far as a detector can find out",
        "Nuclei are farther from the requested arrangement than the errors of the detector explain",
    ),
    "real": Wording(
        "nuclei are arranged as in real tissue",
        "Their arrangement is that of real tissue",
        "Their arrangement differs from real tissue more than that of other patients does",
    ),
}


def layout_titles() -> Iterator[tuple[str, str]]:
    """Plain names of the findings."""
    statistics = {
        "nearest": "Distances to the nearest nucleus",
        "L": "Clusters up to a distance (Ripley's L)",
        "g": "Clusters at a distance (pair correlation g)",
    }
    others = {"requested": "found against requested", "real": "found against real tissue"}
    for other, against in others.items():
        yield f"composition_from_{other}", f"Shares of the classes, {against}"
        yield f"density_from_{other}", f"Number of nuclei by area, {against}"
        for name, title in statistics.items():
            yield f"{name}_from_{other}_all", f"{title}, all nuclei, {against}"
            yield f"{name}_from_{other}_classes", f"{title}, between classes, {against}"


def layout_verdict(section: Section) -> str:
    """Whether nuclei are arranged as requested, and as in real tissue."""
    return f"{_against(section, 'requested')} {_against(section, 'real')}"


def _against(section: Section, name: Literal["requested", "real"]) -> str:
    findings = [each for each in section.findings if f"_from_{name}" in each.name]
    wording = _WORDINGS[name]
    if not findings:
        missing = "no nuclei were requested" if name == "requested" else "there is no real tissue"
        return no_conclusion(wording.question, missing)
    return count_verdict(findings, wording)
