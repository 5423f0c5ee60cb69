"""What a text-conditioned base is told of a tile: a template, and what its label stands for.

A template is a list of parts between commas. A part with a field of which nothing is known is left
out whole, so that no `of ,` is ever said. Templates are taken apart, never formatted: a field can
only name what is allowed.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from string import Formatter

from ...core.errors import BadRecipe, InputError
from ...prepare.subtypes import Subtypes, load_subtypes

OF_LABEL = ("subtype", "label")
"""Fields that the tile's label fills: by its name in the list of entities, or as it is written
too."""
FIELDS = (*OF_LABEL, "site", "stain", "tissue")
MAX_TEMPLATE = 300
MAX_VALUE = 120
MAX_PROMPT = 300
"""Characters. CLIP reads 77 tokens, about so many characters; more would be cut off unseen."""


class UnnamedLabel(InputError):
    """A label that a prompt should call by name, and that stands for no known entity."""

    def __init__(self, label: str, nearest: Sequence[str]) -> None:
        self.label = label
        self.nearest = tuple(nearest)
        near = f"; the nearest are {', '.join(nearest)}" if nearest else ", nor for one like it"
        super().__init__(
            f"The label {label!r} stands for no known entity{near}.",
            "Give a name, synonym or ICD-O-3 code that is known, or write {label} in the template, "
            "which takes any.",
        )


@dataclass(frozen=True)
class Prompts:
    """How tiles are put into words."""

    template: str = "H&E, {subtype}, {site}"
    """Parts between commas, with fields in braces. {subtype}: the WHO name that the label stands
    for, and it must be known; {label}: that name, or the label itself where it is not; others are
    facts."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What holds for all tiles: site, stain, tissue and any field of your own; "": not known."""

    def __post_init__(self) -> None:
        for name, value in self.facts.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name) or name in OF_LABEL:
                why = (
                    "the tile's label gives it"
                    if name in OF_LABEL
                    else "use up to 40 of a-z, 0-9 and _"
                )
                raise ValueError(f"facts.{name!r} is no name for a fact: {why}")
            if wrong := _wrong(value):
                raise ValueError(f"facts.{name} {wrong}")
        parts = _parts(self.template, (*FIELDS, *self.facts))
        used = {name for part in parts for _, name in part}
        if idle := sorted(set(self.facts) - used):
            raise ValueError(f"facts.{idle[0]} is given, but the template has no {{{idle[0]}}}")

    @property
    def uses_label(self) -> bool:
        """Whether the template has a field that the label fills."""
        return any(
            name in OF_LABEL
            for part in _parts(self.template, (*FIELDS, *self.facts))
            for _, name in part
        )

    def prompt_of(self, label: str, *, names: Subtypes | None = None) -> str:
        """The prompt of a tile.

        Args:
            label: of the tile: a name, synonym or code, or any text where the template says
                {label}; "" where it is not known.
            names: entities that labels stand for; those that are shipped where absent.

        Raises:
            UnnamedLabel: the template says {subtype}, and the label stands for none.
            BadRecipe: the label holds braces or control characters, or it or the prompt is too
                long.
        """
        values = {**self.facts, **self._of_label(label, names or _shipped())}
        said = []
        for part in _parts(self.template, (*FIELDS, *self.facts)):
            if all(name is None or values.get(name, "").strip() for _, name in part):
                text = "".join(literal + (values[name] if name else "") for literal, name in part)
                said.append(" ".join(text.split()))
        prompt = ", ".join(text for text in said if text)
        if len(prompt) > MAX_PROMPT:
            problem = (
                f"the prompt of label {label!r} has {len(prompt)} characters, more than "
                f"{MAX_PROMPT}"
            )
            raise BadRecipe("prompts", [problem])
        return prompt

    def all_prompts(
        self, labels: Sequence[str], *, names: Subtypes | None = None
    ) -> tuple[str, ...]:
        """Every prompt that tiles of these labels have, once each, in the order of the labels.

        The first is empty: what the base is told where the prompt is dropped, for classifier-free
            guidance
        (Ho and Salimans 2022).

        Raises:
            UnnamedLabel, BadRecipe: as `prompt_of`.
        """
        each = (self.prompt_of(label, names=names) for label in dict.fromkeys(labels))
        return tuple(dict.fromkeys(["", *each]))

    def _of_label(self, label: str, names: Subtypes) -> dict[str, str]:
        if wrong := _wrong(label):
            raise BadRecipe("prompts", [f"the label {label[:60]!r} {wrong}"])
        if not label.strip():
            return {}
        name = names.name_of(label)
        used = {name for part in _parts(self.template, (*FIELDS, *self.facts)) for _, name in part}
        if name is None and "subtype" in used:
            raise UnnamedLabel(label, nearest_names(label, names))
        # a list of your own may hold anything in its names
        if name is not None and (wrong := _wrong(name)):
            raise BadRecipe("prompts", [f"the name {name[:60]!r} {wrong}"])
        return {"subtype": name or "", "label": name or label}


