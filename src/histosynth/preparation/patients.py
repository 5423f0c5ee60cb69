"""Slides with their patients and labels, from a table and from file names."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path

from ..core.barcode import barcodes_in, lacks_barcode, patients_of_barcodes
from ..core.cells import read_csv_rows
from ..core.errors import BadRecipe, BadTable, NoFiles
from ..core.errors.base import listed
from ..core.plain_files import open_plain
from ..core.tileset_columns import refuse_bad_names
from ..slides import SLIDE_SUFFIXES
from ..slides.series import one_file_a_slide
from .recipe import PrepareRecipe

MAX_TABLE_BYTES = 64 << 20
_SHOWN = 80
"""Characters of a column's name in a message."""
_Table = dict[str, dict[str, str]]
"""Rows by slide, each by column."""


@dataclass(frozen=True)
class SlideSource:
    """One slide before it is opened.

    Attributes:
        path: the file.
        name: the file's name without its suffix.
        patient: patient of the slide.
        label: label of the patient; "" where none is known.
    """

    path: Path
    name: str
    patient: str
    label: str


def find_slide_sources(recipe: PrepareRecipe, base_folder: Path) -> list[SlideSource]:
    """The slides that a recipe names, by name.

    Args:
        recipe: with its patterns and table.
        base_folder: folder that its paths start from.

    Raises:
        NoFiles: a pattern matches no file.
        BadRecipe: two slides have one name, or a pattern for patients does not match.
        BadTable: the table cannot be used, or lacks a slide.
        BadTable: a barcode in names of slides contradicts the patients stated for them.
    """
    paths = _find_paths(recipe, base_folder)
    table = _read_recipe_table(
        recipe,
        base_folder,
        {path.stem for path in paths},
    )
    sources: list[SlideSource] = []
    for path in sorted(paths, key=lambda each: each.stem):
        row = table.get(path.stem, {})
        patient = row.get("patient") or patient_of_slide(path.stem, recipe.patient)
        label = row.get("label") or recipe.label
        names = {
            "slide": path.stem,
            "patient": patient,
            "label": label,
        }
        refuse_bad_names(names, f"The slide {path.name}")
        sources.append(SlideSource(path, path.stem, patient, label))
    refuse_divided_barcodes({source.name: source.patient for source in sources})
    labels = labels_of(sources)
    return [replace(source, label=labels[source.patient]) for source in sources]


def _find_paths(recipe: PrepareRecipe, base_folder: Path) -> list[Path]:
    """All slides that the recipe's patterns match, each once, every name once."""
    paths: dict[Path, None] = {}
    for pattern in recipe.slides:
        found = _matching(base_folder, pattern)
        if not found:
            raise NoFiles(base_folder / pattern, SLIDE_SUFFIXES[:6])
        paths.update(dict.fromkeys(found))
    slides = one_file_a_slide(paths)
    names = Counter(path.stem for path in slides)
    reserved = sorted(name for name in names if _is_reserved(name))
    if reserved:
        raise BadRecipe(
            "slides",
            [f"{reserved[0]} is no name for a slide here; rename it"],
        )
    repeated = sorted(name for name, count in names.items() if count > 1)
    if repeated:
        count = len(repeated)
        raise BadRecipe(
            "slides",
            [f"{count} names stand for two slides, first {repeated[0]}"],
        )
    return slides


def _is_reserved(name: str) -> bool:
    """Whether a slide of this name would collide with other files of a run."""
    return name.startswith(".") or name == "contact"


def _read_recipe_table(
    recipe: PrepareRecipe,
    base_folder: Path,
    names: set[str],
) -> _Table:
    """The rows of the recipe's table, which must hold every slide; empty where it names none."""
    if not recipe.table:
        return {}
    table = read_table(base_folder / recipe.table)
    absent = sorted(names - table.keys())
    if absent:
        counts = f"{len(absent)} of {len(names)} slides"
        problem = f"{recipe.table} lacks {counts}, first {absent[0]}"
        raise BadTable(f"{problem}.", "Add them, with their patient.")
    return table


def labels_of(sources: Sequence[SlideSource]) -> dict[str, str]:
    """Label by patient; slides without one take that of the patient's other slides.

    Raises:
        BadTable: a patient has two, and could not be stratified.
    """
    labels: dict[str, str] = {}
    for source in sources:
        known = labels.get(source.patient, "")
        if known and source.label and known != source.label:
            raise BadTable(
                f"Patient {source.patient} has the labels {known!r} and {source.label!r}.",
                "Give each patient one label.",
            )
        labels[source.patient] = known or source.label
    return labels


def patient_of_slide(name: str, pattern: str) -> str:
    """The patient in a slide's name.

    Args:
        name: of the slide, without its suffix.
        pattern: its first group is the patient; "": the TCGA barcode in the name, else the name.

    Raises:
        BadRecipe: the pattern is none, or does not match.
        BadTable: the name holds the barcodes of two patients.
    """
    if not pattern:
        return _patient_by_barcode(name)
    try:
        found = re.search(pattern, name)
        if found is None or not found.groups() or not found.group(1):
            raise BadRecipe(
                "patient",
                [f"the pattern {pattern!r} finds no patient in {name}"],
            )
        return found.group(1)
    except re.error as error:
        raise BadRecipe("patient", [f"{pattern!r} is no pattern: {error}"]) from error


