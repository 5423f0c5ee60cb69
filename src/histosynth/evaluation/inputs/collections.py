"""What `evaluate` is handed: tile sets or folders of pictures, as items that any engine can be
given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ...annotation.nuclei_files import NUCLEI_SUFFIXES, read_points
from ...core.errors import (
    BadOption,
    BadPairing,
    BadTileSet,
    HistosynthError,
    MissingScale,
    NoFiles,
    UnreadableImage,
)
from ...core.geometry import Box
from ...core.nuclei import ANY, map_classes
from ...core.pairing import list_files
from ...core.progress import ProgressCallback
from ...core.synthetic import read_recipe
from ...core.tile import IMAGE_SUFFIXES, read_picture_info
from ...core.tileset import TileSet, parquet_files
from ...core.units import check_mpp_option, is_mpp
from ...metrics.tile_measures import UNCLASSIFIED
from ...prepare.patients import patient_of_slide, read_table
from .items import Item

TOLD = 64
"""Files between two ticks."""
_VARIANT = re.compile(r"_\d+$")
"""`synthesize` names the variants of a nuclei file so."""


@dataclass(frozen=True)
class InputOptions:
    """How files of folders are to be taken.

    Attributes:
        mpp: scale of pictures that do not state it, um/px.
        patient: pattern on the stem whose first group is the patient; "": TCGA barcodes, else the
            stem.
        table: CSV slide,patient,label by stem.
        crop: side of the crops that tiles are cut to, or (width, height), px; None: tiles as they
            are.
    """

    mpp: float | None = None
    patient: str = ""
    table: Path | None = None
    crop: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.mpp is not None:
            check_mpp_option(self.mpp)
        if isinstance(self.crop, int) and not 32 <= self.crop <= 4096:
            raise BadOption("--crop", self.crop, "from 32 to 4,096 px")


@dataclass(frozen=True)
class Collection:
    """The tiles of one side.

    Attributes:
        path: where they are.
        items: what is to be looked at.
        sizes: how many items have which size (width, height), px.
        codecs: how many files are of which format.
        refused: files that cannot be read, with the reason.
    """

    path: Path
    items: tuple[Item, ...]
    sizes: dict[tuple[int, int], int]
    codecs: dict[str, int]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def patients(self) -> set[str]:
        """Whose tiles they are."""
        return {item.patient for item in self.items}

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the most items."""
        return max(self.sizes, key=lambda size: self.sizes[size])


def open_collection(
    path: Path, inputs: InputOptions, on_progress: ProgressCallback | None = None
) -> Collection:
    """A tile set, or a folder of pictures.

    Args:
        path: the folder.
        inputs: how its files are to be taken.
        on_progress: told (files or rows opened, of how many).

    Raises:
        NoFiles, BadTileSet, SplitLeak, BadTable, MissingScale: it cannot be taken so.
    """
    if path.is_dir() and parquet_files(path):
        return _of_set(path, inputs, on_progress)
    return _of_folder(path, inputs, on_progress)


