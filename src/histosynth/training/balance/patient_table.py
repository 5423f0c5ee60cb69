"""A table of patients: sex, ancestry, site and age, as far as they are stated."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import TextIOWrapper
from pathlib import Path

from ...core.cells import read_csv_rows
from ...core.errors import BadTable
from ...core.images import IMAGE_SUFFIXES
from ...core.plain_files import open_plain
from ...preparation.patients import MAX_TABLE_BYTES
from ...slides import SLIDE_SUFFIXES

NOT_STATED = "not stated"
TRAIT_COLUMNS = {
    "sex": ("sex",),
    "ancestry": ("ancestry", "race", "ethnicity"),
    "site": ("site", "organ"),
    "age": ("age",),
}
"""Traits, and the columns that can hold them; a trait is counted under its column's name."""
MAX_ROWS = 1_000_000
_MAX_CELL = 120
MAX_VALUES = 200
"""A column of more different values identifies patients, and does not group them."""
_MAX_AGE = 130
_OLDEST_GROUP = 90
"""Ages from here on are one group, as HIPAA's safe harbour requires."""
_BLANK = {
    *("", "-", "--", "'--", "?", ".", "na", "n/a", "nan", "none", "null", "unknown", "unspecified"),
    *("not stated", "not reported", "not available", "[not available]", "not known", "missing"),
}
"""How tables write that a value is not known."""
_SEX = {"f": "female", "m": "male"}


@dataclass(frozen=True)
class PatientTraits:
    """Traits of patients and of their slides.

    Attributes:
        of_patient: by patient: column, then value. An age is a decade such as `60-69`.
        of_slide: the same by slide, of sites alone: a patient may have several.
        patient_of: patient by slide.
        columns: the columns with traits that the table has, in the order of `TRAIT_COLUMNS`.
    """

    of_patient: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    of_slide: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    patient_of: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """Traits for which the table has no column."""
        found = set(self.columns)
        return [trait for trait, columns in TRAIT_COLUMNS.items() if not found & set(columns)]

    def value(
        self,
        slide: str,
        patient: str,
        column: str,
    ) -> str:
        """The value of a slide, else of its patient; `not stated` where there is none."""
        if slide in self.of_slide and column in TRAIT_COLUMNS["site"]:
            return self.of_slide[slide].get(column, NOT_STATED)
        patient = patient or self.patient_of.get(slide, "")
        values = self.of_patient.get(patient, {})
        return values.get(column, NOT_STATED)


def read_patient_traits(path: Path) -> PatientTraits:
    """Read a CSV with a column `patient`, at best one `slide`, and any of `TRAIT_COLUMNS`; others
    are skipped.

    Spellings that differ in case are one value, as first written; `NA`, `unknown` and the like
    count as not stated. Values are text and never run: what a spreadsheet would take for a formula
    is refused.

    Raises:
        BadTable: it cannot be read, lacks a column, names a slide twice, states two values for a
            patient, or holds what is no value: a formula, control characters, an impossible age, or
            notes.
    """
    collector = _TraitCollector(path)
    for line, row in _rows(path):
        collector.add(line, row)
    return collector.finish()


class _TraitCollector:
    """Collects the rows of a table."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._of_patient: dict[str, dict[str, str]] = {}
        self._of_slide: dict[str, dict[str, str]] = {}
        self._patient_of: dict[str, str] = {}
        self._columns: tuple[str, ...] = ()
        self._ages: dict[str, float] = {}
        self._spellings: dict[tuple[str, str], str] = {}
        """By column and value in small letters: the value as first written."""
        self._several: set[tuple[str, str]] = set()
        """Patient and column, of patients with several sites."""

    def add(self, line: int, row: Mapping[str, str]) -> None:
        """Take one row, column names in small letters."""
        where = f"{self._path}, line {line},"
        self._columns = self._columns or _trait_columns(row)
        patient = row["patient"].strip()
        slide = _stem(row.get("slide", "").strip())
        if not patient:
            raise BadTable(f"{where} names no patient.", "Give each line its patient.")
        if slide in self._patient_of:
            raise BadTable(f"{where} names slide {slide} again.", "Give each slide one line.")
        if slide:
            self._patient_of[slide] = patient
            self._of_slide[slide] = {}
        self._of_patient.setdefault(patient, {})
        for column in self._columns:
            value = _clean_value(row[column], column, where)
            if not value:
                continue
            if column == "age":
                self._add_age(patient, value, where)
            else:
                self._add_value(
                    patient,
                    slide,
                    column,
                    value,
                    where,
                )

    def _add_age(
        self,
        patient: str,
        value: str,
        where: str,
    ) -> None:
        """Of several slides, the patient's lowest age counts."""
        age = _parse_age(value, where)
        self._ages[patient] = min(age, self._ages.get(patient, age))

    def _add_value(
        self,
        patient: str,
        slide: str,
        column: str,
        value: str,
        where: str,
    ) -> None:
        value = self._spellings.setdefault(
            (column, value.casefold()),
            value,
        )
        is_site = column in TRAIT_COLUMNS["site"]
        if slide and is_site:
            self._of_slide[slide][column] = value
        before = self._of_patient[patient].setdefault(column, value)
        if before == value:
            return
        if not is_site:
            problem = f"{where} has {column} {value!r} for patient {patient}, before {before!r}"
            raise BadTable(f"{problem}.", "Give each patient one, or leave it empty.")
        self._several.add((patient, column))

    def finish(self) -> PatientTraits:
        """The traits of all rows."""
        # of several sites, only the slide determines which one a tile is of
        for patient, column in self._several:
            del self._of_patient[patient][column]
        for patient, age in self._ages.items():
            self._of_patient[patient]["age"] = _age_group(age)
        self._refuse_notes()
        return PatientTraits(
            self._of_patient,
            self._of_slide,
            self._patient_of,
            self._columns,
        )

    def _refuse_notes(self) -> None:
        """Refuse columns of too many different values."""
        counts = Counter(column for column, _ in self._spellings)
        for column, count in counts.items():
            if count > MAX_VALUES:
                problem = (
                    f"{self._path} has {count} different values for {column}, more than "
                    f"{MAX_VALUES}"
                )
                raise BadTable(f"{problem}.", "Give groups, not notes or names.")


