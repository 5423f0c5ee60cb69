"""Tiles as a recipe names them: folders of pictures and their centroids, or tile sets.

Patients come from file names by a pattern, or from a tile set's rows, and are kept apart: a
training and a validation source that share one are refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...annotation.nuclei_files import NUCLEI_SUFFIXES, read_nuclei
from ...core.barcode import shared_patients
from ...core.errors import BadRecipe, BadTileSet, HistosynthError, SplitLeak, UnknownClasses
from ...core.geometry import Box, Size
from ...core.images import IMAGE_SUFFIXES, decode_rgb, read_rgb
from ...core.nuclei import ANY, Nuclei, map_classes
from ...core.pairing import list_files
from ...core.plain_files import read_plain_text
from ...core.resampling import resample_rgb
from ...core.tile import Pixels, Tile, TileRef, unknown_patient
from ...core.tileset import MAX_IMAGE_BYTES, Row, TileSet, parquet_files
from ...core.units import MAX_MPP, MIN_MPP, is_mpp
from ..recipes.tiles import TileSource

MAX_LIST_BYTES = 64 << 20
"""Of a list of members."""
_TRAIN_SPLIT = "train"
"""The one split whose tiles may be trained on though the recipe names none."""
_SAME_MPP = 1e-3
"""A scale stated within this of a row's, as a share of it, is the row's."""


@dataclass(frozen=True, eq=False)
class Example:
    """A tile with its annotations. `nuclei` is None where nobody marked any."""

    tile: Tile
    nuclei: Nuclei | None
    label: str
    share: float = 1.0
    split: str = ""
    """The split that a tile set has it in, where the recipe named none; empty: none, or the recipe
    requested it."""

    @property
    def pixels(self) -> Pixels:
        """(H, W, 3) uint8 of the tile."""
        return self.tile.pixels

    @property
    def patient(self) -> str:
        """Patient of the tile."""
        return self.tile.ref.patient


@dataclass(frozen=True)
class _Target:
    """What a source's tiles are converted to.

    Attributes:
        root: folder that the source's paths start from.
        mpp: scale of the examples, um/px.
        classes: names of the classes of nuclei; (): nuclei are not read.
    """

    root: Path
    mpp: float
    classes: Sequence[str]


def open_source(
    source: TileSource,
    *,
    root: Path,
    mpp: float,
    classes: Sequence[str],
) -> list[Example]:
    """Read a source, resampled to `mpp` by area averaging (Lanczos where it enlarges).

    A folder that holds Parquet files is a tile set, and its kept rows are read. Without `classes`
    a row's nuclei are not read.

    Raises:
        BadRecipe: the folder or a listed tile is missing, a name has no patient, or the source
            lacks a key, or states one that its type of folder cannot follow.
        BadTileSet, SplitLeak: the tile set is damaged, or has a patient in two splits.
        UnknownClasses: nuclei are of classes that are neither among `classes` nor mapped.
        HistosynthError: whatever reading a picture or centroids refuses.
    """
    folder = root / source.images
    if not folder.is_dir():
        name = f"The source of tiles images = {source.images!r}"
        raise BadRecipe(name, [f"there is no folder {folder}"])
    target = _Target(root, mpp, classes)
    if parquet_files(folder):
        return list(_open_tile_set(source, target))
    source_mpp = _stated_scale(source)
    points = _points_by_stem(source, root)
    examples = []
    for path in _picture_files(source, root):
        example = _open_picture(
            path,
            source,
            target,
            source_mpp,
            points,
        )
        examples.append(example)
    return examples


def patient_of(stem: str, pattern: str) -> str:
    """The patient in a file stem.

    Raises:
        BadRecipe: the pattern does not match.
    """
    found = re.search(pattern, stem)
    if found is None:
        raise BadRecipe(stem, [f"the patient pattern {pattern!r} does not match this name"])
    return found.group(1)


def refuse_leaks(training: Iterable[Example], validation: Iterable[Example]) -> None:
    """Refuse patients on both sides, and training on tiles that a tile set reserves.

    Raises:
        BadRecipe: training tiles are of another split than `train`, and the recipe did not request
            it.
        SplitLeak: patients are on both sides; naming them.
    """
    training = list(training)
    _refuse_reserved(training)
    shared = shared_patients({"train": _named(training), "validation": _named(validation)})
    if shared:
        raise SplitLeak(shared)


def _named(examples: Iterable[Example]) -> set[tuple[str, str]]:
    """Slides of examples with their patients."""
    refs = [example.tile.ref for example in examples]
    return {(ref.slide, ref.patient) for ref in refs}


def _refuse_reserved(training: Sequence[Example]) -> None:
    """Refuse tiles of a split that is not for training."""
    reserved = [example for example in training if example.split not in ("", _TRAIN_SPLIT)]
    if not reserved:
        return
    counts = Counter(example.split for example in reserved)
    kept = " and ".join(f"{count} for {split}" for split, count in sorted(counts.items()))
    first = reserved[0].tile.ref.slide
    problem = f"its tile sets keep some tiles, {kept} (first: slide {first}), and it names no split"
    raise BadRecipe("[[data.train]]", [f'{problem}; set split = "{_TRAIN_SPLIT}"'])


def _stated_scale(source: TileSource) -> float:
    """The scale of a folder of pictures; such a source must state what tile sets hold themselves.

    Raises:
        BadRecipe: a key is missing, or one is for tile sets only.
    """
    problems = []
    if source.split:
        problems.append(f"split is {source.split!r}, but only tile sets have splits")
    if source.patient is None:
        problems.append(
            'it lacks the key patient, which a folder of pictures must state ("" if not known)'
        )
    if source.mpp is None:
        problems.append("it lacks the key mpp, which a folder of pictures must state")
    if problems or source.mpp is None:
        raise BadRecipe(source.images, problems)
    return source.mpp


def _picture_files(source: TileSource, root: Path) -> list[Path]:
    """The picture files of a source, sorted by name."""
    folder = root / source.images
    if not source.members:
        return list_files(folder, IMAGE_SUFFIXES)
    names = _listed_members(source, root)
    absent = [name for name in names if not (folder / name).is_file()]
    _refuse_absent(source, "file", absent)
    return sorted(folder / name for name in names)


def _listed_members(source: TileSource, root: Path) -> list[str]:
    """The lines of a source's list of members."""
    try:
        text = read_plain_text(root / source.members, MAX_LIST_BYTES)
    except (OSError, ValueError) as error:
        raise BadRecipe(source.members, [f"it cannot be read: {error}"]) from error
    stripped = [line.strip() for line in text.splitlines()]
    return [line for line in stripped if line]


