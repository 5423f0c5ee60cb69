"""A data sheet: whose tiles a network has seen, counted by label, split and what is known of the
patients.

After Gebru et al. 2021 (Datasheets for Datasets) in what is asked, and SarcoDiff in why: it states
as a limit that most of its patients are of one ancestry, which nobody can say who has not counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...core.errors import BadTable, SplitLeak
from ..data.sources import Example
from .patient_table import NOT_STATED, PatientTraits

LEAST = 5
"""Fewer patients than these are shown as `<5` where privacy is asked for."""
WITHHELD = "withheld"
"""Stands for a number that would tell, by subtraction, one that is hidden."""
WARNING = (
    "What is not counted cannot be balanced. SarcoDiff states as a limit that 78 % of the "
    "patients of its "
    "data (TCGA) are of one ancestry; of the tissue here the tables of this sheet are all "
    "that is known. "
    "Whoever is rare or absent in them is rare or absent in what this network makes, and what "
    "is not stated "
    "may hide more."
)

Count = int | str
"""A number, or `<5` or `withheld` where it is not told."""


@dataclass(frozen=True)
class Counted:
    """A tile as it is counted."""

    slide: str
    patient: str
    """ "": not known."""
    label: str = ""
    split: str = ""
    nuclei: int | None = None
    """How many are marked; None where nobody marked any."""


def counted(examples: Iterable[Example], split: str) -> list[Counted]:
    """Examples of one side of a split, as they are counted."""
    rows = []
    for each in examples:
        ref = each.tile.ref
        patient = ref.patient if ref.has_patient else ""
        nuclei = None if each.nuclei is None else len(each.nuclei)
        rows.append(Counted(ref.slide, patient, each.label, split, nuclei))
    return rows


def data_sheet(
    tiles: Sequence[Counted], people: PatientTraits | None = None, *, private: bool = False
) -> dict[str, Any]:
    """Tiles, patients and nuclei, in all and by group.

    A patient is counted once in each row that one of its tiles falls into, and once in all.

    Args:
        tiles: what is counted.
        people: what is known of the patients, from `read_patient_traits`.
        private: show fewer than 5 patients as `<5`, and withhold what would tell them by
            subtraction.

    Returns:
        For JSON: `total`, `by` (a list of rows for each of label, split and the traits that the
            table
        has), `not_counted` (traits that it lacks), `unmarked_tiles` (nobody marked nuclei),
        `tiles_of_unknown_patients`, `private` and `warning`.

    Raises:
        SplitLeak: a patient stands in two splits.
        BadTable: the table names another patient for a slide.
    """
    people = people or PatientTraits()
    tiles = [_known(each, people) for each in tiles]
    _refuse_leaks(tiles)
    by = {
        "label": _rows(tiles, lambda tile: tile.label),
        "split": _rows(tiles, lambda tile: tile.split),
        **{trait: _rows(tiles, _reader(people, trait)) for trait in people.traits},
    }
    total = _row("all", tiles)
    if private:
        by = {name: _hide(rows) for name, rows in by.items()}
        total = _shown(total, hidden=0 < total["patients"] < LEAST)
    if "age" in by:
        by["age"] = sorted(by["age"], key=lambda row: str(row["name"]))
    return {
        "total": total,
        "by": by,
        "not_counted": people.lacking,
        "unmarked_tiles": sum(each.nuclei is None for each in tiles),
        "tiles_of_unknown_patients": sum(not each.patient for each in tiles),
        "private": private,
        "warning": WARNING,
    }


def sheet_markdown(sheet: Mapping[str, Any]) -> str:
    """A data sheet as Markdown, for the model card."""
    total = sheet["total"]
    tiles, patients, nuclei = (_number(total[key]) for key in ("tiles", "patients", "nuclei"))
    lines = [f"{tiles} tiles of {patients} patients with {nuclei} marked nuclei."]
    if sheet["unmarked_tiles"]:
        lines[0] += f" Nobody marked nuclei on {_number(sheet['unmarked_tiles'])} of the tiles."
    if sheet["tiles_of_unknown_patients"]:
        unknown = _number(sheet["tiles_of_unknown_patients"])
        lines[0] += f" The patient is not known of {unknown} of the tiles, which count for none."
    for name, rows in sheet["by"].items():
        lines += ["", f"| {_cell(name)} | patients | tiles | nuclei |", "|---|---:|---:|---:|"]
        for row in rows:
            numbers = " | ".join(_number(row[key]) for key in ("patients", "tiles", "nuclei"))
            lines.append(f"| {_cell(row['name'])} | {numbers} |")
    if sheet["not_counted"]:
        lines += ["", f"Not counted, since no table says it: {', '.join(sheet['not_counted'])}."]
    if sheet["private"]:
        lines += [
            "",
            f"`<{LEAST}`: fewer than {LEAST} patients. `{WITHHELD}`: it would tell such a number.",
        ]
    return "\n".join([*lines, "", f"**{sheet['warning']}**", ""])


def _reader(people: PatientTraits, trait: str) -> Callable[[Counted], str]:
    return lambda tile: people.value(tile.slide, tile.patient, trait)


def _rows(tiles: Sequence[Counted], of: Callable[[Counted], str]) -> list[dict[str, Any]]:
    """A row for each value, that of most patients first and `not stated` last."""
    groups: dict[str, list[Counted]] = defaultdict(list)
    for each in tiles:
        groups[of(each) or NOT_STATED].append(each)
    rows = [_row(name, own) for name, own in groups.items()]
    return sorted(rows, key=lambda row: (row["name"] == NOT_STATED, -row["patients"], row["name"]))


def _row(name: str, tiles: Sequence[Counted]) -> dict[str, Any]:
    return {
        "name": name,
        "patients": len({each.patient for each in tiles if each.patient}),
        "tiles": len(tiles),
        "nuclei": sum(each.nuclei or 0 for each in tiles),
    }


def _hide(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with what is small hidden, and the next smallest where the rest would tell it."""
    small = [place for place, row in enumerate(rows) if 0 < row["patients"] < LEAST]
    others = [place for place, row in enumerate(rows) if row["patients"] >= LEAST]
    also = None
    if others and 0 < sum(rows[place]["patients"] for place in small) < LEAST:
        also = min(others, key=lambda place: rows[place]["patients"])
    shown = [
        _shown(row, hidden=place in small, withheld=place == also) for place, row in enumerate(rows)
    ]
    open_ = [row for row in shown if row["tiles"] != WITHHELD]
    # by name: their order would tell which is the larger
    return open_ + sorted(
        (row for row in shown if row["tiles"] == WITHHELD), key=lambda row: str(row["name"])
    )


