"""Synthetic tiles as rows of a tile set: marked synthetic, with their nuclei and recipes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import NotWritable
from ..core.folder_lock import FolderRun
from ..core.geometry import Box
from ..core.marking import recipe_text
from ..core.outcome import Outcome
from ..core.own_files import OwnFiles
from ..core.synthetic import Synthetic
from ..core.tile import TileRef
from ..core.tileset import Row, parquet_files, read_all_rows, write_rows_into
from ..preparation.patients import patient_of_synthetic
from .earlier_pictures import already_there, comparable
from .files import check_name
from .provenance import Recipe
from .tile_plans import TilePlan

ROWS_PER_FILE = 64
"""Variants of one layout in a file: what a run that is killed loses at most."""
_WRITTEN = "tiles are written to"
_FACTS = {"verb": "synthesize", "synthetic": True}


@dataclass(eq=False)
class _File:
    """One file of the set while it is made.

    Attributes:
        name: of the file.
        wanted: variants that this run puts into it.
        rows: their rows by variant, as they come.
        is_changed: whether one of them was sampled now.
    """

    name: str
    wanted: range
    rows: dict[int, Row] = field(default_factory=dict)
    is_changed: bool = False


@dataclass(eq=False)
class TileSetRun:
    """The tiles of one run: those that are there already, and those that it adds.

    Attributes:
        run: of the folder.
        outcome: gets the paths of the files.
        plans: of the tiles.
        variants: pictures of each.
        patient: pattern whose first group is the patient in the name of a layout; "": its TCGA
            barcode, else the layout counts as a patient of its own.
        label: of the tiles; "": none.

    Raises:
        NotWritable: the folder holds another tile set, or files that were changed since.
        BadRecipe: `patient` is no pattern.
    """

    run: FolderRun
    outcome: Outcome
    plans: Sequence[TilePlan]
    variants: int
    patient: str
    label: str

    def __post_init__(self) -> None:
        self.total = len(self.plans) * self.variants
        self._done = 0
        self._reused = 0
        self._own = OwnFiles(self.run.folder)
        self._files: dict[str, _File] = {}
        self._last_read = ""
        self._last_rows: dict[int, Row] = {}
        self._patients = []
        for plan in self.plans:
            self._patients.append(patient_of_synthetic(plan.origin, self.patient))
        names = [name for plan in self.plans for name in file_names(plan, self.variants)]
        self._refuse_others()
        self._own.refuse_foreign(names)
        self._count()

    def is_finished(
        self,
        index: int,
        variant: int,
        describe_picture: Callable[[], Recipe],
    ) -> bool:
        """Whether the folder holds a tile already that would be sampled now."""
        file = self._file(index, variant)
        row = self._earlier(file.name).get(variant)
        if row is None or not row.recipe or row.ref.patient != self._patients[index]:
            return False
        if comparable(json.loads(row.recipe)) != comparable(describe_picture()):
            return False
        self._reused += 1
        self._take(file, variant, row)
        return True

    def save(
        self,
        index: int,
        variant: int,
        picture: Synthetic,
        png: bytes,
    ) -> None:
        """Add a tile that was sampled, as `png_bytes` encoded it; its file is written as soon as it
        is whole.
        """
        file = self._file(index, variant)
        file.is_changed = True
        self._take(file, variant, self._row(index, variant, picture, png))

    def finish(self) -> None:
        """Write files that lack tiles, since the run was stopped."""
        for file in list(self._files.values()):
            self._write(file)

    def note_finished(self) -> None:
        """Note in the outcome how many tiles were there already."""
        if self._reused:
            self.outcome.notes.append(already_there(self._reused, self.total, "tile"))

    def _row(
        self,
        index: int,
        variant: int,
        picture: Synthetic,
        png: bytes,
    ) -> Row:
        condition = picture.condition
        slide = f"{self.plans[index].stem}_{variant}"
        box = Box(0, 0, *condition.size)
        mpp = float(picture.recipe["mpp"])
        return Row(
            TileRef(slide, self._patients[index], box, mpp),
            label=self.label,
            image=png,
            nuclei=condition.nuclei,
            recipe=recipe_text(picture.recipe),
        )

    def _file(self, index: int, variant: int) -> _File:
        part = variant // ROWS_PER_FILE
        name = _file_name(self.plans[index], part)
        if name not in self._files:
            first = part * ROWS_PER_FILE
            wanted = range(first, min(first + ROWS_PER_FILE, self.variants))
            self._files[name] = _File(name, wanted)
        return self._files[name]

    def _earlier(self, name: str) -> dict[int, Row]:
        """Rows by variant that a file holds, which was checked to be ours; one file in memory."""
        if name != self._last_read:
            path = self.run.folder / name
            self._last_rows = {}
            self._last_read = name
            for row in read_all_rows(path) if path.is_file() else ():
                self._last_rows[int(row.ref.slide.rpartition("_")[2])] = row
        return self._last_rows

    def _take(
        self,
        file: _File,
        variant: int,
        row: Row,
    ) -> None:
        file.rows[variant] = row
        self._done += 1
        if len(file.rows) == len(file.wanted):
            self._write(file)
        self._count()

    def _write(self, file: _File) -> None:
        """Write a file with its new rows and those that it had, unless nothing is new."""
        path = self.run.folder / file.name
        if file.is_changed:
            rows = {**self._earlier(file.name), **file.rows}
            ordered = [rows[variant] for variant in sorted(rows)]
            with self._own.writing(file.name) as temporary:
                write_rows_into(temporary, ordered, _FACTS, gates=())
        elif file.rows:
            self.outcome.finished.append(path)
        if file.rows:
            self.outcome.written.append(path)
        # pictures of all files would not fit the memory
        self._files.pop(file.name)

    def _refuse_others(self) -> None:
        """Refuse a folder with a tile set of tissue: nothing would keep the two apart."""
        for path in parquet_files(self.run.folder):
            if not self._own.knows(path.name):
                raise NotWritable(
                    path,
                    "it belongs to another tile set, and synthetic tiles would be mixed with its",
                    "Choose another --out.",
                )

    def _count(self) -> None:
        self.run.count(self._done, self.total, _WRITTEN)


def file_names(plan: TilePlan, variants: int) -> list[str]:
    """Names of the files that hold the variants of a tile."""
    parts = -(-variants // ROWS_PER_FILE)
    return [_file_name(plan, part) for part in range(parts)]


def _file_name(plan: TilePlan, part: int) -> str:
    return f"{plan.stem}-{part}.parquet"


def check_file_names(
    plan: TilePlan,
    variants: int,
    folder: Path,
) -> None:
    """Refuse a name that is too long for a file, before anything is sampled.

    Raises:
        NotWritable: naming the limit.
    """
    check_name(folder / file_names(plan, variants)[-1])