def _refuse_absent(
    source: TileSource,
    what: str,
    absent: Sequence[str],
) -> None:
    if absent:
        problem = f"{len(absent)} listed {what}(s) are absent, first {absent[0]}"
        raise BadRecipe(source.members, [problem])


def _open_picture(
    path: Path,
    source: TileSource,
    target: _Target,
    source_mpp: float,
    points: Mapping[str, Sequence[Path]],
) -> Example:
    """The example of one picture file."""
    pixels = read_rgb(path)
    height, width = pixels.shape[:2]
    nuclei = None
    if source.points:
        nuclei = read_nuclei(
            _points_file(path, source, points),
            size=Size(width, height),
            mpp=source_mpp,
            classes=target.classes,
            mapping=source.map,
        )
    patient = unknown_patient(source.images)
    if source.patient:
        patient = patient_of(path.stem, source.patient)
    box = Box(0, 0, width, height)
    ref = TileRef(path.stem, patient, box, source_mpp)
    return _example(
        ref,
        pixels,
        nuclei,
        source,
        target.mpp,
    )


def _points_by_stem(source: TileSource, root: Path) -> dict[str, list[Path]]:
    """Files of centroids by stem; hidden files and those of other types are left out."""
    by_stem: dict[str, list[Path]] = {}
    folder = root / source.points
    if not source.points or not folder.is_dir():
        return by_stem
    for path in sorted(folder.iterdir()):
        is_hidden = path.name.startswith(".")
        if path.suffix.lower() in NUCLEI_SUFFIXES and not is_hidden:
            by_stem.setdefault(path.stem, []).append(path)
    return by_stem


def _points_file(
    picture: Path,
    source: TileSource,
    by_stem: Mapping[str, Sequence[Path]],
) -> Path:
    """The file of centroids of a picture.

    Raises:
        BadRecipe: there is none, or more than one.
    """
    files = by_stem.get(picture.stem, [])
    if not files:
        endings = ", ".join(NUCLEI_SUFFIXES)
        problem = f"no centroids for {picture.name} (files ending in {endings})"
        raise BadRecipe(source.points, [problem])
    if len(files) > 1:
        names = " and ".join(path.name for path in files)
        problem = f"{len(files)} files of centroids for {picture.name}, {names}; keep one"
        raise BadRecipe(source.points, [problem])
    return files[0]