def _shown(row: Mapping[str, Any], *, hidden: bool, withheld: bool = False) -> dict[str, Any]:
    """A row as it is shown: a hidden one tells no tiles or nuclei either, from which patients are
    guessed.
    """
    if not hidden and not withheld:
        return dict(row)
    patients: Count = f"<{LEAST}" if hidden else WITHHELD
    return {
        "name": row["name"],
        "patients": patients,
        "tiles": WITHHELD,
        "nuclei": WITHHELD,
    }


def _known(tile: Counted, people: PatientTraits) -> Counted:
    """The tile with its patient, by the table where the tile names none."""
    listed = people.patient_of.get(tile.slide, tile.patient)
    if tile.patient and listed != tile.patient:
        raise BadTable(
            f"The table of patients gives slide {tile.slide} to {listed}, the tiles to "
            f"{tile.patient}.",
            "Correct the table, or the pattern for patients.",
        )
    return replace(tile, patient=listed)


def _refuse_leaks(tiles: Sequence[Counted]) -> None:
    splits: dict[str, set[str]] = defaultdict(set)
    for each in tiles:
        if each.patient and each.split:
            splits[each.patient].add(each.split)
    if shared := sorted(patient for patient, where in splits.items() if len(where) > 1):
        raise SplitLeak(shared)


def _number(value: Count) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _cell(text: str) -> str:
    """Text that stays in its cell and is read as text."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in "\\`*_[]|~$":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
