"""What the findings on copying mean, in words."""

from __future__ import annotations

from ...core.number_format import counted, format_estimate
from ..finding import Finding, Section
from ..standing import ends_for_patients
from ..verdict import finding_of, no_conclusion, why_uncertain

COPYING_TITLES = {
    "suspected_copies": "Suspected copies of training tissue",
    "correlation_95th": "Correlation with training tissue, 95th percentile",
    "beyond_layout_95th": "Correlation beyond the layout of nuclei, 95th percentile",
    "nearer_than_5th": "Tiles nearer to training tissue than 95 of 100 real ones",
    "C_T": "Nearness of the set to training tissue (C_T)",
    "AuthPct": "Tiles farther from training tissue than patients are from each other",
}
"""Plain names of the findings."""
_QUESTION = "the tiles as a set are too near to training tissue"
_WIDE_DEVIATIONS = 6.0
"""Half-width of the interval of C_T above which no conclusion is drawn from it."""


def suspected_copies(count: int, of: int, noun: str) -> str:
    """How many of some tiles or pictures are suspected, in words that end in "copies" or "copy"."""
    what = "is a suspected copy" if count == 1 else "are suspected copies"
    return f"{count:,} of {counted(of, noun)} {what}"


def copying_verdict(section: Section) -> str:
    """The search for single copies, and whether the set is too near to training tissue."""
    suspected = finding_of(section, "suspected_copies")
    reason = suspected.value.reason if suspected else ""
    single = section.verdict or no_conclusion("single tiles are copies", reason)
    return f"{single} {_as_a_set(finding_of(section, 'C_T'))}"


def _as_a_set(nearness: Finding | None) -> str:
    if nearness is None or not nearness.value.has_interval:
        return no_conclusion(_QUESTION, why_uncertain(nearness) if nearness else "")
    low, high = ends_for_patients(nearness.value)
    number = f"C_T is {format_estimate(nearness.value).text}, where 0 is unseen real tissue"
    if high < 0:
        return (
            "As a set, the tiles are nearer to training tissue than unseen real tissue is: "
            f"{number}."
        )
    if high - low > 2 * _WIDE_DEVIATIONS:
        return no_conclusion(_QUESTION, f"{number}, is too uncertain")
    return (
        "As a set, the tiles are not found to be nearer to training tissue than unseen real tissue "
        f"is: {number}."
    )
