"""Sentences that state what findings mean, computed from their intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..core.estimate import Estimate
from ..core.number_format import counted, format_estimate, format_number
from .finding import Finding, Section
from .standing import (
    WIDE_FACTOR,
    Standing,
    conclusive,
    ends_for_patients,
    standing_of_shares,
)

MAX_NAMED = 5
"""Findings that one sentence names."""
NOTHING_MEASURED = "nothing was measured"


@dataclass(frozen=True)
class Wording:
    """What a comparison with real tissue means, for each way in which it can end.

    Attributes:
        question: continues "It cannot be told whether"; without a full stop, as all are.
        like: no difference was found.
        worse: it is worse than real tissue, or differs from it.
        better: it is better than real tissue; empty: as `like`.
        margin: `like` is stated only where the ratio is within this factor of 1.
    """

    question: str
    like: str
    worse: str
    better: str = ""
    margin: float = WIDE_FACTOR

    def of(self, found: Standing) -> str:
        """The clause of a standing that allows a conclusion."""
        if found == "better":
            return self.better or self.like
        return self.worse if found == "worse" else self.like


def no_conclusion(question: str, reason: str) -> str:
    """A sentence where the sample allows none, with the reason."""
    return f"It cannot be told whether {question}: {reason or NOTHING_MEASURED}."


def ratio_verdict(
    finding: Finding | None,
    wording: Wording,
    times: str = "times the value of real tissue",
) -> str:
    """One sentence on a finding with a ratio to real tissue, which `times` follows."""
    if finding is None:
        return no_conclusion(wording.question, NOTHING_MEASURED)
    found = conclusive(finding, wording.margin)
    ratio = finding.ratio
    if ratio is None or found == "wide":
        return no_conclusion(wording.question, why_uncertain(finding))
    numbers = format_estimate(ratio).text
    return f"{wording.of(found)}{_caution(found)}: {numbers} {times}."


def share_verdict(finding: Finding | None, wording: Wording) -> str:
    """One sentence on a share that is compared with real tissue without a ratio."""
    if finding is None:
        return no_conclusion(wording.question, NOTHING_MEASURED)
    found = standing_of_shares(finding)
    if finding.real is None or found in ("wide", "open"):
        return no_conclusion(wording.question, why_uncertain(finding))
    value = format_estimate(finding.value).text
    real = format_estimate(finding.real).text
    return f"{wording.of(found)}{_caution(found)}: {value}, real tissue {real}."


def _caution(found: Standing) -> str:
    return ", no difference was found" if found == "like" else ""


def why_uncertain(finding: Finding) -> str:
    """Why a finding allows no conclusion, with the numbers."""
    value = finding.value
    if not value.is_defined:
        return value.reason
    compared = finding.ratio
    if compared is None:
        compared = value if finding.real is not None else None
    if compared is None:
        return (
            f"there is no such number of real tissue to compare {format_number(value.value)} with"
        )
    if not compared.has_interval:
        return compared.reason or _first_reason((value, finding.real)) or "there is no interval"
    return _too_wide(compared, "the ratio to real tissue" if finding.ratio else "the number")


def _too_wide(estimate: Estimate, name: str) -> str:
    low, high = (format_number(end, 2) for end in ends_for_patients(estimate))
    patients = f" over {estimate.groups} patients" if estimate.groups else ""
    return f"{name} is anywhere from {low} to {high}{patients}"


def _first_reason(estimates: Iterable[Estimate | None]) -> str:
    return next((each.reason for each in estimates if each is not None and each.reason), "")


def count_verdict(findings: Sequence[Finding], wording: Wording) -> str:
    """One sentence on several findings with ratios, of which no single one is the summary."""
    compared = [each for each in findings if each.ratio is not None]
    if not compared:
        return no_conclusion(wording.question, _first_reason(each.value for each in findings))
    standings = [conclusive(each, wording.margin) for each in compared]
    counts = Counter(standings)
    numbers = counted(len(compared), "number")
    if counts["worse"]:
        names = _names_of(compared, standings)
        return f"{wording.worse} in {len(names)} of {numbers}: {enumerated(names)}."
    unclear = counts["wide"]
    are = "is" if unclear == 1 else "are"
    if unclear * 2 > len(compared):
        return no_conclusion(wording.question, f"{unclear} of {numbers} {are} too uncertain")
    rest = f", {unclear} of them {are} too uncertain for a conclusion" if unclear else ""
    return f"{wording.like}: none of {numbers} is found to be worse than in real tissue{rest}."


def _names_of(findings: Sequence[Finding], standings: Sequence[Standing]) -> list[str]:
    """Names of the findings that are worse."""
    pairs = zip(findings, standings, strict=True)
    return [each.title or each.name for each, found in pairs if found == "worse"]


def enumerated(names: Sequence[str]) -> str:
    """The first names of a list in words, lower-case at their beginning."""
    shown = [name[:1].lower() + name[1:] for name in names[:MAX_NAMED]]
    more = len(names) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more} more"
    if len(shown) < 2:
        return "".join(shown)
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def finding_of(section: Section, name: str) -> Finding | None:
    """The finding of all labels with a name; None where there is none."""
    for finding in section.findings:
        if finding.name == name and not finding.label:
            return finding
    return None


def general_verdict(section: Section) -> str:
    """Two sentences for a metric without words of its own: its counts, and its worst finding."""
    question = "the synthetic tiles are like real tissue in this"
    wording = Wording(
        question,
        "The synthetic tiles are like real tissue in this",
        "The synthetic tiles differ from real tissue",
    )
    first = count_verdict(section.findings, wording)
    worst = _farthest(section.findings)
    if worst is None or worst.ratio is None:
        return first
    name = enumerated([worst.title or worst.name])
    text = format_estimate(worst.ratio).text
    return f"{first} Farthest from it is {name}: {text} times the value of real tissue."


def _farthest(findings: Sequence[Finding]) -> Finding | None:
    """Of the findings that are worse, the one whose interval stays farthest from 1."""
    farthest = None
    distance = 1.0
    for finding in findings:
        if finding.ratio is None or conclusive(finding) != "worse":
            continue
        low, high = ends_for_patients(finding.ratio)
        nearest = low if low > 1 else 1 / high if high > 0 else float("inf")
        if nearest > distance:
            farthest = finding
            distance = nearest
    return farthest