def _open_tile_set(source: TileSource, target: _Target) -> Iterator[Example]:
    """A tile set's examples, in the order of its files; facts are checked before any picture."""
    stated = [key for key in ("patient", "points") if getattr(source, key)]
    if stated:
        keys = " and ".join(stated)
        problem = f"it is a tile set, whose rows bring {keys}; leave out {keys}"
        raise BadRecipe(source.images, [problem])
    tiles = TileSet(target.root / source.images)
    chosen = _choose_rows(source, tiles, target.root)
    _refuse_scales(source, tiles, chosen["mpp"].to_pylist())
    _refuse_unknown_classes(source, chosen, target.classes)
    wanted = set(chosen["tile_id"].to_pylist())
    try:
        for row in tiles.rows_by_id(wanted):
            yield _example_of_row(row, source, target)
    except HistosynthError as error:
        raise error.of(source.images) from None


def _choose_rows(
    source: TileSource,
    tiles: TileSet,
    root: Path,
) -> Any:
    """Facts of the kept rows that a source takes, as a `pyarrow.Table`."""
    facts = tiles.table(["tile_id", "split", "refused", "mpp", "nuclei_kind"])
    facts = _where(facts, [not reason for reason in facts["refused"].to_pylist()])
    if source.members:
        listed = set(_listed_members(source, root))
        names = facts["tile_id"].to_pylist()
        _refuse_absent(source, "tile", sorted(listed - set(names)))
        facts = _where(facts, [name in listed for name in names])
    if source.split:
        splits = facts["split"].to_pylist()
        facts = _where(facts, [split == source.split for split in splits])
        if not len(facts):
            found = ", ".join(sorted({split or "none" for split in splits})) or "no tile"
            problem = f"no tile is of the split {source.split!r}; there is {found}"
            raise BadRecipe(source.images, [problem])
    return facts


def _where(table: Any, keep: list[bool]) -> Any:
    return table.filter(np.array(keep, np.bool_))  # an empty list would be of no type


def _refuse_scales(
    source: TileSource,
    tiles: TileSet,
    scales: Sequence[float],
) -> None:
    """Refuse rows of an impossible scale, or of another than the source states."""
    for mpp in set(scales):
        if not is_mpp(mpp):
            problem = f"a row's mpp is {mpp:g}, not in [{MIN_MPP:g}, {MAX_MPP:g}]"
            raise BadTileSet(tiles.folder, problem)
        if source.mpp is not None and abs(source.mpp / mpp - 1) > _SAME_MPP:
            problem = f"mpp is {source.mpp:g}, but the tile set has rows of {mpp:g}; leave it out"
            raise BadRecipe(source.images, [problem])


def _refuse_unknown_classes(
    source: TileSource,
    chosen: Any,
    classes: Sequence[str],
) -> None:
    """Refuse rows with nuclei of other classes than `classes`, where any are named."""
    names: set[str] = set()
    for chunk in chosen["nuclei_kind"].drop_null():
        names.update(chunk.values.unique().to_pylist())
    mapped = set(map_classes(sorted(names), source.map))
    unknown = sorted(mapped - {*classes, ANY})
    if classes and unknown:
        raise UnknownClasses(unknown, classes).of(source.images)


def _example_of_row(
    row: Row,
    source: TileSource,
    target: _Target,
) -> Example:
    if row.image is None or len(row.image) > MAX_IMAGE_BYTES:
        problem = f"its tile {row.tile_id} has no picture, or one too large"
        raise BadTileSet(Path(source.images), problem)
    nuclei = None
    if target.classes and row.nuclei is not None:
        nuclei = Nuclei.of(
            row.nuclei.xy,
            map_classes(row.nuclei.names(), source.map),
            size=row.nuclei.size,
            mpp=row.ref.mpp,
            classes=target.classes,
        )
    patient = row.ref.patient or unknown_patient(source.images)
    example = _example(
        replace(row.ref, patient=patient),
        decode_rgb(row.image, row.tile_id),
        nuclei,
        source,
        target.mpp,
    )
    return replace(
        example,
        label=source.label or row.label,
        split="" if source.split else row.split,
    )


def _example(
    ref: TileRef,
    pixels: Pixels,
    nuclei: Nuclei | None,
    source: TileSource,
    mpp: float,
) -> Example:
    """A tile of scale `ref.mpp` as the recipe wants it, at `mpp`."""
    if source.resample:
        pixels = resample_rgb(pixels, ref.mpp / mpp)
    height, width = pixels.shape[:2]
    if nuclei is not None:
        nuclei = nuclei.to_mpp(mpp, Size(width, height))
    return Example(
        Tile(replace(ref, mpp=mpp), pixels),
        nuclei,
        source.label,
        source.share,
    )
