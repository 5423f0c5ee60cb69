"""Sentences on quantities that are lower or higher than in real tissue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .finding import Section
from .standing import conclusive, excludes_zero
from .verdict import Wording, enumerated, finding_of, no_conclusion, ratio_verdict

_TIMES = "times as far"


@dataclass(frozen=True)
class Direction:
    """A clause for a quantity that is lower than in real tissue, and one for a higher one."""

    lower: str
    higher: str

    @classmethod
    def same(cls, text: str) -> Direction:
        """The same clause for both, where neither has a name."""
        return cls(text, text)


def directed_verdict(
    section: Section,
    summary: str,
    wording: Wording,
    directions: Mapping[str, Direction],
) -> str:
    """Two sentences: the summary, and the quantities that clearly differ.

    A quantity differs where its distance is larger than between real patients, and the difference
    of its means is not 0.

    Args:
        section: with `<quantity>_difference` and `<quantity>_W1` of each.
        summary: name of the finding over all quantities.
        wording: of that.
        directions: clauses by quantity.
    """
    first = ratio_verdict(finding_of(section, summary), wording, _TIMES)
    clauses: dict[str, None] = {}
    compared = 0
    for quantity, direction in directions.items():
        distance = finding_of(section, f"{quantity}_W1")
        difference = finding_of(section, f"{quantity}_difference")
        if distance is None or difference is None or distance.ratio is None:
            continue
        found = conclusive(distance)
        compared += found != "wide"
        if found == "worse" and excludes_zero(difference.value):
            is_lower = difference.value.value < 0
            clauses[direction.lower if is_lower else direction.higher] = None
    return f"{first} {_second(list(clauses), compared)}"


def _second(clauses: list[str], compared: int) -> str:
    if clauses:
        return f"Compared with real tissue, {enumerated(clauses)}."
    if not compared:
        question = "single quantities are lower or higher than in real tissue"
        return no_conclusion(question, "none could be compared with enough certainty")
    quantities = "1 quantity" if compared == 1 else f"{compared} quantities"
    return (
        f"Of {quantities} that could be compared, none was found to be lower or higher than "
        "between real patients."
    )
