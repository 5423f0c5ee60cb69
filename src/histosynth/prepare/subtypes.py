"""Names of soft-tissue sarcomas: many spellings and codes, one name each."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..core import recipe as recipes
from ..core.errors import BadRecipe

SHIPPED = Path(__file__).with_name("subtypes.toml")
_CODE = re.compile(r"\d{4}/\d")
_BETWEEN = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Subtype:
    """One entity and all that it is called."""

    name: str
    """As in the WHO classification."""
    abbreviation: str = ""
    icd_o_3: tuple[str, ...] = ()
    """Morphology and behaviour, e.g. 8890/3."""
    synonyms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _key(self.name):
            raise ValueError(f"the name {self.name!r} has no letter")
        if wrong := [code for code in self.icd_o_3 if not _CODE.fullmatch(code)]:
            raise ValueError(f"{self.name}: {', '.join(wrong)} is no ICD-O-3 code such as 8890/3")
        if any(not _key(synonym) for synonym in self.synonyms):
            raise ValueError(f"{self.name}: a synonym has no letter")

    def spoken(self) -> set[str]:
        """All that it is called, as it is compared."""
        called = (self.name, self.abbreviation, *self.icd_o_3, *self.synonyms)
        return {_key(text) for text in called if _key(text)}


@dataclass(frozen=True)
class Subtypes:
    """Entities, no two of which share a name, a synonym or a code."""

    subtype: tuple[Subtype, ...] = ()

    def __iter__(self) -> Iterator[Subtype]:
        return iter(self.subtype)

    def __len__(self) -> int:
        return len(self.subtype)

    def name_of(self, text_or_code: str) -> str | None:
        """The entity's name, or None.

        Args:
            text_or_code: a name, abbreviation, synonym or ICD-O-3 code. Case and punctuation do not
                matter.
        """
        return self._index.get(_key(text_or_code))

    @cached_property
    def _index(self) -> dict[str, str]:
        return {key: each.name for each in self.subtype for key in each.spoken()}


def load_subtypes(extra: Path | None = None) -> Subtypes:
    """The entities that the package knows, and yours.

    Args:
        extra: TOML of the same form. An entity of a known name takes its place; others are added.

    Raises:
        BadRecipe: the file cannot be used, or two entities share a name, a synonym or a code.
    """
    known = {_key(each.name): each for each in recipes.load(SHIPPED, Subtypes)}
    if extra is not None:
        own = recipes.load(extra, Subtypes)
        _refuse_shared(
            tuple(own), str(extra)
        )  # else the second of one name would replace the first
        known.update({_key(each.name): each for each in own})
    _refuse_shared(tuple(known.values()), str(extra or SHIPPED))
    return Subtypes(tuple(known.values()))


def _refuse_shared(entities: tuple[Subtype, ...], where: str) -> None:
    owners: dict[str, list[str]] = defaultdict(list)
    for each in entities:
        for key in each.spoken():
            owners[key].append(each.name)
    shared = {key: names for key, names in owners.items() if len(names) > 1}
    if shared:
        told = {text: _key(text) for each in entities for text in (*each.icd_o_3, *each.synonyms)}
        written = {key: text for text, key in told.items()}  # a code reads better as it was written
        raise BadRecipe(
            where,
            [
                f"{written.get(key, key)} stands for {' and '.join(shared[key])}"
                for key in sorted(shared)
            ],
        )


def _key(text: str) -> str:
    """Text as it is compared: `Pleomorphic 'MFH'` and `pleomorphic-mfh` are one."""
    return _BETWEEN.sub(" ", text.casefold()).strip()
