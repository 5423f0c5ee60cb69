"""What the findings on structure mean, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...core.number_format import format_number
from ..finding import Finding, Section
from ..verdict import Wording, finding_of, no_conclusion, ratio_verdict
from .measure import STRICT_UM

MARGIN = 1.25
"""Scores are near 1 on both sides: a factor of 2 would contain every result."""
MIN_SCORE = 0.5
"""A detector with a lower score on real tissue is no witness."""
_PLACES = Wording(
    "nuclei stand where they were requested",
    "Nuclei stand where they were requested: a detector finds them as it finds nuclei of real "
    "tissue",
    "Nuclei stand where they were requested less often than a detector finds nuclei of real tissue "
    "where people marked them",
    "Nuclei stand where they were requested, and a detector finds them there more easily than "
    "nuclei of real tissue",
    MARGIN,
)
_CLASSES = Wording(
    "nuclei are of the requested classes",
    "Their classes are recognised as those of real nuclei are",
    "Their classes are recognised less often than those of real nuclei",
    "Their classes are recognised more often than those of real nuclei",
    MARGIN,
)


def structure_titles(
    detectors: Sequence[str],
    classes: Sequence[str],
) -> Iterator[tuple[str, str]]:
    """Plain names of the findings of each detector."""
    for name in detectors:
        by = f"by the detector {name}"
        yield f"F1_{name}", f"Agreement of found and requested nuclei (F1), {by}"
        yield f"precision_{name}", f"Found nuclei that were requested (precision), {by}"
        yield f"recall_{name}", f"Requested nuclei that were found (recall), {by}"
        yield (
            f"F1_{name}_{STRICT_UM:g}um",
            f"Agreement within {STRICT_UM:g} micrometres (F1), {by}",
        )
        for class_name in classes:
            yield (
                f"F1_{name}_{class_name}",
                f"Agreement of {class_name} nuclei (F1), {by}",
            )
        yield f"count_error_{name}", f"Error of the number of nuclei, {by}"
        yield f"localisation_{name}", f"Distance of nuclei from their requested places, {by}"
        yield f"class_accuracy_{name}", f"Found nuclei of the requested class, {by}"
    yield "class_accuracy_rings", "Nuclei of the requested class, by rings of colour"


def structure_verdict(section: Section) -> str:
    """Whether nuclei stand where they were requested, and are of the requested classes."""
    detectors = list(section.facts.get("chance", ()))
    places = _first_defined(section, [f"F1_{name}" for name in detectors])
    names = [f"class_accuracy_{name}" for name in (*detectors, "rings")]
    classes = _first_defined(section, names)
    first = _score_verdict(places, _PLACES, "times the F1 score on real tissue")
    second = _score_verdict(classes, _CLASSES, "times as often")
    return f"{first} {second}"


def _score_verdict(
    score: Finding | None,
    wording: Wording,
    times: str,
) -> str:
    real = score.real if score is not None else None
    if real is not None and real.is_defined and real.value < MIN_SCORE:
        reason = f"the score on real tissue is only {format_number(real.value)}"
        return no_conclusion(wording.question, reason)
    return ratio_verdict(score, wording, times)


def _first_defined(section: Section, names: list[str]) -> Finding | None:
    """The first of these findings with a value, else the first."""
    found = [finding for finding in (finding_of(section, name) for name in names) if finding]
    defined = [finding for finding in found if finding.value.is_defined]
    return next(iter(defined or found), None)