def patient_of_synthetic(stem: str, pattern: str) -> str:
    """The patient in the name of a synthetic picture, or the name where it holds none."""
    try:
        return patient_of_slide(stem, pattern) if re.search(pattern, stem) else stem
    except re.error as error:
        raise BadRecipe("patient", [f"{pattern!r} is no pattern: {error}"]) from error


def _patient_by_barcode(name: str) -> str:
    barcodes = barcodes_in(name)
    if len(barcodes) > 1:
        raise BadTable(
            f"The name {name} holds the barcodes of {len(barcodes)} patients, "
            f"{' and '.join(barcodes)}.",
            "State the patient in a table, or by a pattern.",
        )
    return barcodes[0] if barcodes else name


def refuse_divided_barcodes(patients: Mapping[str, str]) -> None:
    """Refuse slides of one barcode that are stated to be of different patients.

    They could come to stand in different splits.

    Args:
        patients: patient by name of the slide.

    Raises:
        BadTable: naming two slides, their barcode and both patients.
    """
    for barcode, stated in patients_of_barcodes(patients).items():
        if len(stated) > 1:
            (first, first_name), (second, second_name) = sorted(stated.items())[:2]
            raise BadTable(
                f"The slides {first_name} and {second_name} hold the barcode of one patient, "
                f"{barcode}, but are stated to be of two, {first} and {second}.",
                "Give both the same patient, or rename them.",
            )


def notes_on_patients(patients: Mapping[str, str], *, stated: bool) -> list[str]:
    """Sentences about patients that file names may not give.

    Args:
        patients: patient by name of the slide.
        stated: whether a table or a pattern gives the patients.
    """
    notes = []
    unread = sorted(name for name in patients if lacks_barcode(name))
    if unread and not stated:
        notes.append(
            f"{len(unread)} of {len(patients)} names mention TCGA without a whole barcode, first "
            f"{unread[0]}: each of these slides counts as a patient of its own."
        )
    unknown = [name for name, patient in patients.items() if name == patient]
    has_barcodes = any(barcodes_in(name) for name in unknown)
    if len(unknown) == len(patients) > 1 and not has_barcodes:
        notes.append(
            f"Each of the {len(patients)} slides counts as a patient of its own. If patients have "
            "several slides, state them in a table, or by a pattern."
        )
    return notes


def read_table(path: Path) -> _Table:
    """Rows of a CSV with a column `slide`, by slide; names may carry their suffix.

    Raises:
        BadTable: it cannot be read, lacks the column, or names a slide twice.
    """
    rows = _read_rows(path)
    if rows and "slide" not in rows[0]:
        columns = listed((str(name)[:_SHOWN] for name in rows[0]), 20)
        raise BadTable(
            f"{path} has the columns {columns}, and none named slide.",
            "Name one of them slide.",
        )
    table: _Table = {}
    for number, row in enumerate(rows, start=2):
        name = _stem(_cell(row, "slide"))
        if not name or name in table:
            what = f"names {name} again" if name else "names no slide"
            raise BadTable(f"{path}, line {number}, {what}.", "Give each slide one line.")
        table[name] = {
            "patient": _cell(row, "patient"),
            "label": _cell(row, "label"),
        }
        refuse_bad_names({"slide": name, **table[name]}, f"{path}, line {number},")
    return table


def _cell(row: Mapping[str, str], column: str) -> str:
    """A row's entry without outer spaces; "" where it has none."""
    text = row.get(column) or ""
    return text.strip()


def _read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV by column, whose names are in lower case."""
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise BadTable(
                f"{path} is larger than {MAX_TABLE_BYTES:,} bytes.",
                "Split it.",
            )
        with TextIOWrapper(open_plain(path), encoding="utf-8-sig", newline="") as file:
            rows = (cells for _, cells in read_csv_rows(file))
            header = [cell.strip().lower() for cell in next(rows, [])]
            # as csv.DictReader: empty lines are left out, cells that are absent are empty
            return [_by_column(header, cells) for cells in rows if cells]
    except (OSError, ValueError, csv.Error) as error:
        raise BadTable(f"{path} cannot be read: {error}.", "Give a UTF-8 CSV file.") from error


def _by_column(header: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    absent = [""] * (len(header) - len(cells))
    return dict(zip(header, [*cells, *absent], strict=False))


def _stem(name: str) -> str:
    path = Path(name)
    return path.stem if path.suffix.lower() in SLIDE_SUFFIXES else path.name


def _matching(base_folder: Path, pattern: str) -> list[Path]:
    """Files of slides that match a pattern; a path without wildcards is taken as it is."""
    path = Path(pattern)
    if not any(sign in pattern for sign in "*?["):
        file = base_folder / path
        return [file] if file.is_file() else []
    if path.is_absolute():
        base_folder = Path(path.anchor)
        path = path.relative_to(path.anchor)
    try:
        candidates = list(base_folder.glob(str(path)))
    except (ValueError, NotImplementedError) as error:
        raise BadRecipe("slides", [f"{pattern!r} is no pattern: {error}"]) from error
    return sorted(each for each in candidates if _is_slide_file(each))


def _is_slide_file(path: Path) -> bool:
    is_hidden = path.name.startswith(".")
    return path.suffix.lower() in SLIDE_SUFFIXES and path.is_file() and not is_hidden
