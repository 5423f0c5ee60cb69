"""Prompts of a text-conditioned base for tiles: a template, and the name that a label stands for.

A template is a list of parts between commas. A part with a field that is not known is left out
whole, so that no prompt contains `of ,`. Templates are parsed, never formatted: a field can only
name what is allowed.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from string import Formatter

from ...core.errors import BadRecipe, InputError
from ...core.recipe_checks import RecipeProblems, check_table
from ...preparation.subtypes import Subtypes, load_subtypes

_LABEL_FIELDS = ("subtype", "label")
"""Fields that the tile's label fills: by its name in the list of entities, or as written too."""
_FIELDS = (*_LABEL_FIELDS, "site", "stain", "tissue")
MAX_TEMPLATE = 300
MAX_VALUE = 120
MAX_PROMPT = 300
"""Characters. CLIP reads 77 tokens, about so many characters; more would be cut off silently."""
_MIN_SIMILARITY = 0.55
"""Of a name that is suggested for an unknown label, as `difflib` measures it, 0..1."""
_MIN_PART_LETTERS = 4
"""Letters of a label that is searched for inside names."""
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of controls, marks of direction, line breaks, halves of pairs, and what is
not assigned."""

Piece = tuple[str, str | None]
"""Text, and the field after it or None."""


class UnnamedLabel(InputError):
    """A label that a prompt should call by name, and that stands for no known entity."""

    def __init__(self, label: str, nearest: Sequence[str]) -> None:
        self.label = label
        self.nearest = tuple(nearest)
        near = ", nor for one like it"
        if nearest:
            near = f"; the nearest are {', '.join(nearest)}"
        super().__init__(
            f"The label {label!r} stands for no known entity{near}.",
            "Give a name, synonym or ICD-O-3 code that is known, or write {label} in the template, "
            "which takes any.",
        )


@dataclass(frozen=True)
class Prompts:
    """The `[prompts]` table of a recipe: how the prompt of a tile is written."""

    template: str = "H&E, {subtype}, {site}"
    """Parts between commas, with fields in braces. {subtype}: the WHO name that the label stands
    for, and it must be known; {label}: that name, or the label itself where it is not; others are
    facts."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Values that hold for all tiles: site, stain, tissue and any field of your own; "": not
    known."""

    def __post_init__(self) -> None:
        check_table(self)

    def _check_facts(self) -> None:
        problems = []
        for name, value in self.facts.items():
            problem = _problem_of_fact(name, value)
            if problem:
                problems.append(problem)
        if problems:
            raise RecipeProblems(tuple(problems))

    def _check_template(self) -> None:
        unused = sorted(set(self.facts) - self._used_fields())
        if unused:
            name = unused[0]
            raise ValueError(f"facts.{name} is given, but the template has no {{{name}}}")

    @property
    def uses_label(self) -> bool:
        """Whether the template has a field that the label fills."""
        return any(name in _LABEL_FIELDS for name in self._used_fields())

    def _parts(self) -> list[list[Piece]]:
        return _parse_template(self.template, (*_FIELDS, *self.facts))

    def _used_fields(self) -> set[str]:
        used = set()
        for part in self._parts():
            for _, name in part:
                if name is not None:
                    used.add(name)
        return used

    def prompt_of(self, label: str, *, names: Subtypes | None = None) -> str:
        """The prompt of a tile.

        Args:
            label: of the tile: a name, synonym or code, or any text where the template uses
                {label}; "" where it is not known.
            names: entities that labels stand for; the shipped ones where absent.

        Raises:
            UnnamedLabel: the template uses {subtype}, and the label stands for none.
            BadRecipe: the label holds braces or control characters, or it or the prompt is too
                long.
        """
        values = dict(self.facts)
        values.update(self._values_of_label(label, names or _shipped_subtypes()))
        parts = []
        for part in self._parts():
            text = _fill_part(part, values)
            if text:
                parts.append(text)
        prompt = ", ".join(parts)
        if len(prompt) > MAX_PROMPT:
            problem = (
                f"the prompt of label {label!r} has {len(prompt)} characters, more than "
                f"{MAX_PROMPT}"
            )
            raise BadRecipe("prompts", [problem])
        return prompt

    def _values_of_label(self, label: str, names: Subtypes) -> dict[str, str]:
        """Values of the fields that the label fills."""
        problem = _problem_of(label)
        if problem:
            raise BadRecipe("prompts", [f"the label {label[:60]!r} {problem}"])
        if not label.strip():
            return {}
        name = names.name_of(label)
        if name is None:
            if "subtype" in self._used_fields():
                raise UnnamedLabel(label, nearest_names(label, names))
            return {"subtype": "", "label": label}
        # a list of your own may hold anything in its names
        problem = _problem_of(name)
        if problem:
            raise BadRecipe("prompts", [f"the name {name[:60]!r} {problem}"])
        return {"subtype": name, "label": name or label}


def _problem_of_fact(name: str, value: str) -> str:
    """Why a fact's name or value cannot be used in a prompt; "" where it can."""
    reason = ""
    if name in _LABEL_FIELDS:
        reason = "the tile's label gives it"
    elif not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        reason = "use up to 40 of a-z, 0-9 and _"
    if reason:
        return f"facts.{name!r} is no name for a fact: {reason}"
    problem = _problem_of(value)
    return f"facts.{name} {problem}" if problem else ""


