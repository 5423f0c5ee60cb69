"""Whose slides they are: files, patients and labels, by table and by name."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.errors import BadRecipe, BadTable, NoFiles
from ..slides import SLIDE_SUFFIXES
from .recipe import PrepareRecipe

MAX_TABLE_BYTES = 64 << 20
TCGA = re.compile(r"^(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})-")
"""Project, site and participant: the patient (TCGA barcodes, Genomic Data Commons)."""


@dataclass(frozen=True)
class Source:
    """One slide before it is opened."""

    path: Path
    name: str
    patient: str
    label: str


def find_sources(recipe: PrepareRecipe, here: Path) -> list[Source]:
    """The slides that a recipe names, by name.

    Args:
        recipe: with its patterns and table.
        here: folder that its paths start from.

    Raises:
        NoFiles: a pattern matches no file.
        BadRecipe: two slides have one name, or a pattern for patients does not match.
        BadTable: the table cannot be used, or lacks a slide.
    """
    paths: dict[Path, None] = {}
    for pattern in recipe.slides:
        found = _matching(here, pattern)
        if not found:
            raise NoFiles(here / pattern, SLIDE_SUFFIXES[:6])
        paths.update(dict.fromkeys(found))
    names = Counter(path.stem for path in paths)
    if hidden := sorted(name for name in names if name.startswith(".") or name == "contact"):
        raise BadRecipe("slides", [f"{hidden[0]} is no name for a slide here; rename it"])
    if twice := sorted(name for name, count in names.items() if count > 1):
        raise BadRecipe("slides", [f"{len(twice)} names stand for two slides, first {twice[0]}"])
    table = read_table(here / recipe.table) if recipe.table else {}
    if recipe.table and (absent := sorted(set(names) - table.keys())):
        problem = f"{recipe.table} lacks {len(absent)} of {len(names)} slides, first {absent[0]}"
        raise BadTable(f"{problem}.", "Add them, with their patient.")
    sources: list[Source] = []
    for path in sorted(paths, key=lambda each: each.stem):
        row = table.get(path.stem, {})
        patient = row.get("patient") or patient_of_slide(path.stem, recipe.patient)
        sources.append(
            Source(
                path,
                path.stem,
                patient,
                row.get("label") or recipe.label,
            )
        )
    labels = labels_of(sources)
    return [replace(each, label=labels[each.patient]) for each in sources]


def labels_of(sources: Sequence[Source]) -> dict[str, str]:
    """Label by patient; slides without one take that of the patient's others.

    Raises:
        BadTable: a patient has two, and could not be stratified.
    """
    labels: dict[str, str] = {}
    for each in sources:
        before = labels.get(each.patient, "")
        if before and each.label and before != each.label:
            both = f"{before!r} and {each.label!r}"
            raise BadTable(
                f"Patient {each.patient} has the labels {both}.", "Give each patient one label."
            )
        labels[each.patient] = before or each.label
    return labels


def patient_of_slide(name: str, pattern: str) -> str:
    """The patient in a slide's name.

    Raises:
        BadRecipe: the pattern is none, or does not match.
    """
    if not pattern:
        barcode = TCGA.match(name)
        return barcode.group(1) if barcode else name
    try:
        found = re.search(pattern, name)
        if found is None or not found.groups() or not found.group(1):
            raise BadRecipe("patient", [f"the pattern {pattern!r} finds no patient in {name}"])
        return found.group(1)
    except re.error as error:
        raise BadRecipe("patient", [f"{pattern!r} is no pattern: {error}"]) from error


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Rows of a CSV with a column `slide`, by slide; names may carry their suffix.

    Raises:
        BadTable: it cannot be read, lacks the column, or names a slide twice.
    """
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise BadTable(f"{path} is larger than {MAX_TABLE_BYTES:,} bytes.", "Split it.")
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = [cell.strip().lower() for cell in next(csv.reader(file), [])]
            rows = list(csv.DictReader(file, fieldnames=header))
    except (OSError, ValueError, csv.Error) as error:
        raise BadTable(f"{path} cannot be read: {error}.", "Give a UTF-8 CSV file.") from error
    if rows and "slide" not in rows[0]:
        columns = ", ".join(str(name) for name in rows[0])
        raise BadTable(
            f"{path} has the columns {columns}, and none named slide.", "Name one of them slide."
        )
    out: dict[str, dict[str, str]] = {}
    for number, row in enumerate(rows, start=2):
        name = _stem((row.get("slide") or "").strip())
        if not name or name in out:
            what = f"names {name} again" if name else "names no slide"
            raise BadTable(f"{path}, line {number}, {what}.", "Give each slide one line.")
        out[name] = {column: (row.get(column) or "").strip() for column in ("patient", "label")}
    return out


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in SLIDE_SUFFIXES else path.name


def _matching(here: Path, pattern: str) -> list[Path]:
    path = Path(pattern)
    if not any(sign in pattern for sign in "*?["):
        one = here / path
        return [one] if one.is_file() else []
    if path.is_absolute():
        here = Path(path.anchor)
        path = path.relative_to(path.anchor)
    try:
        found = [each for each in here.glob(str(path)) if each.suffix.lower() in SLIDE_SUFFIXES]
    except (ValueError, NotImplementedError) as error:
        raise BadRecipe("slides", [f"{pattern!r} is no pattern: {error}"]) from error
    return sorted(each for each in found if each.is_file() and not each.name.startswith("."))
