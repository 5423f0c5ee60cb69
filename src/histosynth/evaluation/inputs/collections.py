"""Tile sets and folders of pictures as collections of items that any engine can be given."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...annotation.chosen_nuclei import NoteCallback, read_chosen
from ...core.errors import BadTileSet, HistosynthError, MissingScale, NoFiles, UnreadableImage
from ...core.geometry import Box
from ...core.images import IMAGE_SUFFIXES, read_picture_info
from ...core.nuclei import ANY, map_classes
from ...core.pairing import list_files
from ...core.progress import ProgressCallback
from ...core.synthetic import read_recipe
from ...core.tileset import Row, TileSet, parquet_files
from ...core.units import is_mpp
from ...metrics.nuclei_classes import UNCLASSIFIED
from ...preparation.patients import patient_of_slide, patient_of_synthetic, read_table
from ..config import InputOptions
from .items import Item

FILES_PER_UPDATE = 64
"""Files between two calls of a progress callback."""
CropSize = int | tuple[int, int] | None
"""Side of square crops, or (width, height), px; None: whole pictures."""


@dataclass(frozen=True)
class Collection:
    """The tiles of one side.

    Attributes:
        path: the folder.
        items: tiles, or crops of tiles.
        sizes: number of items of each size (width, height), px.
        codecs: number of files of each format.
        refused: files that cannot be read, with the reason.
    """

    path: Path
    items: tuple[Item, ...]
    sizes: dict[tuple[int, int], int]
    codecs: dict[str, int]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def patients(self) -> set[str]:
        """Patients of the tiles."""
        return {item.patient for item in self.items}

    @property
    def named_patients(self) -> set[tuple[str, str]]:
        """(stem or tile, patient) of all tiles; a barcode may stand in either."""
        return {(item.stem, item.patient) for item in self.items}

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the largest number of items."""
        return max(self.sizes, key=lambda size: self.sizes[size])


def open_collection(
    path: Path,
    inputs: InputOptions,
    on_progress: ProgressCallback | None = None,
    *,
    synthetic: bool = False,
) -> Collection:
    """A tile set, or a folder of pictures.

    Args:
        path: the folder.
        inputs: how its files are read.
        on_progress: called with (files or rows opened, all of them).
        synthetic: names need not hold a patient: a picture without one is its own.

    Raises:
        NoFiles, BadTileSet, SplitLeak, BadTable, MissingScale: it cannot be read.
    """
    if path.is_dir() and parquet_files(path):
        return _open_tile_set(path, inputs, on_progress)
    return _open_folder(
        path,
        inputs,
        on_progress,
        synthetic=synthetic,
    )


def cropped(collection: Collection, crop: CropSize) -> Collection:
    """The same pictures cut to crops.

    Raises:
        NoFiles: none is as large as a crop.
    """
    builder = _Builder(collection.path, crop)
    whole = {(item.path, item.tile_id): item for item in collection.items}
    for item in whole.values():
        builder.add_crops(item)
    builder.codecs = Counter(collection.codecs)
    builder.refused = dict(collection.refused)
    return builder.build()


def classes_of(
    collections: Sequence[Collection],
    mapping: Mapping[str, str],
    on_note: NoteCallback,
) -> tuple[str, ...]:
    """Class names of all nuclei of these collections, sorted.

    Args:
        collections: the sides.
        mapping: class names of files and tile sets to those of the evaluation.
        on_note: called with a sentence for what is left out of a file of nuclei, or scaled.

    Returns:
        The names; `UNCLASSIFIED` where no nucleus has a class; () where there are no nuclei.
    """
    names: set[str] = set()
    for collection in collections:
        names.update(map_classes(_names_in_files(collection, on_note), mapping))
        if any(item.tile_id for item in collection.items):
            column = TileSet(collection.path).table(["nuclei_kind"])["nuclei_kind"]
            for classes in column.to_pylist():
                names.update(map_classes(classes or [], mapping))
    known = tuple(sorted(names - {ANY, ""}))
    if not known and names:
        return UNCLASSIFIED
    return known


def _names_in_files(collection: Collection, on_note: NoteCallback) -> list[str]:
    """Class names in the files of nuclei of a collection, each once a file."""
    files = {item.points: item.mpp for item in collection.items if item.points}
    names: list[str] = []
    for file, mpp in files.items():
        found = read_chosen(file, mpp)
        names += found.used_classes().values()
        for note in found.notes:
            on_note(note)
    return names


class _Builder:
    """Collects items, sizes, formats and refusals of one folder."""

    def __init__(
        self,
        path: Path,
        crop: CropSize,
    ) -> None:
        self.path = path
        self.crop = crop
        self.items: list[Item] = []
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.codecs: Counter[str] = Counter()
        self.refused: dict[str, str] = {}

    def add(
        self,
        item: Item,
        codec: str,
    ) -> None:
        """Add a file's item, cut to crops."""
        self.codecs[codec] += 1
        self.add_crops(item)

    def add_crops(self, item: Item) -> None:
        """Add an item, or its crops on a grid from edge to edge; none where it is too small."""
        crop = (self.crop, self.crop) if isinstance(self.crop, int) else self.crop
        if crop is None or item.size == crop:
            self.sizes[item.size] += 1
            self.items.append(item)
            return
        boxes = _grid(item.size, crop)
        if boxes:
            self.sizes[crop] += len(boxes)
        for box in boxes:
            self.items.append(
                replace(
                    item,
                    name=f"{item.name}@{box.x},{box.y}",
                    box=box,
                )
            )

    def build(self) -> Collection:
        """The collection.

        Raises:
            NoFiles: it is empty.
        """
        if not self.items:
            raise self._empty()
        return Collection(
            self.path,
            tuple(self.items),
            dict(self.sizes),
            dict(self.codecs),
            self.refused,
        )

    def _empty(self) -> NoFiles:
        if self.refused:
            name, reason = next(iter(self.refused.items()))
            text = f"{len(self.refused)} files, the first, {name}: {reason}"
            return NoFiles(self.path, IMAGE_SUFFIXES, text)
        if self.crop:
            size = self.crop if isinstance(self.crop, int) else " x ".join(map(str, self.crop))
            return NoFiles(self.path, IMAGE_SUFFIXES, f"no tile holds a crop of {size} px")
        return NoFiles(self.path, IMAGE_SUFFIXES)


