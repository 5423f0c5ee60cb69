"""Tiles as a recipe names them: folders of pictures and their centroids, or tile sets, whose rows
know all.

Patients come from file names by a pattern, or from rows, and are kept apart: a training and a
validation source that share one are refused, here and not by promise.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...annotation.nuclei_files import read_nuclei
from ...core.errors import BadRecipe, BadTileSet, HistosynthError, SplitLeak, UnknownClasses
from ...core.geometry import Box
from ...core.nuclei import ANY, Nuclei, map_classes
from ...core.tile import (
    IMAGE_SUFFIXES,
    Pixels,
    Tile,
    TileRef,
    decode_rgb,
    read_rgb,
    unknown_patient,
)
from ...core.tileset import MAX_IMAGE_BYTES, Row, TileSet, parquet_files
from ...core.units import MAX_MPP, MIN_MPP, check_mpp, is_mpp

TRAIN = "train"
"""The one split whose tiles may be trained on though the recipe names none."""
_SAME_MPP = 1e-3
"""A scale stated within this of a row's, as a share of it, is the row's."""


@dataclass(frozen=True)
class TileSource:
    """One folder of tiles: pictures, or a tile set (Parquet files, see `core.tileset`)."""

    images: str
    """Folder of pictures, or of a tile set's Parquet files, below the recipe's data root."""
    patient: str | None = None
    """Pattern on the file stem; its first group is the patient. Empty: not known, and all of the
    source's tiles count as one patient, so that they can only stand on one side of a split. A
    folder of pictures must state it; rows of a tile set know their patient."""
    mpp: float | None = None
    """Micrometres per pixel of the files. A folder of pictures must state it; rows know theirs."""
    points: str = ""
    """Folder of `x,y,class` CSV or GeoJSON files of the same stems; empty: nuclei not known. Rows
    bring their own."""
    members: str = ""
    """Text file that lists the file names, or the `tile_id`s of a tile set, to take, one a line;
    empty: all."""
    label: str = ""
    """Label of the tiles, e.g. the organ or subtype. Empty: none, or that of the tile set's row."""
    resample: bool = True
    """False: leave the pixels as they are, whatever the recipe's scale (texture only)."""
    share: float = 1.0
    """How often one of its tiles is drawn, against a tile of share 1."""
    licence: str = ""
    """Licence of the pictures, for the model card."""
    split: str = ""
    """Only rows of this split of a tile set, e.g. `train`; empty: all rows."""
    map: dict[str, str] = field(default_factory=dict)
    """Class names of the source's nuclei to those of the recipe; names not in it stay as they
    are."""

    def __post_init__(self) -> None:
        if self.mpp is not None:
            check_mpp(self.mpp)
        if self.share < 0:
            raise ValueError(f"share must not be negative, not {self.share}")
        try:
            groups = re.compile(self.patient or "").groups
        except re.error as error:
            raise ValueError(f"patient pattern {self.patient!r} is no pattern: {error}") from error
        if self.patient and groups < 1:
            raise ValueError(f"patient pattern {self.patient!r} needs one group in parentheses")


@dataclass(frozen=True, eq=False)
class Example:
    """A tile with what is known of it. `nuclei` is None where nobody marked any."""

    tile: Tile
    nuclei: Nuclei | None
    label: str
    share: float = 1.0
    split: str = ""
    """The split that a tile set has it in, where the recipe named none; empty: none, or it was
    asked for."""

    @property
    def pixels(self) -> Pixels:
        """(H, W, 3) uint8 of the tile."""
        return self.tile.pixels

    @property
    def patient(self) -> str:
        """Patient of the tile."""
        return self.tile.ref.patient


