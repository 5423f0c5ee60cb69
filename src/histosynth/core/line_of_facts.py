"""How public types show themselves: one line of facts, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterable

from .visible import visible

MAX_LINE = 160
"""Characters of a line; what is longer is cut."""


def line_of_facts(name: str, facts: Iterable[str]) -> str:
    """`Name(fact, fact)`, with hidden characters as escapes."""
    text = visible(", ".join(facts))
    longest = MAX_LINE - len(name) - 2
    if len(text) > longest:
        text = f"{text[: longest - 3]}..."
    return f"{name}({text})"