def _trait_columns(row: Mapping[str, str]) -> tuple[str, ...]:
    """The columns of a row that hold traits."""
    columns = []
    for names in TRAIT_COLUMNS.values():
        columns += [name for name in names if name in row]
    return tuple(columns)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a table, column names in small letters.

    Raises:
        BadTable: it cannot be read, is too large, or is not shaped as a table.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise BadTable(f"{path} is larger than {MAX_TABLE_BYTES:,} bytes.", "Split it.")
        with TextIOWrapper(
            open_plain(path),
            encoding="utf-8-sig",
            newline="",
        ) as file:
            rows = read_csv_rows(file, strict=True)
            _, first_row = next(rows, (0, []))
            header = [cell.strip().lower() for cell in first_row]
            _check_header(path, header)
            full_rows = (row for row in rows if row[1])
            for number, (line, cells) in enumerate(full_rows, start=1):
                if number > MAX_ROWS:
                    raise BadTable(f"{path} has more than {MAX_ROWS:,} lines.", "Split it.")
                if len(cells) != len(header):
                    problem = (
                        f"{path}, line {line}, has {len(cells)} cells for {len(header)} columns"
                    )
                    raise BadTable(f"{problem}.", "Put quotes around cells with commas.")
                yield line, dict(zip(header, cells, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise BadTable(f"{path} cannot be read: {error}.", "Give a UTF-8 CSV file.") from error


def _check_header(path: Path, header: Sequence[str]) -> None:
    """Refuse a table without a column of patients, or with a column that is there twice."""
    if "patient" not in header:
        shown = ", ".join(name[:40] for name in header[:20]) or "nothing"
        problem = f"{path} has the columns {shown}, and none named patient."
        raise BadTable(problem, "Name one of them patient.")
    used = {"slide", "patient"}
    for columns in TRAIT_COLUMNS.values():
        used.update(columns)
    counts = Counter(name for name in header if name in used)
    repeated = sorted(name for name, count in counts.items() if count > 1)
    if repeated:
        problem = f"{path} has {repeated[0]} for more than one column."
        raise BadTable(problem, "Give each column its own name.")


def _clean_value(
    text: str,
    column: str,
    where: str,
) -> str:
    """A cell's value; "" where it is not known."""
    value = " ".join(text.split())
    if value.casefold() in _BLANK:
        return ""
    problem = ""
    if len(value) > _MAX_CELL:
        problem = f"{len(value)} characters"
    elif not value.isprintable():
        problem = "a control character"
    if problem:
        remedy = f"Give up to {_MAX_CELL} plain characters."
        raise BadTable(f"{where} has {problem} for {column}.", remedy)
    if value[0] in "=+-@":
        shown = repr(value[:30])
        problem = f"{where} has {shown} for {column}, which a spreadsheet takes for a formula"
        raise BadTable(f"{problem}.", "Save the table with values in place of formulas.")
    if column == "sex":
        return _SEX.get(value.casefold(), value)
    return value


def _parse_age(value: str, where: str) -> float:
    """An age in years."""
    try:
        age = float(value)
    except ValueError:
        age = float("nan")
    if not 0 <= age <= _MAX_AGE:
        problem = f"{where} has the age {value!r}, which is no age in years."
        raise BadTable(problem, f"Give years, 0 to {_MAX_AGE}.")
    return age


def _age_group(age: float) -> str:
    """The decade of an age; the oldest are one group."""
    low = int(age) // 10 * 10
    if low >= _OLDEST_GROUP:
        return f"{_OLDEST_GROUP}+"
    return f"{low}-{low + 9}"


def _stem(name: str) -> str:
    """A slide's name without the suffix of a file."""
    path = Path(name)
    suffixes = (*SLIDE_SUFFIXES, *IMAGE_SUFFIXES)
    return path.stem if path.suffix.lower() in suffixes else path.name
