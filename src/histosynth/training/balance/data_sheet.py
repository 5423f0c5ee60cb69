"""A data sheet: tiles, patients and nuclei by label, by split and by traits of the patients.

After Gebru et al. 2021 (Datasheets for Datasets) in its questions, and SarcoDiff in its purpose: it
states as a limit that most of its patients are of one ancestry, which can only be stated where it
was counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from ...core.barcode import shared_patients
from ...core.errors import BadTable, SplitLeak
from ..data.sources import Example
from .patient_table import NOT_STATED, PatientTraits

MIN_SHOWN_PATIENTS = 5
"""Fewer patients than these are shown as `<5` where privacy is requested."""
_FEW_PATIENTS = f"<{MIN_SHOWN_PATIENTS}"
_WITHHELD = "withheld"
"""Stands for a number that would reveal, by subtraction, one that is hidden."""
_WARNING = (
    "What is not counted cannot be balanced. SarcoDiff states as a limit that 78 % of the "
    "patients of its data (TCGA) are of one ancestry; of the tissue here the tables of this sheet "
    "are all that is known. Groups that are rare or absent in them are rare or absent in the "
    "pictures of this network, and what is not stated may hide more."
)

Count = int | str
"""A number, or `<5` or `withheld` where it is hidden."""


@dataclass(frozen=True)
class CountedTile:
    """A tile as it is counted."""

    slide: str
    patient: str
    """ "": not known."""
    label: str = ""
    split: str = ""
    nuclei: int | None = None
    """Number of marked nuclei; None where nobody marked any."""


class SheetRow(TypedDict):
    """One row of a table."""

    name: str
    patients: Count
    tiles: Count
    nuclei: Count


class DataSheet(TypedDict):
    """A data sheet, as JSON holds it.

    Attributes:
        total: of all tiles.
        by: rows by label, by split and by each trait that the table of patients has.
        not_counted: traits that the table lacks.
        unmarked_tiles: tiles on which nobody marked nuclei.
        tiles_of_unknown_patients: tiles without a patient.
        private: whether small numbers are hidden.
        warning: for the reader.
    """

    total: SheetRow
    by: dict[str, list[SheetRow]]
    not_counted: list[str]
    unmarked_tiles: int
    tiles_of_unknown_patients: int
    private: bool
    warning: str


@dataclass(frozen=True)
class _Group:
    """Numbers of the tiles of one group."""

    name: str
    patients: int
    tiles: int
    nuclei: int

    @property
    def is_small(self) -> bool:
        """Whether its patients could be identified."""
        return 0 < self.patients < MIN_SHOWN_PATIENTS

    def row(self) -> SheetRow:
        """With all numbers."""
        return SheetRow(
            name=self.name,
            patients=self.patients,
            tiles=self.tiles,
            nuclei=self.nuclei,
        )

    def hidden_row(self, patients: str) -> SheetRow:
        """Without numbers of tiles and nuclei, from which patients could be guessed."""
        return SheetRow(
            name=self.name,
            patients=patients,
            tiles=_WITHHELD,
            nuclei=_WITHHELD,
        )


def counted_tiles(examples: Iterable[Example], split: str) -> list[CountedTile]:
    """Examples of one side of a split, as they are counted."""
    tiles = []
    for example in examples:
        ref = example.tile.ref
        tile = CountedTile(
            ref.slide,
            ref.patient if ref.has_patient else "",
            example.label,
            split,
            None if example.nuclei is None else len(example.nuclei),
        )
        tiles.append(tile)
    return tiles


def data_sheet(
    tiles: Sequence[CountedTile],
    traits: PatientTraits | None = None,
    *,
    private: bool = False,
) -> DataSheet:
    """Tiles, patients and nuclei, in all and by group.

    A patient is counted once in each row that one of its tiles falls into, and once in all.

    Args:
        tiles: what is counted.
        traits: of the patients, from `read_patient_traits`.
        private: show fewer than 5 patients as `<5`, and withhold numbers that would reveal them by
            subtraction.

    Raises:
        SplitLeak: a patient is in two splits.
        BadTable: the table names another patient for a slide.
    """
    traits = traits or PatientTraits()
    tiles = [_with_listed_patient(tile, traits) for tile in tiles]
    _refuse_leaks(tiles)
    groups = {
        "label": _groups(tiles, lambda tile: tile.label),
        "split": _groups(tiles, lambda tile: tile.split),
    }
    for trait in traits.columns:
        groups[trait] = _groups(tiles, _trait_of_tile(traits, trait))
    by = {}
    for name, own in groups.items():
        by[name] = _rows(own, private=private)
    if "age" in by:
        by["age"] = sorted(by["age"], key=lambda row: row["name"])
    total = _group("all", tiles)
    hide_total = private and total.is_small
    return DataSheet(
        total=total.hidden_row(_FEW_PATIENTS) if hide_total else total.row(),
        by=by,
        not_counted=traits.missing,
        unmarked_tiles=sum(tile.nuclei is None for tile in tiles),
        tiles_of_unknown_patients=sum(not tile.patient for tile in tiles),
        private=private,
        warning=_WARNING,
    )


def _rows(groups: Sequence[_Group], *, private: bool) -> list[SheetRow]:
    if private:
        return _private_rows(groups)
    return [group.row() for group in groups]


def _with_listed_patient(tile: CountedTile, traits: PatientTraits) -> CountedTile:
    """The tile with its patient, by the table where the tile names none."""
    listed = traits.patient_of.get(tile.slide, tile.patient)
    if tile.patient and listed != tile.patient:
        raise BadTable(
            f"The table of patients gives slide {tile.slide} to {listed}, the tiles to "
            f"{tile.patient}.",
            "Correct the table, or the pattern for patients.",
        )
    return replace(tile, patient=listed)


def _refuse_leaks(tiles: Sequence[CountedTile]) -> None:
    """Refuse patients who are in two splits."""
    sides: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for tile in tiles:
        if tile.patient and tile.split:
            sides[tile.split].add((tile.slide, tile.patient))
    shared = shared_patients(sides)
    if shared:
        raise SplitLeak(shared)


def _trait_of_tile(traits: PatientTraits, trait: str) -> Callable[[CountedTile], str]:
    def value(tile: CountedTile) -> str:
        return traits.value(tile.slide, tile.patient, trait)

    return value


def _groups(tiles: Sequence[CountedTile], value_of: Callable[[CountedTile], str]) -> list[_Group]:
    """A group for each value, that of most patients first and `not stated` last."""
    tiles_of: dict[str, list[CountedTile]] = defaultdict(list)
    for tile in tiles:
        tiles_of[value_of(tile) or NOT_STATED].append(tile)
    groups = [_group(name, own) for name, own in tiles_of.items()]

    def rank(group: _Group) -> tuple[bool, int, str]:
        return group.name == NOT_STATED, -group.patients, group.name

    return sorted(groups, key=rank)


def _group(name: str, tiles: Sequence[CountedTile]) -> _Group:
    patients = {tile.patient for tile in tiles if tile.patient}
    nuclei = sum(tile.nuclei or 0 for tile in tiles)
    return _Group(
        name,
        len(patients),
        len(tiles),
        nuclei,
    )


def _private_rows(groups: Sequence[_Group]) -> list[SheetRow]:
    """Rows in which small groups are hidden, and one more where the rest would reveal them.

    Hidden rows come last, sorted by name: their order would show which is the larger.
    """
    withheld = _group_to_withhold(groups)
    shown = []
    hidden = []
    for group in groups:
        if group.is_small:
            hidden.append(group.hidden_row(_FEW_PATIENTS))
        elif group is withheld:
            hidden.append(group.hidden_row(_WITHHELD))
        else:
            shown.append(group.row())
    return shown + sorted(hidden, key=lambda row: row["name"])


def _group_to_withhold(groups: Sequence[_Group]) -> _Group | None:
    """The next smallest group, where the small ones together are still few patients."""
    small_patients = sum(group.patients for group in groups if group.is_small)
    large = [group for group in groups if group.patients >= MIN_SHOWN_PATIENTS]
    if large and 0 < small_patients < MIN_SHOWN_PATIENTS:
        return min(large, key=lambda group: group.patients)
    return None


def sheet_markdown(sheet: DataSheet) -> str:
    """A data sheet as Markdown, for the model card."""
    lines = [_summary(sheet)]
    for name, rows in sheet["by"].items():
        lines.append("")
        lines.append(f"| {_cell(name)} | patients | tiles | nuclei |")
        lines.append("|---|---:|---:|---:|")
        for row in rows:
            lines.append(f"| {_cell(row['name'])} | {_numbers(row)} |")
    if sheet["not_counted"]:
        missing = ", ".join(sheet["not_counted"])
        lines.append("")
        lines.append(f"Not counted, since no table states it: {missing}.")
    if sheet["private"]:
        legend = f"`{_FEW_PATIENTS}`: fewer than {MIN_SHOWN_PATIENTS} patients."
        lines.append("")
        lines.append(f"{legend} `{_WITHHELD}`: it would reveal such a number.")
    lines.append("")
    lines.append(f"**{sheet['warning']}**")
    lines.append("")
    return "\n".join(lines)


def _summary(sheet: DataSheet) -> str:
    """The first paragraph: all numbers, and what is not known."""
    total = sheet["total"]
    tiles = _number(total["tiles"])
    patients = _number(total["patients"])
    nuclei = _number(total["nuclei"])
    text = f"{tiles} tiles of {patients} patients with {nuclei} marked nuclei."
    if sheet["unmarked_tiles"]:
        unmarked = _number(sheet["unmarked_tiles"])
        text += f" Nobody marked nuclei on {unmarked} of the tiles."
    if sheet["tiles_of_unknown_patients"]:
        unknown = _number(sheet["tiles_of_unknown_patients"])
        text += f" The patient is not known of {unknown} of the tiles, which count for none."
    return text


def _numbers(row: SheetRow) -> str:
    """The cells of a row that are numbers."""
    counts = (row["patients"], row["tiles"], row["nuclei"])
    return " | ".join(_number(count) for count in counts)


def _number(value: Count) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _cell(text: str) -> str:
    """Text that stays in its cell and is read as text."""
    plain = " ".join(text.split())
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in "\\`*_[]|~$":
        plain = plain.replace(sign, f"\\{sign}")
    return plain
