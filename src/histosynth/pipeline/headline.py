"""The findings of a report that are shown on the terminal."""

from __future__ import annotations

from ..metrics import MEMBERSHIP_HEADLINE, METRICS
from ..metrics.finding import Finding, Section


def headline_of(section: Section) -> list[Finding]:
    """The findings of a section that are shown on the terminal: of all labels together."""
    begins: tuple[str, ...] = ()
    if section.key == "membership":
        begins = MEMBERSHIP_HEADLINE
    elif section.key in METRICS:
        begins = METRICS[section.key].headline
    return [
        finding
        for finding in section.findings
        if not finding.label and finding.name.startswith(begins)
    ]