def _fill_part(part: Sequence[Piece], values: Mapping[str, str]) -> str:
    """A part's text with single spaces; "" where a field of it is not known."""
    text = ""
    for literal, name in part:
        text += literal
        if name is None:
            continue
        value = values.get(name, "")
        if not value.strip():
            return ""
        text += value
    return " ".join(text.split())


def nearest_names(
    label: str,
    names: Subtypes,
    max_names: int = 3,
) -> list[str]:
    """Entities with names similar to `label`, nearest first; those that contain it come first."""
    entity_of = {}
    for entity in names:
        for name in sorted(entity.normal_names()):
            entity_of[name] = entity.name
    words = re.sub(r"[\W_]+", " ", label.casefold()).split()
    text = " ".join(words)
    containing = []
    if len(text) >= _MIN_PART_LETTERS:
        containing = [name for name in entity_of if text in name]
    similar = difflib.get_close_matches(
        text,
        list(entity_of),
        n=5 * max_names,
        cutoff=_MIN_SIMILARITY,
    )
    ranked = sorted(containing, key=len) + similar
    entities = dict.fromkeys(entity_of[name] for name in ranked)
    return list(entities)[:max_names]


@cache
def _shipped_subtypes() -> Subtypes:
    return load_subtypes()


def _parse_template(template: str, allowed: Sequence[str]) -> list[list[Piece]]:
    """The template's parts, each a list of pieces.

    Raises:
        ValueError: it is no template, or has a field that is not among `allowed`.
    """
    shown = f"template {template[:60]!r}"
    if not 1 <= len(template) <= MAX_TEMPLATE:
        raise ValueError(f"template must have 1..{MAX_TEMPLATE} characters, not {len(template)}")
    hidden = _first_invisible(template)
    if hidden:
        raise ValueError(f"{shown} holds the control character {hidden}")
    parts: list[list[Piece]] = [[]]
    for literal, name in _template_pieces(template, shown):
        if name is not None and name not in allowed:
            known = ", ".join(dict.fromkeys(allowed))
            raise ValueError(f"{shown} has the field {name!r}, not one of {known}")
        *before, last = literal.split(",")
        for text in before:
            parts[-1].append((text, None))
            parts.append([])
        parts[-1].append((last, name))
    if not any(text.strip() or name for part in parts for text, name in part):
        raise ValueError(f"{shown} is empty")
    return parts


def _template_pieces(template: str, shown: str) -> Iterator[Piece]:
    """Literal text and the name of the field after it; fields hold nothing else.

    Raises:
        ValueError: it is no template; its message names it as `shown`.
    """
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{shown} is no template: {error}") from error
    for literal, name, form, conversion in pieces:
        if "{" in literal or "}" in literal:
            raise ValueError(f"{shown} holds doubled braces, and a prompt has none")
        if form or conversion:
            extra = f"!{conversion}" if conversion else f":{form}"
            raise ValueError(f"{shown} has {extra!r} in a field; a field is a name alone")
        yield literal, name


def _problem_of(value: str) -> str:
    """Why a value cannot be part of a prompt; "" where it can."""
    if len(value) > MAX_VALUE:
        return f"has {len(value)} characters, more than {MAX_VALUE}"
    hidden = _first_invisible(value)
    if hidden:
        return f"holds the control character {hidden}"
    if "{" in value or "}" in value:
        return "holds braces"
    return ""


def _first_invisible(text: str) -> str:
    """The first character that is not visible, or breaks the line, as U+....; "" without one."""
    for character in text:
        if unicodedata.category(character) in _INVISIBLE:
            return f"U+{ord(character):04X}"
    return ""
