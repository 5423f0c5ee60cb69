"""What the findings on the morphology of nuclei mean, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from ...core.number_format import format_number
from ..finding import Finding, Section
from ..standing import ends_for_patients, standing
from ..verdict import enumerated, finding_of, no_conclusion, why_uncertain
from .features import FEATURE_FAMILIES

FEATURE_TITLES = {
    "area_um2": "Area",
    "eccentricity": "Eccentricity of the outline",
    "irregularity": "Irregularity of the outline",
    "density": "Haematoxylin",
    "density_spread": "Spread of haematoxylin",
    "chromatin_gradient": "Sharpness of the chromatin",
    "chromatin_roughness": "Roughness of the chromatin",
    "fine_power": "Fine detail",
}
"""Plain names of `NUCLEUS_FEATURES`."""
_QUESTION = "synthetic nuclei can be distinguished from real ones"
_CHANCE = 0.5


def morphology_titles(classes: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Plain names of the findings, of all nuclei and of each class."""
    yield "outlined", "Requested nuclei that could be outlined"
    yield "AUC_nuclei", "Nuclei ranked right by a classifier (area under the ROC curve)"
    for family in FEATURE_FAMILIES:
        yield f"AUC_nuclei_{family}", f"Nuclei ranked right by a classifier, by {family} alone"
    for name in classes:
        nuclei = f"{name} nuclei"
        yield f"W1_{name}", f"Distance of {nuclei} from real ones, mean over features"
        for feature, title in FEATURE_TITLES.items():
            yield f"W1_{name}_{feature}", f"{title}: distance of {nuclei} from real ones"
        yield f"AUC_{name}", f"{_capital(nuclei)} ranked right by a classifier"
        yield f"inside_{name}", f"{_capital(nuclei)} in the usual range of real ones"
        yield f"smoothed_{name}", f"{_capital(nuclei)} with too little fine detail"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def morphology_verdict(section: Section) -> str:
    """Whether nuclei can be distinguished, and by what."""
    return f"{_distinguished(finding_of(section, 'AUC_nuclei'))} {_by_what(section)}"


def _distinguished(area: Finding | None) -> str:
    if area is None or not area.value.has_interval:
        return no_conclusion(_QUESTION, why_uncertain(area) if area else "")
    pairs = f"a classifier ranks {_percent(area.value.value)} of pairs right"
    guessing = f"50{_PERCENT} is guessing"
    if area.real is not None and area.real.is_defined:
        real = _percent(max(area.real.value, _CHANCE))
        guessing += f", and real nuclei of other patients reach {real}"
    low, high = ends_for_patients(area.value)
    if low > _limit(area):
        return f"Synthetic nuclei can be distinguished from real ones: {pairs} ({guessing})."
    if high - low > _CHANCE:
        reason = f"the share of pairs ranked right is from {_percent(low)} to {_percent(high)}"
        return no_conclusion(_QUESTION, reason)
    return (
        f"Synthetic nuclei could not be distinguished from real ones more than real nuclei of "
        f"other patients can: {pairs} ({guessing})."
    )


def _limit(area: Finding) -> float:
    """What an area must exceed: guessing, and what two sets of real nuclei reach."""
    real = area.real
    if real is None or not real.has_interval:
        return _CHANCE
    return max(ends_for_patients(real)[1], _CHANCE)


def _by_what(section: Section) -> str:
    """The families of features by which nuclei differ, and the classes that are too smooth."""
    clauses = []
    families = _families(section)
    if families:
        clauses.append(f"they differ in {enumerated(families)}")
    smooth = _smoothed(section)
    if smooth:
        clauses.append(f"there is too little fine detail in {enumerated(smooth)}")
    if clauses:
        return f"{_capital('; '.join(clauses))}."
    areas = [finding_of(section, f"AUC_nuclei_{family}") for family in FEATURE_FAMILIES]
    if not any(area and area.value.has_interval for area in areas):
        reason = next((area.value.reason for area in areas if area), "")
        return no_conclusion("they differ in shape, dye or chromatin", reason)
    return "Neither shape nor dye nor chromatin alone was found to distinguish them."


def _families(section: Section) -> list[str]:
    found = []
    for family in FEATURE_FAMILIES:
        area = finding_of(section, f"AUC_nuclei_{family}")
        if area is None or not area.value.has_interval:
            continue
        if ends_for_patients(area.value)[0] > _limit(area):
            found.append((area.value.value, family))
    return [f"{family} ({_percent(value)} right)" for value, family in sorted(found)[::-1]]


def _smoothed(section: Section) -> list[str]:
    texts = []
    for finding in section.findings:
        ratio = finding.ratio
        if not finding.name.startswith("smoothed_") or ratio is None:
            continue
        if standing(finding)[0] == "worse" and ratio.value > 1 and finding.real is not None:
            class_name = finding.name.removeprefix("smoothed_")
            real = _percent(finding.real.value)
            texts.append(f"{_percent(finding.value.value)} of {class_name} nuclei (real {real})")
    return texts


_PERCENT = "\u202f%"


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return format_number(share)
    return f"{100 * share:.0f}{_PERCENT}"
