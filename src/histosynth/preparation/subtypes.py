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

SHIPPED_SUBTYPES = Path(__file__).with_name("subtypes.toml")
_CODE = re.compile(r"\d{4}/\d")
_BETWEEN = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Subtype:
    """One entity with all its names."""

    name: str
    """As in the WHO classification."""
    abbreviation: str = ""
    icd_o_3: tuple[str, ...] = ()
    """Morphology and behaviour, e.g. 8890/3."""
    synonyms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _key(self.name):
            raise ValueError(f"the name {self.name!r} has no letter")
        wrong = [code for code in self.icd_o_3 if not _CODE.fullmatch(code)]
        if wrong:
            listed = ", ".join(wrong)
            problem = f"{listed} is no ICD-O-3 code such as 8890/3"
            raise ValueError(f"{self.name}: {problem}")
        if any(not _key(synonym) for synonym in self.synonyms):
            raise ValueError(f"{self.name}: a synonym has no letter")

    def normal_names(self) -> set[str]:
        """All its names and codes, as they are compared."""
        names = (
            self.name,
            self.abbreviation,
            *self.icd_o_3,
            *self.synonyms,
        )
        keys = {_key(name) for name in names}
        keys.discard("")
        return keys


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
        key = _key(text_or_code)
        return self._index.get(key)

    @cached_property
    def _index(self) -> dict[str, str]:
        index: dict[str, str] = {}
        for entity in self.subtype:
            for key in entity.normal_names():
                index[key] = entity.name
        return index


def load_subtypes(extra: Path | None = None) -> Subtypes:
    """The entities of the package, and yours.

    Args:
        extra: TOML of the same form. An entity of a known name takes its place; others are added.

    Raises:
        BadRecipe: the file cannot be used, or two entities share a name, a synonym or a code.
    """
    shipped = recipes.load(SHIPPED_SUBTYPES, Subtypes)
    entities = {_key(entity.name): entity for entity in shipped}
    if extra is not None:
        own = recipes.load(extra, Subtypes)
        # else the second of one name would replace the first
        _refuse_shared_names(own.subtype, str(extra))
        for entity in own:
            entities[_key(entity.name)] = entity
    found = tuple(entities.values())
    _refuse_shared_names(found, str(extra or SHIPPED_SUBTYPES))
    return Subtypes(found)


def _refuse_shared_names(entities: tuple[Subtype, ...], where: str) -> None:
    """Refuse entities of which two share a name, a synonym or a code."""
    owners: dict[str, list[str]] = defaultdict(list)
    written: dict[str, str] = {}  # a code reads better as it was written
    for entity in entities:
        for key in entity.normal_names():
            owners[key].append(entity.name)
        for text in (*entity.icd_o_3, *entity.synonyms):
            written[_key(text)] = text
    problems = []
    for key, names in sorted(owners.items()):
        if len(names) > 1:
            text = written.get(key, key)
            listed = " and ".join(names)
            problems.append(f"{text} stands for {listed}")
    if problems:
        raise BadRecipe(where, problems)


def _key(text: str) -> str:
    """Text as it is compared: `Pleomorphic 'MFH'` and `pleomorphic-mfh` are one."""
    spaced = _BETWEEN.sub(" ", text.casefold())
    return spaced.strip()
