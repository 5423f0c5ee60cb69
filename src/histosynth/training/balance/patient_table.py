"""What a table says of patients: sex, ancestry, site and age, as far as they are stated."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...core.errors import BadTable
from ...core.tile import IMAGE_SUFFIXES
from ...prepare.patients import MAX_TABLE_BYTES
from ...slides import SLIDE_SUFFIXES

NOT_STATED = "not stated"
GROUPS = {
    "sex": ("sex",),
    "ancestry": ("ancestry", "race", "ethnicity"),
    "site": ("site", "organ"),
    "age": ("age",),
}
"""What is asked, and the columns that answer it; what is counted keeps its column's name."""
MAX_ROWS = 1_000_000
MAX_CELL = 120
MAX_VALUES = 200
"""A column of more different values names people, and does not group them."""
OLDEST = 90
"""Ages from here on are one group, as HIPAA's safe harbour has it."""
_BLANK = {
    *("", "-", "--", "'--", "?", ".", "na", "n/a", "nan", "none", "null", "unknown", "unspecified"),
    *("not stated", "not reported", "not available", "[not available]", "not known", "missing"),
}
"""How tables write that they do not know."""
_SEX = {"f": "female", "m": "male"}


@dataclass(frozen=True)
class PatientTraits:
    """What is known of patients and of their slides.

    Attributes:
        of_patient: by patient: column, then value. An age is a decade such as `60-69`.
        of_slide: the same by slide, of sites alone: a patient may have several.
        patient_of: patient by slide.
        traits: the columns that the table has, in the order of `GROUPS`.
    """

    of_patient: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    of_slide: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    patient_of: Mapping[str, str] = field(default_factory=dict)
    traits: tuple[str, ...] = ()

    @property
    def lacking(self) -> list[str]:
        """What is asked and no column answers."""
        return [name for name, columns in GROUPS.items() if not set(columns) & set(self.traits)]

    def value(
        self,
        slide: str,
        patient: str,
        trait: str,
    ) -> str:
        """What is stated of a slide, else of its patient; `not stated` where nothing is."""
        if slide in self.of_slide and trait in GROUPS["site"]:
            return self.of_slide[slide].get(trait, NOT_STATED)
        patient = patient or self.patient_of.get(slide, "")
        return self.of_patient.get(patient, {}).get(trait, NOT_STATED)