def nearest_names(label: str, names: Subtypes, most: int = 3) -> list[str]:
    """Entities called something like `label`, nearest first; those that hold it as a part come
    first.
    """
    owners = {called: each.name for each in names for called in sorted(each.normal_names())}
    text = " ".join(re.sub(r"[\W_]+", " ", label.casefold()).split())
    holding = [called for called in owners if len(text) > 3 and text in called]
    near = difflib.get_close_matches(
        text,
        list(owners),
        n=5 * most,
        cutoff=0.55,
    )
    ranked = sorted(holding, key=len) + near
    return list(dict.fromkeys(owners[called] for called in ranked))[:most]


@cache
def _shipped() -> Subtypes:
    return load_subtypes()


def _parts(template: str, allowed: Sequence[str]) -> list[list[tuple[str, str | None]]]:
    """The template's parts, each a list of (text, field after it or None).

    Raises:
        ValueError: it is no template, or has a field that is not among `allowed`.
    """
    shown = f"template {template[:60]!r}"
    if not 1 <= len(template) <= MAX_TEMPLATE:
        raise ValueError(f"template must have 1..{MAX_TEMPLATE} characters, not {len(template)}")
    if hidden := _hidden(template):
        raise ValueError(f"{shown} holds the control character {hidden}")
    try:
        pieces = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{shown} is no template: {error}") from error
    parts: list[list[tuple[str, str | None]]] = [[]]
    for literal, name, form, conversion in pieces:
        if "{" in literal or "}" in literal:
            raise ValueError(f"{shown} holds doubled braces, and a prompt has none")
        if form or conversion:
            extra = f"!{conversion}" if conversion else f":{form}"
            raise ValueError(f"{shown} has {extra!r} in a field; a field is a name alone")
        if name is not None and name not in allowed:
            raise ValueError(
                f"{shown} has the field {name!r}, not one of {', '.join(dict.fromkeys(allowed))}"
            )
        *before, last = literal.split(",")
        for text in before:
            parts[-1].append((text, None))
            parts.append([])
        parts[-1].append((last, name))
    if not any(text.strip() or name for part in parts for text, name in part):
        raise ValueError(f"{shown} says nothing")
    return parts


def _wrong(value: str) -> str:
    """What keeps a value out of a prompt; "" where nothing does."""
    if len(value) > MAX_VALUE:
        return f"has {len(value)} characters, more than {MAX_VALUE}"
    if hidden := _hidden(value):
        return f"holds the control character {hidden}"
    return "holds braces" if "{" in value or "}" in value else ""


def _hidden(text: str) -> str:
    """The first character that is not seen, or turns the line, as U+....; "" where there is
    none.
    """
    found = (sign for sign in text if unicodedata.category(sign) in _UNSEEN)
    return next((f"U+{ord(sign):04X}" for sign in found), "")


_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode's categories of controls, marks of direction, halves of pairs, and what is not
assigned."""