def _grid(size: tuple[int, int], crop: tuple[int, int]) -> list[Box]:
    """Boxes of crops from edge to edge, as many as fit most closely."""
    if size[0] < crop[0] or size[1] < crop[1]:
        return []
    starts = []
    for length, side in zip(size, crop, strict=True):
        count = max(round(length / side), 1)
        starts.append(np.linspace(0, length - side, count).round().astype(int))
    columns, rows = starts
    return [Box(int(x), int(y), *crop) for y in rows for x in columns]


def _open_tile_set(
    path: Path,
    inputs: InputOptions,
    on_progress: ProgressCallback | None,
) -> Collection:
    tile_set = TileSet(path)
    builder = _Builder(path, inputs.crop)
    for done, (file, row) in enumerate(tile_set.rows_with_files()):
        if on_progress and not done % FILES_PER_UPDATE:
            on_progress(done, len(tile_set))
        try:
            item, codec = _item_of_row(path, file, row)
        except HistosynthError as error:
            builder.refused[row.tile_id] = str(error)
            continue
        builder.add(item, codec)
    return builder.build()


def _item_of_row(
    path: Path,
    file: Path,
    row: Row,
) -> tuple[Item, str]:
    """A tile's item and the format of its picture."""
    if row.image is None:
        raise BadTileSet(path, f"its kept tile {row.tile_id} has no picture")
    size, codec = read_picture_info(row.tile_id, row.image)
    recipe = _recipe_of_row(row)
    item = Item(
        row.tile_id,
        row.tile_id,
        row.ref.patient,
        row.label,
        file,
        row.ref.mpp,
        row.tile_id,
        size=size,
        given_nuclei=_states_nuclei(recipe),
        layout=_stated_layout(recipe),
    )
    return item, codec


def _open_folder(
    path: Path,
    inputs: InputOptions,
    on_progress: ProgressCallback | None,
    *,
    synthetic: bool,
) -> Collection:
    patient_in = patient_of_synthetic if synthetic else patient_of_slide
    files = list_files(path, IMAGE_SUFFIXES)
    table = read_table(inputs.table) if inputs.table else {}
    builder = _Builder(path, inputs.crop)
    for done, file in enumerate(files):
        if on_progress and not done % FILES_PER_UPDATE:
            on_progress(done, len(files))
        row = table.get(file.stem, {})
        patient = row.get("patient") or patient_in(file.stem, inputs.patient)
        label = row.get("label", "")
        try:
            size, codec = read_picture_info(file)
            recipe = _recipe(file)
            mpp = _scale(file, recipe, inputs)
        except UnreadableImage as error:
            builder.refused[file.stem] = error.reason
            continue
        builder.add(
            Item(
                file.stem,
                file.stem,
                patient,
                label,
                file,
                mpp,
                size=size,
                given_nuclei=_states_nuclei(recipe),
                layout=_stated_layout(recipe),
            ),
            codec,
        )
    return builder.build()


def _recipe_of_row(row: Row) -> dict[str, Any]:
    """The recipe of a synthetic row; empty where there is none, or none that can be read."""
    try:
        recipe = json.loads(row.recipe or "{}")
    except (ValueError, RecursionError):
        return {}
    return recipe if isinstance(recipe, dict) else {}


def _recipe(file: Path) -> dict[str, Any]:
    """The recipe inside a picture that histosynth wrote; empty where there is none."""
    try:
        return read_recipe(file) or {}
    except (OSError, ValueError, SyntaxError, LookupError, TypeError) as error:
        raise UnreadableImage(file, str(error)) from error


def _states_nuclei(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe, which anybody may have written, states one nucleus or more."""
    nuclei = recipe.get("nuclei")
    counts = nuclei.get("counts") if isinstance(nuclei, dict) else None
    if not isinstance(counts, dict):
        return False
    return any(isinstance(count, int) and count > 0 for count in counts.values())


def _stated_layout(recipe: Mapping[str, Any]) -> str:
    """Digest of the nuclei that a recipe states; "" where it states none."""
    if not _states_nuclei(recipe):
        return ""
    digest = recipe["nuclei"].get("sha256")
    return digest if isinstance(digest, str) else ""


def _scale(
    file: Path,
    recipe: Mapping[str, Any],
    inputs: InputOptions,
) -> float:
    """The scale that histosynth wrote, else the user's; a picture's dpi is never used."""
    stated = recipe.get("mpp")
    if isinstance(stated, int | float) and is_mpp(stated):
        return float(stated)
    if inputs.mpp is None:
        raise MissingScale(file.name)
    return inputs.mpp