def read_patient_traits(path: Path) -> PatientTraits:
    """Read a CSV with a column `patient`, at best one `slide`, and any of `GROUPS`; others are
    skipped.

    Spellings that differ in case are one value, as first written; `NA`, `unknown` and the like say
    nothing. Values are text and never run: what a spreadsheet would take for a formula is refused.

    Raises:
        BadTable: it cannot be read, lacks a column, names a slide twice, says two things of a
            patient, or holds what is no value: a formula, control characters, an age that is none,
                or notes.
    """
    people: dict[str, dict[str, str]] = {}
    slides: dict[str, dict[str, str]] = {}
    patient_of: dict[str, str] = {}
    ages: dict[str, float] = {}
    several: set[tuple[str, str]] = set()
    spelt: dict[tuple[str, str], str] = {}
    traits: tuple[str, ...] = ()
    for line, row in _rows(path):
        where = f"{path}, line {line},"
        traits = traits or tuple(
            each for columns in GROUPS.values() for each in columns if each in row
        )
        patient = row["patient"].strip()
        slide = _stem(row.get("slide", "").strip())
        if not patient:
            raise BadTable(f"{where} names no patient.", "Give each line its patient.")
        if slide in patient_of:
            raise BadTable(f"{where} names slide {slide} again.", "Give each slide one line.")
        if slide:
            patient_of[slide], slides[slide] = patient, {}
        known = people.setdefault(patient, {})
        for trait in traits:
            if not (value := _value(row[trait], trait, where)):
                continue
            if trait == "age":  # of several slides, the first
                ages[patient] = min(_age(value, where), ages.get(patient, 999.0))
                continue
            value = spelt.setdefault((trait, value.casefold()), value)
            if slide and trait in GROUPS["site"]:
                slides[slide][trait] = value
            if known.setdefault(trait, value) != value:
                if trait not in GROUPS["site"]:
                    problem = (
                        f"{where} has {trait} {value!r} for patient {patient}, before "
                        f"{known[trait]!r}"
                    )
                    raise BadTable(f"{problem}.", "Give each patient one, or leave it empty.")
                several.add((patient, trait))
    for patient, trait in several:  # of which one a tile is, only its slide can say
        del people[patient][trait]
    for patient, age in ages.items():
        people[patient]["age"] = _decade(age)
    _refuse_texts(path, spelt)
    return PatientTraits(people, slides, patient_of, traits)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a table, column names in small letters.

    Raises:
        BadTable: it cannot be read, is too large, or is not shaped as a table.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise BadTable(f"{path} is larger than {MAX_TABLE_BYTES:,} bytes.", "Split it.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip().lower() for cell in next(reader, [])]
            _check_header(path, header)
            for number, cells in enumerate(filter(None, reader), start=1):
                if number > MAX_ROWS:
                    raise BadTable(f"{path} has more than {MAX_ROWS:,} lines.", "Split it.")
                if len(cells) != len(header):
                    problem = (
                        f"{path}, line {reader.line_num}, has {len(cells)} cells for "
                        f"{len(header)} columns"
                    )
                    raise BadTable(f"{problem}.", "Put quotes around cells with commas.")
                yield reader.line_num, dict(zip(header, cells, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise BadTable(f"{path} cannot be read: {error}.", "Give a UTF-8 CSV file.") from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    shown = ", ".join(name[:40] for name in header[:20]) or "nothing"
    if "patient" not in header:
        raise BadTable(
            f"{path} has the columns {shown}, and none named patient.", "Name one of them patient."
        )
    asked = {"slide", "patient", *(each for columns in GROUPS.values() for each in columns)}
    if twice := sorted(
        name for name, count in Counter(header).items() if count > 1 and name in asked
    ):
        raise BadTable(
            f"{path} has {twice[0]} for more than one column.", "Give each column its own name."
        )


def _value(text: str, trait: str, where: str) -> str:
    """A cell's value; "" where it says nothing."""
    value = " ".join(text.split())
    if value.casefold() in _BLANK:
        return ""
    if len(value) > MAX_CELL or not value.isprintable():
        what = f"{len(value)} characters" if len(value) > MAX_CELL else "a control character"
        raise BadTable(
            f"{where} has {what} for {trait}.", f"Give up to {MAX_CELL} plain characters."
        )
    if value[0] in "=+-@":
        problem = f"{where} has {value[:30]!r} for {trait}, which a spreadsheet takes for a formula"
        raise BadTable(f"{problem}.", "Save the table with values in place of formulas.")
    return _SEX.get(value.casefold(), value) if trait == "sex" else value


def _age(value: str, where: str) -> float:
    try:
        age = float(value)
    except ValueError:
        age = float("nan")
    if not 0 <= age <= 130:
        raise BadTable(
            f"{where} has the age {value!r}, which is no age in years.", "Give years, 0 to 130."
        )
    return age


def _decade(age: float) -> str:
    low = int(age) // 10 * 10
    return f"{OLDEST}+" if low >= OLDEST else f"{low}-{low + 9}"


def _refuse_texts(path: Path, spelt: Mapping[tuple[str, str], str]) -> None:
    for trait, count in Counter(trait for trait, _ in spelt).items():
        if count > MAX_VALUES:
            problem = f"{path} has {count} different values for {trait}, more than {MAX_VALUES}"
            raise BadTable(f"{problem}.", "Give groups, not notes or names.")


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in (*SLIDE_SUFFIXES, *IMAGE_SUFFIXES) else path.name
