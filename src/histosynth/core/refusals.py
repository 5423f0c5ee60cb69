"""Refusals of many files in few lines: counted, and grouped by what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .errors import HistosynthError
from .visible import visible

MIN_GROUP = 3
"""Fewer refusals of one sort have a line each."""
MAX_REFUSAL_LINES = 20
_NAMED = 3
"""Names of a group that are shown."""
_VARIES = re.compile(r"'[^']*'|[+-]?\d[\d,.]*(?:e[+-]?\d+)?")
"""Numbers and quoted texts: refusals that differ in these alone are of one sort."""


def grouped_refusals(
    refused: Mapping[str, HistosynthError | str],
    what: str = "files",
) -> list[str]:
    """A sentence for each refusal, or for each group of refusals of one sort.

    Args:
        refused: errors by the name of what was refused. A text need not hold its name.
        what: the names are of, in the plural.

    Returns:
        At most `MAX_REFUSAL_LINES` lines, and one more with the number that is left out.
    """
    groups: dict[str, list[_Refusal]] = {}
    for name, error in refused.items():
        refusal = _refusal_of(visible(name), error)
        groups.setdefault(refusal.sort, []).append(refusal)
    lines: list[str] = []
    left = len(refused)
    for group in groups.values():
        if len(lines) >= MAX_REFUSAL_LINES:
            break
        if len(group) < MIN_GROUP:
            lines += [each.sentence for each in group]
        else:
            lines.append(_joint_line(group, what))
        left -= len(group)
    if left:
        lines.append(f"{left:,} more {what} were refused; --json lists all with their reasons.")
    return lines


class _Refusal(NamedTuple):
    """One refusal: of what, its own sentence, and what it has in common with others of its sort."""

    name: str
    sentence: str
    reason: str
    sort: str


def _refusal_of(name: str, error: HistosynthError | str) -> _Refusal:
    text = visible(error)
    reason = text.removeprefix(f"{name}: ")
    sentence = text if isinstance(error, HistosynthError) else f"{name}: {reason}"
    without_name = reason.replace(name, "#")
    return _Refusal(name, sentence, reason, _VARIES.sub("#", without_name))


def _joint_line(group: Sequence[_Refusal], what: str) -> str:
    first = group[0]
    names = ", ".join(each.name for each in group[:_NAMED])
    are_equal = len({each.reason for each in group}) == 1
    joint = ":" if are_equal else ". Of the first:"
    return f"{len(group):,} {what}, first {names}{joint} {first.reason}"
