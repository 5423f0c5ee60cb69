"""Names of findings in plain words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .finding import Finding

Titles = Iterable[tuple[str, str]]
"""(name of a finding, the same in plain words)."""


def with_titles(findings: Iterable[Finding], titles: Titles) -> tuple[Finding, ...]:
    """Findings with their titles.

    A name that stands for two things, e.g. because a class has the name of a feature, gets none:
    its code name is at least not wrong.
    """
    known: dict[str, str] = {}
    for name, title in titles:
        is_ambiguous = known.get(name, title) != title
        known[name] = "" if is_ambiguous else title
    return tuple(replace(finding, title=known.get(finding.name, "")) for finding in findings)