def open_source(
    source: TileSource,
    *,
    root: Path,
    mpp: float,
    classes: Sequence[str],
) -> list[Example]:
    """Read a source, resampled to `mpp` by area averaging (Lanczos where it enlarges).

    A folder that holds Parquet files is a tile set, and its kept rows are read. Without `classes`
    nothing is said of nuclei, and a row's are not read.

    Raises:
        BadRecipe: the folder or a listed tile is missing, a name has no patient, or the source
            lacks a key, or states one that its kind of folder cannot follow.
        BadTileSet, SplitLeak: the tile set is damaged, or has a patient in two splits.
        UnknownKinds: nuclei are of classes that are neither among `classes` nor mapped.
        HistosynError: whatever reading a picture or centroids refuses.
    """
    folder = root / source.images
    if not folder.is_dir():
        raise BadRecipe(
            f"The source of tiles images = {source.images!r}", [f"there is no folder {folder}"]
        )
    if parquet_files(folder):
        return list(
            _open_set(
                source,
                root=root,
                mpp=mpp,
                classes=classes,
            )
        )
    own = _stated_scale(source)
    return [
        _open_one(
            path,
            source,
            root=root,
            own=own,
            mpp=mpp,
            classes=classes,
        )
        for path in _images(source, root)
    ]


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
    """Refuse patients who stand on both sides, and training on what a tile set keeps for something
    else.

    Raises:
        BadRecipe: training tiles are of another split than `train`, and the recipe did not ask for
            it.
        SplitLeak: patients stand on both sides; naming them.
    """
    training = list(training)
    reserved = Counter(example.split for example in training if example.split not in ("", TRAIN))
    if reserved:
        first = next(each.tile.ref.slide for each in training if each.split in reserved)
        kept = " and ".join(f"{count} for {split}" for split, count in sorted(reserved.items()))
        problem = (
            f"its tile sets keep some tiles, {kept} (first: slide {first}), and it names no split"
        )
        raise BadRecipe("[[data.train]]", [f'{problem}; say split = "{TRAIN}"'])
    shared = {example.tile.ref.patient for example in training} & {
        example.tile.ref.patient for example in validation
    }
    if shared:
        raise SplitLeak(sorted(shared))


def _stated_scale(source: TileSource) -> float:
    """The scale of a folder of pictures; all that such a source lacks or cannot follow is
    refused.
    """
    problems = (
        [f"split is {source.split!r}, but only tile sets have splits"] if source.split else []
    )
    if source.patient is None:
        problems.append(
            'it lacks the key patient, which a folder of pictures must state ("" if not known)'
        )
    if source.mpp is None:
        problems.append("it lacks the key mpp, which a folder of pictures must state")
    if problems or source.mpp is None:
        raise BadRecipe(source.images, problems)
    return source.mpp


def _images(source: TileSource, root: Path) -> list[Path]:
    """The picture files of a source, sorted by name."""
    folder = root / source.images
    if not source.members:
        return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    names = _listed(source, root)
    _refuse_absent(
        source,
        "file",
        [name for name in names if not (folder / name).is_file()],
    )
    return sorted(folder / name for name in names)


def _listed(source: TileSource, root: Path) -> list[str]:
    try:
        lines = (root / source.members).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRecipe(source.members, [f"it cannot be read: {error}"]) from error
    return [line.strip() for line in lines if line.strip()]


def _refuse_absent(source: TileSource, what: str, absent: Sequence[str]) -> None:
    if absent:
        problem = f"{len(absent)} listed {what}(s) are absent, first {absent[0]}"
        raise BadRecipe(source.members, [problem])


def _open_one(
    path: Path,
    source: TileSource,
    *,
    root: Path,
    own: float,
    mpp: float,
    classes: Sequence[str],
) -> Example:
    pixels = read_rgb(path)
    height, width = pixels.shape[:2]
    nuclei = None
    if source.points:
        points = next((root / source.points).glob(f"{_escape(path.stem)}.*"), None)
        if points is None:
            raise BadRecipe(source.points, [f"no centroids for {path.name}"])
        nuclei = read_nuclei(
            points,
            size=(width, height),
            mpp=own,
            classes=classes,
            mapping=source.map,
        )
    patient = (
        patient_of(path.stem, source.patient) if source.patient else unknown_patient(source.images)
    )
    ref = TileRef(path.stem, patient, Box(0, 0, width, height), own)
    return _example(ref, pixels, nuclei, source, mpp=mpp)