def cropped(collection: Collection, crop: int | tuple[int, int] | None) -> Collection:
    """The same pictures cut to crops.

    Raises:
        NoFiles: none holds a crop of that size.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    whole = {(item.path, item.tile_id): item for item in collection.items}
    items = [cut for item in whole.values() for cut in _crops(item, item.size, crop, sizes)]
    counted = sizes, Counter(collection.codecs), collection.refused
    return _whole(collection.path, items, counted, crop)


def as_variants(
    synthetic: Collection,
    known: Collection,
    points: Path | None,
    inputs: InputOptions,
) -> Collection:
    """Synthetic tiles with the stem, patient and label of what they were made from.

    `a_0.png` and `a_1.png` belong to `a`, where there is a real tile or a nuclei file of that name
    and none of their own.
    """
    stems = {item.stem: item for item in known.items}
    names = stems.keys() | (
        {each.stem for each in list_files(points, NUCLEI_SUFFIXES)} if points else set()
    )
    table = read_table(inputs.table) if inputs.table else {}
    items = []
    for item in synthetic.items:
        stem = item.stem
        if stem not in names and (shorter := _VARIANT.sub("", stem)) in names:
            stem = shorter
        twin = stems.get(stem)
        patient = item.patient
        label = item.label
        if twin:
            patient = twin.patient
            label = label or twin.label
        elif stem != item.stem:
            row = table.get(stem, {})
            patient = row.get("patient") or patient_of_slide(stem, inputs.patient)
            label = label or row.get("label", "")
        items.append(
            replace(
                item,
                stem=stem,
                patient=patient,
                label=label,
            )
        )
    return replace(synthetic, items=tuple(items))


def give_points(collection: Collection, points: Path | None, *, needed: bool = True) -> Collection:
    """The same with each item's nuclei file, by stem.

    Raises:
        NoFiles: there is none.
        BadPairing: no item has one, and they are needed.
    """
    if points is None:
        return collection
    files = {each.stem: each for each in list_files(points, NUCLEI_SUFFIXES)}
    items = tuple(replace(item, points=files.get(item.stem)) for item in collection.items)
    if needed and not any(item.points for item in items):
        raise BadPairing("nuclei file", [item.stem for item in items], sorted(files))
    return replace(collection, items=items)


def classes_of(collections: Sequence[Collection], mapping: Mapping[str, str]) -> tuple[str, ...]:
    """Class names of all nuclei that will be read, sorted; `UNCLASSIFIED` where none has a
    class.
    """
    names: set[str] = set()
    for collection in collections:
        for file in {item.points for item in collection.items if item.points}:
            names |= set(map_classes(read_points(file)[1], mapping))
        if any(item.tile_id for item in collection.items):
            for classes in (
                TileSet(collection.path).table(["nuclei_kind"])["nuclei_kind"].to_pylist()
            ):
                names |= set(map_classes(classes or [], mapping))
    return tuple(sorted(names - {ANY, ""})) or (UNCLASSIFIED if names else ())


def _of_set(path: Path, inputs: InputOptions, on_progress: ProgressCallback | None) -> Collection:
    found = TileSet(path)
    items: list[Item] = []
    sizes: Counter[tuple[int, int]] = Counter()
    codecs: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for done, (file, row) in enumerate(found.rows_with_files()):
        if on_progress and not done % TOLD:
            on_progress(done, len(found))
        try:
            if row.image is None:
                raise BadTileSet(path, f"its kept tile {row.tile_id} has no picture")
            size, codec = read_picture_info(row.tile_id, row.image)
        except HistosynthError as error:
            refused[row.tile_id] = str(error)
            continue
        codecs[codec] += 1
        one = Item(
            row.tile_id,
            row.tile_id,
            row.ref.patient,
            row.label,
            file,
            row.ref.mpp,
            row.tile_id,
            size=size,
        )
        items += _crops(one, size, inputs.crop, sizes)
    return _whole(path, items, (sizes, codecs, refused), inputs.crop)


def _of_folder(
    path: Path, inputs: InputOptions, on_progress: ProgressCallback | None
) -> Collection:
    files = list_files(path, IMAGE_SUFFIXES)
    table = read_table(inputs.table) if inputs.table else {}
    items: list[Item] = []
    sizes: Counter[tuple[int, int]] = Counter()
    codecs: Counter[str] = Counter()
    refused: dict[str, str] = {}
    for done, file in enumerate(files):
        if on_progress and not done % TOLD:
            on_progress(done, len(files))
        row = table.get(file.stem, {})
        patient = row.get("patient") or patient_of_slide(file.stem, inputs.patient)
        try:
            size, codec = read_picture_info(file)
            mpp = _scale(file, inputs)
        except UnreadableImage as error:
            refused[file.stem] = error.reason
            continue
        codecs[codec] += 1
        one = Item(
            file.stem,
            file.stem,
            patient,
            row.get("label", ""),
            file,
            mpp,
            size=size,
        )
        items += _crops(one, size, inputs.crop, sizes)
    return _whole(path, items, (sizes, codecs, refused), inputs.crop)


def _whole(
    path: Path,
    items: list[Item],
    told: tuple[Counter[tuple[int, int]], Counter[str], dict[str, str]],
    crop: int | tuple[int, int] | None,
) -> Collection:
    sizes, codecs, refused = told
    if not items:
        if refused:
            name, reason = next(iter(refused.items()))
            raise NoFiles(
                path, IMAGE_SUFFIXES, f"{len(refused)} files, the first, {name}: {reason}"
            )
        if crop:
            cut = crop if isinstance(crop, int) else " x ".join(map(str, crop))
            raise NoFiles(path, IMAGE_SUFFIXES, f"no tile holds a crop of {cut} px")
        raise NoFiles(path, IMAGE_SUFFIXES)
    return Collection(
        path,
        tuple(items),
        dict(sizes),
        dict(codecs),
        refused,
    )


def _scale(file: Path, inputs: InputOptions) -> float:
    """What histosynth wrote, else what the user says; a picture's dpi is never believed."""
    try:
        recipe = read_recipe(file) or {}
    except (OSError, ValueError, SyntaxError, LookupError, TypeError) as error:
        raise UnreadableImage(file, str(error)) from error
    found = recipe.get("mpp")
    if isinstance(found, int | float) and is_mpp(found):
        return float(found)
    if inputs.mpp is None:
        raise MissingScale(file.name)
    return inputs.mpp


def _crops(
    item: Item,
    size: tuple[int, int],
    crop: int | tuple[int, int] | None,
    sizes: Counter[tuple[int, int]],
) -> list[Item]:
    """The item, or its crops on a grid from edge to edge, as many as fit nearest."""
    wanted = (crop, crop) if isinstance(crop, int) else crop
    if wanted is None or size == wanted:
        sizes[size] += 1
        return [item]
    if size[0] < wanted[0] or size[1] < wanted[1]:
        return []
    xs, ys = (
        np.linspace(0, length - side, max(round(length / side), 1)).round().astype(int)
        for length, side in zip(size, wanted, strict=True)
    )
    boxes = [Box(int(x), int(y), *wanted) for y in ys for x in xs]
    sizes[wanted] += len(boxes)
    return [replace(item, name=f"{item.name}@{box.x},{box.y}", box=box) for box in boxes]