def _open_set(
    source: TileSource,
    *,
    root: Path,
    mpp: float,
    classes: Sequence[str],
) -> Iterator[Example]:
    """A tile set's examples, in the order of its files; what it lacks is told before a picture is
    read.
    """
    if source.patient or source.points:
        stated = " and ".join(key for key in ("patient", "points") if getattr(source, key))
        raise BadRecipe(
            source.images, [f"it is a tile set, whose rows bring {stated}; leave out {stated}"]
        )
    tiles = TileSet(root / source.images)
    chosen = _choose(source, tiles, root)
    _refuse_scales(source, tiles, chosen["mpp"].to_pylist())
    told = {
        name
        for names in chosen["nuclei_kind"].drop_null()
        for name in names.values.unique().to_pylist()
    }
    unknown = sorted(set(map_classes(sorted(told), source.map)) - {*classes, ANY})
    if classes and unknown:
        raise UnknownClasses(unknown, classes).of(source.images)
    try:
        for row in tiles.rows_by_id(set(chosen["tile_id"].to_pylist())):
            yield _of_row(row, source, mpp=mpp, classes=classes)
    except HistosynthError as error:
        raise error.of(source.images) from None


def _choose(source: TileSource, tiles: TileSet, root: Path) -> Any:
    """Facts of the kept rows that a source takes, as a `pyarrow.Table`."""
    facts = tiles.table(["tile_id", "split", "refused", "mpp", "nuclei_kind"])
    facts = _where(facts, [not reason for reason in facts["refused"].to_pylist()])
    if source.members:
        listed = set(_listed(source, root))
        _refuse_absent(
            source,
            "tile",
            sorted(listed - set(facts["tile_id"].to_pylist())),
        )
        facts = _where(facts, [name in listed for name in facts["tile_id"].to_pylist()])
    if source.split:
        splits = facts["split"].to_pylist()
        facts = _where(facts, [split == source.split for split in splits])
        if not len(facts):
            has = ", ".join(sorted({split or "none" for split in splits})) or "no tile"
            raise BadRecipe(
                source.images, [f"no tile is of the split {source.split!r}; there is {has}"]
            )
    return facts


def _where(table: Any, keep: list[bool]) -> Any:
    return table.filter(np.array(keep, np.bool_))  # an empty list would be of no type


def _refuse_scales(source: TileSource, tiles: TileSet, scales: Sequence[float]) -> None:
    for mpp in set(scales):
        if not is_mpp(mpp):
            raise BadTileSet(
                tiles.folder, f"a row's mpp is {mpp:g}, not in [{MIN_MPP:g}, {MAX_MPP:g}]"
            )
        if source.mpp is not None and abs(source.mpp / mpp - 1) > _SAME_MPP:
            problem = f"mpp is {source.mpp:g}, but the tile set has rows of {mpp:g}; leave it out"
            raise BadRecipe(source.images, [problem])


def _of_row(
    row: Row,
    source: TileSource,
    *,
    mpp: float,
    classes: Sequence[str],
) -> Example:
    if row.image is None or len(row.image) > MAX_IMAGE_BYTES:
        raise BadTileSet(
            Path(source.images), f"its tile {row.tile_id} has no picture, or one too large"
        )
    nuclei = None
    if classes and row.nuclei is not None:
        names = map_classes(row.nuclei.names(), source.map)
        nuclei = Nuclei.of(
            row.nuclei.xy,
            names,
            size=row.nuclei.size,
            mpp=row.ref.mpp,
            classes=classes,
        )
    ref = replace(row.ref, patient=row.ref.patient or unknown_patient(source.images))
    example = _example(
        ref,
        decode_rgb(row.image, row.tile_id),
        nuclei,
        source,
        mpp=mpp,
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
    *,
    mpp: float,
) -> Example:
    """A tile of scale `ref.mpp` as the recipe wants it, at `mpp`."""
    factor = ref.mpp / mpp if source.resample else 1.0
    height, width = pixels.shape[:2]
    size = (round(width * factor), round(height * factor))
    if size != (width, height):
        method = Image.Resampling.BOX if factor < 1 else Image.Resampling.LANCZOS
        pixels = np.array(Image.fromarray(pixels).resize(size, method), dtype=np.uint8)
    told = None if nuclei is None else nuclei.to_mpp(mpp, size)
    return Example(
        Tile(replace(ref, mpp=mpp), pixels),
        told,
        source.label,
        source.share,
    )


def _escape(stem: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", stem)
